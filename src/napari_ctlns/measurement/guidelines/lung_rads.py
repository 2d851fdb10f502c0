"""Lung-RADS v2022: what screening for lung cancer makes of a nodule.

American College of Radiology, November 2022; Christensen et al. 2024
(doi:10.1016/j.chest.2023.10.028).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from napari_ctlns.measurement.guidelines.advice import (
    UNKNOWN,
    Advice,
    Change,
    Circumstances,
    Nodule,
    SizeBy,
    rounded,
)

NAME = "Lung-RADS v2022"
MM3 = {4: 34, 6: 113, 8: 268, 10: 524, 15: 1767, 30: 14137}
"""The volumes that the guideline gives beside its diameters."""
GROWTH_MM = 1.5
"""What the mean diameter must grow by, within 12 months, to count as growth."""
ORDER = ("1", "2", "0", "3", "4A", "4B", "4X")
"""Categories, the one that counts most last."""

_YEAR, _LEEWAY = 365.25, 31
_FOLLOW_UP_DAYS = {"4A": 76, "3": 152}
"""From when on a scan is the follow-up after 3 and 6 months; half a month and a month early."""
_LOWER = {"4A": "3", "3": "2"}
_PET = "PET/CT may be considered where it is solid over 8 mm or more"
_ADVICE = {
    "0": "compare with the earlier scan, or scan again in 1 to 3 months if it may be an infection",
    "1": "low-dose CT in 12 months",
    "2": "low-dose CT in 12 months",
    "3": "low-dose CT in 6 months",
    "4A": f"low-dose CT in 3 months; {_PET}",
    "4B": f"refer for clinical evaluation: diagnostic chest CT or tissue sampling; {_PET}",
}
_ADVICE["4X"] = _ADVICE["4B"]


def lung_rads(nodule: Nodule, circumstances: Circumstances) -> Advice:
    """Return the category of a nodule and the rule it follows from.

    Mean diameters count to 0.1 mm and volumes to 1 mm3, as the guideline rounds.
    """
    remark = circumstances.remarks.get(nodule.label)
    if remark in ("airway", "cyst"):
        return unknown(f"of an {remark} nodule" if remark == "airway" else "of a cyst")
    if remark == "benign":
        return of_category("1", "benign by calcification or fat, as was said")
    if remark == "infectious":
        return of_category("0", "may be an infection, as was said")
    if nodule.change is None and circumstances.prior == "awaited":
        return of_category("0", "an earlier scan is awaited for comparison")
    if nodule.cut_by_edge:
        return unknown("its size: it is cut by the edge of the scan")
    if nodule.change is None and circumstances.prior != "none":
        return unknown("growth since the earlier scan, or that there was none")
    found = _by_course(nodule, circumstances)
    if remark == "suspicious" and found.category in ("3", "4A", "4B"):
        return of_category("4X", f"{found.rule}; looks suspicious, as was said")
    return found


def of_category(category: str, rule: str) -> Advice:
    """Return an advice as the guideline words it for a category."""
    return Advice(NAME, category, rule, _ADVICE[category])


def unknown(missing: str) -> Advice:
    """Return the advice that there is none, for want of something."""
    return Advice(NAME, UNKNOWN, f"not known: {missing}")


# -- sizes --------------------------------------------------------------------------


def _value(mm: float, mm3: float, by: SizeBy) -> float:
    """Return a size as the guideline rounds it."""
    return rounded(mm, 1) if by == "diameter" else rounded(mm3)


def _step(value: float, limits: Sequence[int], categories: Sequence[str], by: SizeBy) -> str:
    """Return the category of a size: one more than there are limits that begin the next."""
    bounds = [float(mm) if by == "diameter" else float(MM3[mm]) for mm in limits]
    return categories[bisect_right(bounds, value)]


def _whole(nodule: Nodule, by: SizeBy) -> float:
    return _value(nodule.diameter_mm, nodule.volume_mm3, by)


def _solid(nodule: Nodule, by: SizeBy) -> float:
    return _value(nodule.solid_diameter_mm, nodule.solid_volume_mm3, by)


def _words(nodule: Nodule, by: SizeBy) -> str:
    unit = "mm" if by == "diameter" else "mm³"
    words = f"{nodule.type} nodule of {_whole(nodule, by):g} {unit}"
    if nodule.type == "part-solid":
        words += f", solid part {_solid(nodule, by):g} {unit}"
    return words


# -- what became of it --------------------------------------------------------------


def _by_course(nodule: Nodule, circumstances: Circumstances) -> Advice:
    by, change = circumstances.size_by, nodule.change
    words = _words(nodule, by)
    is_juxtapleural = circumstances.remarks.get(nodule.label) == "juxtapleural"
    if change is None or change.is_new:
        course = "on the first scan" if change is None else "new"
        if is_juxtapleural and nodule.type == "solid":
            size = _whole(nodule, by)
            if _step(size, [10], ["2", ""], by):
                return of_category("2", f"{words}, {course}, juxtapleural and below 10 mm")
        category = at_first(nodule, by) if change is None else _new(nodule, by)
        return of_category(category, f"{words}, {course}")
    if nodule.type == "ground-glass":
        return _glass_followed(nodule, change, words, by)
    if nodule.type == "part-solid":
        return _part_solid_followed(nodule, change, words, circumstances)
    course = course_of(change.before_mm, nodule.diameter_mm, change.days)
    if course == "growing":
        category = _step(_whole(nodule, by), [8], ["4A", "4B"], by)
        return of_category(category, f"{words}, growing: {_grew(change, nodule)}")
    return _not_growing(nodule, change, course, words, circumstances)


def at_first(nodule: Nodule, by: SizeBy) -> str:
    """Return the category of a nodule on the first scan there is."""
    whole, solid = _whole(nodule, by), _solid(nodule, by)
    if nodule.type == "solid":
        return _step(whole, [6, 8, 15], ["2", "3", "4A", "4B"], by)
    if nodule.type == "ground-glass":
        return _step(whole, [30], ["2", "3"], by)
    return _step(whole, [6], ["2", ""], by) or _step(solid, [6, 8], ["3", "4A", "4B"], by)


def _new(nodule: Nodule, by: SizeBy) -> str:
    whole = _whole(nodule, by)
    if nodule.type == "solid":
        return _step(whole, [4, 6, 8], ["2", "3", "4A", "4B"], by)
    if nodule.type == "ground-glass":
        return _step(whole, [30], ["2", "3"], by)
    return _step(whole, [6], ["3", ""], by) or _step(_solid(nodule, by), [4], ["4A", "4B"], by)


def course_of(before_mm: float, after_mm: float, days: float) -> str:
    """Say how a mean diameter changed: growing, slow, stable (or less), or "" if unknown.

    Growth is more than 1.5 mm within 12 months. Over longer times it is slow growth where
    the diameter grew by more than that, but by no more a year.
    """
    grown = rounded(rounded(after_mm, 1) - rounded(before_mm, 1), 1)
    if math.isnan(grown):
        return ""
    if grown <= GROWTH_MM:
        return "stable"
    if math.isnan(days):
        return ""
    # a yearly scan comes some weeks late
    in_a_year = grown if days <= _YEAR + _LEEWAY else grown * _YEAR / days
    return "growing" if in_a_year > GROWTH_MM else "slow"


def _grew(change: Change, nodule: Nodule) -> str:
    before, after = rounded(change.before_mm, 1), rounded(nodule.diameter_mm, 1)
    when = "" if math.isnan(change.days) else f" in {change.days:.0f} days"
    return f"{before:g} to {after:g} mm{when}"


def _glass_followed(nodule: Nodule, change: Change, words: str, by: SizeBy) -> Advice:
    if _step(_whole(nodule, by), [30], ["2", ""], by):
        return of_category("2", f"{words}, below 30 mm")
    course = course_of(change.before_mm, nodule.diameter_mm, change.days)
    if not course:
        return unknown("days between the scans, to tell growth")
    if course == "growing":
        return of_category("3", f"{words}, growing: {_grew(change, nodule)}")
    return of_category("2", f"{words}, {'slowly growing' if course == 'slow' else 'stable'}")


def _part_solid_followed(
    nodule: Nodule, change: Change, words: str, circumstances: Circumstances
) -> Advice:
    """Judge by the growth of the solid part, if that was measured before."""
    by = circumstances.size_by
    if at_first(nodule, by) == "4B":
        return of_category("4B", f"{words}: such a solid part is 4B whether it grows or not")
    if math.isnan(change.solid_before_mm):
        return unknown("solid part's diameter on the earlier scan")
    if change.solid_before_mm == 0:
        course, words_of_part = "growing", "a new solid part"
    else:
        course = course_of(change.solid_before_mm, nodule.solid_diameter_mm, change.days)
        before = rounded(change.solid_before_mm, 1)
        words_of_part = f"the solid part growing from {before:g} mm"
    if course == "growing":
        category = _step(_solid(nodule, by), [4], ["4A", "4B"], by)
        return of_category(category, f"{words}, {words_of_part}")
    if course == "stable":
        course = course_of(change.before_mm, nodule.diameter_mm, change.days)
    if course == "growing":  # which the table does not name; it is not stable either
        rule = f"{words}, growing without its solid part: {_grew(change, nodule)}"
        return of_category(at_first(nodule, by), rule)
    return _not_growing(nodule, change, course, words, circumstances)


def _not_growing(
    nodule: Nodule, change: Change, course: str, words: str, circumstances: Circumstances
) -> Advice:
    """Judge a solid or part-solid nodule that is stable, smaller, or grows slowly."""
    by = circumstances.size_by
    if not course:
        return unknown("days between the scans, to tell growth")
    if course == "slow":
        return of_category("4B", f"{words}, slowly growing: {_grew(change, nodule)}")
    now, before = at_first(nodule, by), _at_first_before(nodule, change, by)
    if now == "2":
        return of_category("2", f"{words}, not growing")
    if before and ORDER.index(now) > ORDER.index(before):
        return of_category(now, f"{words}, over a limit since: {_grew(change, nodule)}")
    return _stepped(change, words, circumstances.prior_category)


def _at_first_before(nodule: Nodule, change: Change, by: SizeBy) -> str:
    """Return the category by size that a nodule had before; "" if that is not known."""
    before = replace(
        nodule,
        diameter_mm=change.before_mm,
        volume_mm3=change.before_mm3,
        solid_diameter_mm=change.solid_before_mm,
        solid_volume_mm3=math.nan,  # the growth table has the diameter alone
    )
    whole = _whole(before, by)
    if math.isnan(whole):
        return ""
    by_solid = nodule.type == "part-solid" and not _step(whole, [6], ["2", ""], by)
    return "" if by_solid and math.isnan(_solid(before, by)) else at_first(before, by)


def _stepped(change: Change, words: str, prior: str | None) -> Advice:
    """Go one category down if a nodule did not grow until its follow-up."""
    if prior is None:
        return unknown("the category on the earlier scan")
    if prior == "2":
        return of_category("2", f"{words}, not growing, category 2 before")
    if prior not in _LOWER:
        return unknown(f"what the work-up after category {prior} found")
    if math.isnan(change.days):
        return unknown("days between the scans")
    if change.days < _FOLLOW_UP_DAYS[prior]:
        rule = f"{words}, not growing, but only {change.days:.0f} days after category {prior}"
        return of_category(prior, rule)
    rule = f"{words}, not growing {change.days:.0f} days after category {prior}"
    return of_category(_LOWER[prior], rule)
