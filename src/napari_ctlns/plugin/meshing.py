"""From a labels layer to the surfaces of its nodules, and of the lungs; without Qt."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_ctlns.errors import MaskError
from napari_ctlns.events import Control, Event, Finished, Progress, Started
from napari_ctlns.masks.components import Box
from napari_ctlns.masks.label_box import box_of
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.measurement.surfaces import Mesh  # loads pandas


@dataclass
class Surfaces:
    """The surfaces of a mask's nodules, and the boxes that fit them, by label."""

    meshes: "dict[int, Mesh]" = field(default_factory=dict)
    boxes: dict[int, Box] = field(default_factory=dict)

    def mesh_again(self, mask: Volume, within: Mapping[int, Box]) -> None:
        """Draw some nodules anew, each of which lies in a box; one without voxels goes."""
        for label, box in within.items():
            self.meshes.pop(label, None)
            self.boxes.pop(label, None)
            fitting = box_of(mask.array, label, box)
            if fitting is not None:
                self.meshes[label], self.boxes[label] = mesh_of(mask, label, fitting), fitting


def mesh_of(mask: Volume, label: int, box: Box) -> "Mesh":
    """Return the smooth surface of a nodule that lies in a box."""
    from napari_ctlns.measurement.surfaces import nodule_mesh, smoothed

    inside = mask.array[box] == label
    grid = mask.geometry.cropped([s.start for s in box], inside.shape)
    return smoothed(nodule_mesh(inside, grid))


def surfaces_job(mask: Volume, scan: Volume | None, control: Control) -> Iterator[Event]:
    """Draw the surfaces of all nodules of a mask, and of the lungs.

    Parameters
    ----------
    mask
        What a layer shows, not copied; what is edited meanwhile is to be drawn again.
    scan
        In which to find the lungs; None: not again.

    Yields
    ------
    Event
        `Finished` has ``surfaces``, and ``lungs``, None where there are none or no scan.
    """
    from scipy.ndimage import find_objects

    yield Started(title="Draw surfaces")
    surfaces = Surfaces()
    boxes = {n: box for n, box in enumerate(find_objects(mask.array), 1) if box is not None}
    total = len(boxes) + (scan is not None)
    for label, box in boxes.items():
        if control.stop_requested():
            yield Finished(stopped=True)
            return
        surfaces.mesh_again(mask, {label: box})
        yield Progress(done=len(surfaces.meshes), total=total, unit="surface")
    lungs = None if scan is None else _lungs(scan)
    result = {"surfaces": surfaces, "lungs": lungs}
    yield Finished(result=result, stopped=control.stop_requested())


def _lungs(scan: Volume) -> "Mesh | None":
    from napari_ctlns.masks.lungs import lung_mask
    from napari_ctlns.measurement.surfaces import lung_mesh

    try:
        return lung_mesh(lung_mask(scan).array, scan.geometry)
    except MaskError:  # a crop without lungs has nodules nevertheless
        return None
