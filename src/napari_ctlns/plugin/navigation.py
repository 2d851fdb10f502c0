"""Going to a place in the canvas."""

from collections.abc import Sequence

from napari.components import ViewerModel


def go_to(viewer: ViewerModel, point_mm: Sequence[float]) -> None:
    """Show the slice through a point and centre the camera on it; the zoom stays.

    Parameters
    ----------
    viewer
        Shows at least one layer in millimetres.
    point_mm
        Canvas millimetres (z, y, x).
    """
    dims = viewer.dims
    # layers with more axes than ours, time for instance, have them before (z, y, x)
    first = dims.ndim - len(point_mm)
    dims.set_point(range(first, dims.ndim), [float(v) for v in point_mm])
    centre = [float(point_mm[axis - first]) for axis in dims.displayed if axis >= first]
    camera = viewer.scene.camera
    camera.center = (*camera.center[: len(camera.center) - len(centre)], *centre)
