"""The most resident memory that a prediction takes, for `inference.py`.

python benchmarks/inference_memory.py ours|ours-whole|monai-N MODEL SCAN

Prints MiB before the prediction, with scan and model in memory, and the most there ever was.
"""

import sys
from pathlib import Path

from inference_setting import Ours, load_scan


def main() -> None:
    """Predict once and print."""
    name, model, scan = sys.argv[1], Path(sys.argv[2]), load_scan(Path(sys.argv[3]))
    kind, _, how = name.partition("-")
    if kind == "ours":
        ours = Ours(model)
        before = peak_mib()
        ours(scan, whole=how == "whole")
    else:
        from inference_peers import Monai

        peer = Monai(model, batch=int(how))
        before = peak_mib()
        peer(scan)
    print(before, peak_mib())


def peak_mib() -> float:
    """Return the most resident memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would tell of the process that started this one, too
        line = next(x for x in status.read_text("ascii").splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
