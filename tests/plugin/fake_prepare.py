"""A preparation that takes its time over one file, for tests of its end; run by a child process."""

import time

from napari_ctlns.atomic import atomic_path
from napari_ctlns.events import Finished, Progress, Started
from napari_ctlns.jobs.child import serve
from napari_ctlns.jobs.registry import JobKind
from napari_ctlns.specs import PrepareSpec


def prepare(spec, control):
    """Write one file in two halves, look whether to go on, and wait."""
    yield Started(title="Prepare")
    with atomic_path(spec.out / "scan.npy") as path:
        path.write_text("one half", encoding="utf-8")
        yield Progress(done=0, total=2, unit="scan")
        time.sleep(0.1)
        path.write_text("both halves", encoding="utf-8")
    while not control.stop_requested():
        time.sleep(0.02)
    yield Finished(stopped=True)


if __name__ == "__main__":
    serve({"prepare": JobKind("fake_prepare", "prepare", PrepareSpec)})
