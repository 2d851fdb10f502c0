"""The canvas as a picture file: what is on show, with its axes and a scale bar."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from napari import Viewer
from napari.components import ViewerModel

from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import OutputError


def save_picture(viewer: Viewer, path: str | os.PathLike[str]) -> None:
    """Write the canvas as PNG, with a scale bar; of the patient nothing is written on it.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from PIL import Image

    with scale_bar_shown(viewer):
        pixels = viewer.screenshot(canvas_only=True, flash=False)
    with atomic_path(path) as temporary:
        try:
            Image.fromarray(pixels[..., :3]).save(temporary, "PNG")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error}; choose another place") from error


@contextmanager
def scale_bar_shown(viewer: ViewerModel) -> Iterator[None]:
    """Show napari's scale bar for a moment."""
    bar = viewer.canvas.overlays.scale_bar
    was, bar.visible = bar.visible, True
    try:
        yield
    finally:
        bar.visible = was
