"""What guidelines advise for the nodule at hand, and the circumstances they ask for."""

from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_ctlns.plugin.views.controls import in_a_row, let_be_narrow

if TYPE_CHECKING:
    from napari_ctlns.measurement.guidelines import Advice, Circumstances

_SETTINGS = {"Setting not given": None, "Screening": "screening", "Incidental": "incidental"}
_RISKS = {"Risk not given": None, "Low risk": "low", "High risk": "high"}
_PRIORS: dict[str, dict[str, str]] = {
    "Prior not given": {},
    "No prior scan": {"prior": "none"},
    "Prior is awaited": {"prior": "awaited"},
    **{f"Prior was {name}": {"prior_category": name} for name in ("2", "3", "4A", "4B", "4X")},
}
_NO_AGE = "age ?"


class GuidelineView(QWidget):
    """What the guideline of a setting asks for, then the advice in words.

    Attributes
    ----------
    changed
        Other circumstances were chosen.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setting = _choice(_SETTINGS, "Why the scan was made: Lung-RADS is for screening")
        self.risk = _choice(_RISKS, "Of lung cancer, as you judge it; Fleischner 2017 asks")
        self.prior = _choice(
            _PRIORS, "Whether there is an earlier scan, and its Lung-RADS category"
        )
        self.age = QSpinBox()
        self.age.setRange(0, 120)
        self.age.setSpecialValueText(_NO_AGE)
        self.age.setSuffix(" years")
        self.age.setToolTip("Fleischner 2017 is for 35 and more; 0: not given")
        self.age.setAccessibleName("Age")
        self.excluded = QCheckBox("Cancer or immune defect")
        self.excluded.setToolTip(
            "Known cancer or immunosuppression, for which Fleischner 2017 is not"
        )
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        self._lay_out()
        for choice in (self.setting, self.risk, self.prior):
            choice.currentIndexChanged.connect(self.changed)
        self.age.valueChanged.connect(self.changed)
        self.excluded.toggled.connect(self.changed)

    def _lay_out(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        self._incidental = in_a_row(self.age, self.excluded)
        rows.addWidget(in_a_row(self.setting, self.risk, self.prior))
        rows.addWidget(self._incidental)
        rows.addWidget(self.words)
        self.setting.currentIndexChanged.connect(self._ask)
        self._ask()

    def _ask(self) -> None:
        """Ask for what the guideline of the setting asks for."""
        setting = _SETTINGS[self.setting.currentText()]
        self.prior.setVisible(setting == "screening")
        self.risk.setVisible(setting == "incidental")
        self._incidental.setVisible(setting == "incidental")

    def circumstances(self) -> "Circumstances":
        """Return what was chosen."""
        from napari_ctlns.measurement.guidelines import Circumstances

        chosen: dict[str, Any] = {
            "setting": _SETTINGS[self.setting.currentText()],
            "risk": _RISKS[self.risk.currentText()],
            **_PRIORS[self.prior.currentText()],
        }
        age = self.age.value() or None
        return Circumstances(**chosen, age=age, excluded=self.excluded.isChecked())

    def say(self, words: str) -> None:
        """Show words in place of advice."""
        self.words.setText(words)

    def show_advice(self, label: int, advice: "tuple[Advice, ...]") -> None:
        """Show what guidelines say of a nodule: category, the rule that fired, the advice."""
        from napari_ctlns.measurement.guidelines import NOTICE

        lines = []
        for one in advice:
            lines.append(f"<b>Nodule {label}, {escape(one.guideline)}: {escape(one.category)}</b>")
            lines.extend(escape(words) for words in (one.rule, one.advice) if words)
        self.words.setText("<br>".join([*lines, f"<i>{escape(NOTICE)}</i>"]))


def _choice(words: dict[str, Any], tooltip: str) -> QComboBox:
    choice = QComboBox()
    choice.addItems(list(words))
    choice.setToolTip(tooltip)
    choice.setAccessibleName(tooltip)
    let_be_narrow(choice, letters=12)
    return choice
