"""One click without a network, for tests of what stands around it; run by a child process."""

import numpy as np
from scipy import ndimage

from napari_ctlns.errors import ClickError
from napari_ctlns.events import Finished, Started
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.jobs.child import serve
from napari_ctlns.jobs.registry import JobKind
from napari_ctlns.specs import ClickSpec


def click(spec, control):
    """Mark what is of 60 HU at the first place."""
    yield Started(title="Click")
    if control.stop_requested():
        yield Finished(stopped=True)
        return
    scan = read_scan(spec.scan)
    labels, _ = ndimage.label(scan.array == 60)
    index = np.rint(scan.geometry.world_to_index(spec.inside[0])).astype(int)
    if not labels[tuple(index)]:
        raise ClickError("nothing like a nodule at the click; click on its middle")
    mask = (labels == labels[tuple(index)]).astype(np.uint8)
    write_volume(scan.mask(mask), spec.mask)
    yield Finished(result={"mask": str(spec.mask)})


if __name__ == "__main__":
    serve({"click": JobKind("fake_click", "click", ClickSpec)})
