"""Going to a place in the scan."""

from collections.abc import Sequence

from napari.components import ViewerModel


def go_to(viewer: ViewerModel, point_mm: Sequence[float]) -> None:
    """Show the slice of a point, with the point in the middle.

    Parameters
    ----------
    viewer
        Whose slices and camera to move; the zoom stays.
    point_mm
        Canvas millimetres (z, y, x), see `canvas`.
    """
    dims = viewer.dims
    first = dims.ndim - 3
    if first < 0:
        return  # nothing three-dimensional is open
    # for the axes on show too: the point is then in sight when the view is turned
    dims.set_point(range(first, dims.ndim), [float(value) for value in point_mm])
    viewer.scene.camera.center = tuple(dims.point[axis] for axis in dims.displayed)
