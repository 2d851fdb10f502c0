"""What the plugin adds to the start of napari.

    xvfb-run -a python benchmarks/startup.py [--runs 5]

A new process shows a viewer, then opens all five panels as the menu does. The first figure is
napari's own, from the start of Python to the window drawn; the second is what the plugin adds:
finding it, importing it and building its panels.
"""

import argparse
import statistics
import subprocess
import sys

PANELS = ("Scan", "Annotations", "Train", "Predict", "Nodules")
CHILD = f"""
import time
start = time.perf_counter()
from napari import Viewer
viewer = Viewer()
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
shown = time.perf_counter()
for panel in {PANELS}:
    viewer.window.add_plugin_dock_widget("napari-ctlns", panel)
    if panel == "Scan":
        first = time.perf_counter()
QApplication.processEvents()
end = time.perf_counter()
import sys
assert not {{"torch", "monai", "openvino"}} & set(sys.modules)
print(shown - start, first - shown, end - shown)
"""


def main() -> None:
    """Run some processes, print the medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rows = [one_start() for _ in range(options.runs)]
    napari, scan, panels = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"napari until its window is drawn  {napari:6.2f} s")
    print(f"the Scan panel                   +{scan:6.2f} s")
    print(f"all five panels                  +{panels:6.2f} s")
    print(f"ratio: {napari / panels:.2f}")


def one_start() -> tuple[float, ...]:
    """Start napari and the plugin in a process of its own; return its three times."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return tuple(float(word) for word in done.stdout.split()[-3:])


if __name__ == "__main__":
    main()
