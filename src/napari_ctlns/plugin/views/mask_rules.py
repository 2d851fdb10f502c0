"""How a probability becomes a mask: how sure, how large, what touches, what is hollow."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QWidget
from superqt.utils import signals_blocked

from napari_ctlns.plugin.views.controls import set_numbers
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.share_slider import ShareSlider
from napari_ctlns.recipe import Inference


class MaskRules(QWidget):
    """The rules that people change; `peak` and `fill` are for a fold of the panel.

    Attributes
    ----------
    changed
        A person changed a rule.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.threshold = ShareSlider(
            "Probability from which a voxel is nodule; lower finds more, and more that is none"
        )
        self.smallest = QDoubleSpinBox()
        set_numbers(self.smallest, 0, 100, step=0.5, decimals=1)
        self.smallest.setToolTip(
            "What has less volume than a sphere of this diameter is dropped, mm"
        )
        self.split = QCheckBox("Split touching nodules")
        self.split.setToolTip("Cut what is joined by a narrow neck into two nodules")
        self.peak = ShareSlider(
            "Probability that a nodule must reach somewhere; the threshold then only says "
            "how far it goes. 0: any",
            lowest=0,
        )
        self.fill = QCheckBox("Fill holes")
        self.fill.setToolTip("What a nodule encloses, as a cavity, belongs to it")
        form_layout(
            self, {"Threshold": self.threshold, "Smallest, mm": self.smallest, "": self.split}
        )
        for slider in (self.threshold, self.peak):
            slider.value_changed.connect(self.changed)
        self.smallest.valueChanged.connect(self.changed)
        for box in (self.split, self.fill):
            box.toggled.connect(self.changed)

    def show_rules(self, rules: Inference) -> None:
        """Show rules without a word."""
        self.threshold.show_value(rules.threshold)
        self.peak.show_value(rules.seed_threshold)
        with (
            signals_blocked(self.smallest),
            signals_blocked(self.split),
            signals_blocked(self.fill),
        ):
            self.smallest.setValue(rules.min_diameter_mm)
            self.split.setChecked(rules.split_touching)
            self.fill.setChecked(rules.fill_holes)

    def rules(self, own: Inference) -> Inference:
        """Return the rules that are shown; what shows a number of ``own``, rounded, is that."""
        return own.model_copy(
            update={
                "threshold": _exact(self.threshold.field, own.threshold),
                "seed_threshold": _exact(self.peak.field, own.seed_threshold),
                "min_diameter_mm": _exact(self.smallest, own.min_diameter_mm),
                "fill_holes": self.fill.isChecked(),
                "split_touching": self.split.isChecked(),
            }
        )

    def enable(self, on: bool) -> None:
        """Let rules be changed."""
        for control in (self.threshold, self.smallest, self.split, self.peak, self.fill):
            control.setEnabled(on)


def _exact(field: QDoubleSpinBox, own: float) -> float:
    value = float(field.value())
    return own if abs(value - own) <= 0.51 * 10 ** -field.decimals() else value
