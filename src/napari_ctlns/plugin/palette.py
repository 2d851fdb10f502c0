"""The colours that say something, one place for all of them.

They are the Okabe-Ito palette (https://jfly.uni-koeln.de/color/), whose colours people with
any colour vision tell apart; each has the same meaning in tables, on slices and in 3D.
"""

from collections.abc import Mapping

from napari_ctlns.findings import NoduleType, Status

ORANGE, SKY_BLUE, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
VERMILION, PURPLE, GREY = "#d55e00", "#cc79a7", "#999999"

STATUS_COLOURS: Mapping[Status, str] = {
    "new": SKY_BLUE,
    "accepted": GREEN,
    "rejected": GREY,
    "edited": ORANGE,
}
TYPE_COLOURS: Mapping[NoduleType, str] = {
    "unknown": GREY,
    "solid": VERMILION,
    "part-solid": ORANGE,
    "ground-glass": SKY_BLUE,
}
AXES_COLOUR = SKY_BLUE
"""Of what is measured by itself on a nodule."""
RULER_COLOUR = YELLOW
"""Of what a person measures."""
LUNG_COLOUR = "#c8d4e0"
