"""The small pictures of nodules as the work list draws them: grey, the outline in a colour."""

from collections.abc import Callable

import numpy as np
from qtpy.QtGui import QImage, QPixmap

from napari_ctlns.plugin.layers import Colour
from napari_ctlns.plugin.thumbnails import Thumbnail

_MOST = 1000
_Kept = tuple[Thumbnail, Colour, QPixmap]


class NodulePictures:
    """Makes pictures for the screen, once for each colour.

    Parameters
    ----------
    drawn
        Returns what is drawn of a label; None while nothing is.
    """

    def __init__(self, drawn: Callable[[int], Thumbnail | None]) -> None:
        self._drawn = drawn
        self._kept: dict[int, _Kept] = {}

    def of_label(self, label: int, colour: Colour) -> QPixmap | None:
        """Return the newest picture of a label; None while there is none."""
        drawn = self._drawn(label)
        if drawn is None:
            return None
        kept = self._kept.get(label)
        if kept is None or kept[0] is not drawn or kept[1] != colour:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            kept = self._kept[label] = (drawn, colour, _pixmap(drawn, colour))
        return kept[2]


def _pixmap(drawn: Thumbnail, colour: Colour) -> QPixmap:
    image = np.repeat(drawn.grey[..., None], 3, axis=2)
    image[drawn.outline] = np.round(np.array(colour[:3]) * 255).astype(np.uint8)
    height, width = drawn.grey.shape
    data = np.ascontiguousarray(image).tobytes()
    # a pixmap is a copy, so the bytes may go
    return QPixmap.fromImage(QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888))
