"""What guidelines ask and answer: circumstances, nodules and advice."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Setting = Literal["screening", "incidental"]
Risk = Literal["low", "high"]
Prior = Literal["none", "awaited"]
PriorCategory = Literal["2", "3", "4A", "4B", "4X"]
SizeBy = Literal["diameter", "volume"]
Remark = Literal["benign", "juxtapleural", "suspicious", "infectious", "airway", "cyst"]

NOTICE = "Decision support for research, not a medical device; a physician decides."
"""To be shown wherever advice is."""
UNKNOWN = "not determinable"
"""The category where an input is missing or a guideline does not apply."""
ADVICE_COLUMNS = ("guideline", "category", "rule", "advice")
"""What a table has of an advice."""


@dataclass(frozen=True)
class Circumstances:
    """What guidelines need to know besides the nodules; None is what nobody said.

    Attributes
    ----------
    setting
        Whether the scan was made to look for lung cancer, or for something else.
    risk
        Of lung cancer, as a person judges it; Fleischner 2017 asks.
    age
        In years; Fleischner 2017 is for 35 and more.
    excluded
        Whether the patient has known cancer or immunosuppression, which Fleischner 2017
        leaves out.
    prior
        Of scans before this one: there are ``"none"``, or they are ``"awaited"``; where one is
        there, the growth table says what became of its nodules. Lung-RADS asks.
    prior_category
        The Lung-RADS category of the nodules on that scan, the highest if there are several.
    size_by
        Whether mean diameters or volumes count.
    remarks
        What a person saw of nodules, by label: ``benign`` (calcified as benign nodules are,
        or with fat), ``juxtapleural`` (at the pleura, smooth, and oval, lentiform or
        triangular), ``suspicious`` (spiculation, enlarged lymph nodes and the like),
        ``infectious``, ``airway`` (inside one), ``cyst``.
    """

    setting: Setting | None = None
    risk: Risk | None = None
    age: int | None = None
    excluded: bool = False
    prior: Prior | None = None
    prior_category: PriorCategory | None = None
    size_by: SizeBy = "diameter"
    remarks: Mapping[int, Remark] = field(default_factory=dict)


@dataclass(frozen=True)
class Advice:
    """What a guideline says of a nodule, or of a scan.

    Attributes
    ----------
    guideline
        Its name and year.
    category
        As the guideline calls it; `UNKNOWN` where an input is missing.
    rule
        The rule that fired, with the numbers that it fired on, or what is missing.
    advice
        What the guideline then advises; empty where it is not known.
    """

    guideline: str
    category: str
    rule: str
    advice: str = ""


@dataclass(frozen=True)
class Change:
    """What became of a nodule since an earlier scan.

    Attributes
    ----------
    is_new
        It was not there.
    days
        Between the scans; NaN if unknown.
    before_mm, before_mm3, solid_before_mm
        Mean diameter, volume and solid part's diameter on the earlier scan; NaN if unknown.
    """

    is_new: bool
    days: float = math.nan
    before_mm: float = math.nan
    before_mm3: float = math.nan
    solid_before_mm: float = math.nan


@dataclass(frozen=True)
class Nodule:
    """What guidelines look at in a nodule, as measured: mm and mm3, not rounded."""

    label: int
    type: str
    diameter_mm: float
    volume_mm3: float
    solid_diameter_mm: float
    solid_volume_mm3: float
    cut_by_edge: bool
    change: Change | None = None


def rounded(value: float, digits: int = 0) -> float:
    """Round as people do: a half goes up. What is no number stays none."""
    if not math.isfinite(value):
        return value
    # the small part is what binary fractions may lack
    return math.floor(value * 10**digits + 0.5 + 1e-9) / 10**digits
