"""Fleischner 2017: what to do about nodules that were found by chance.

MacMahon et al. 2017 (doi:10.1148/radiol.2017161659), table 1 and its text.
"""

from napari_ctlns.measurement.guidelines.advice import (
    UNKNOWN,
    Advice,
    Circumstances,
    Nodule,
    rounded,
)

NAME = "Fleischner 2017"
YOUNGEST = 35
GROWTH_MM = 2
"""What the mean diameter must grow by to be more than its error."""
SUSPICIOUS_SOLID_MM, LARGE_SOLID_MM = 6, 8
"""A solid part as large as the first is suspicious, one larger than the second more so."""

_SMALL, _MIDDLE, _LARGE = 0, 1, 2
_SIZES = {
    "diameter": ("below 6 mm", "6 to 8 mm", "above 8 mm"),
    "volume": ("below 100 mm³", "100 to 250 mm³", "above 250 mm³"),
}
_NONE = "no routine follow-up"
_OPTIONAL = "CT in 12 months is optional"
_SINGLE_LOW = "CT in 6 to 12 months, then consider CT in 18 to 24 months"
_SINGLE_HIGH = "CT in 6 to 12 months, then CT in 18 to 24 months"
_LARGE_SINGLE = "consider CT in 3 months, PET/CT or tissue sampling"
_MANY_LOW = "CT in 3 to 6 months, then consider CT in 18 to 24 months"
_MANY_HIGH = "CT in 3 to 6 months, then CT in 18 to 24 months"
_SOLID = {
    ("single", "low"): (_NONE, _SINGLE_LOW, _LARGE_SINGLE),
    ("single", "high"): (_OPTIONAL, _SINGLE_HIGH, _LARGE_SINGLE),
    ("multiple", "low"): (_NONE, _MANY_LOW, _MANY_LOW),
    ("multiple", "high"): (_OPTIONAL, _MANY_HIGH, _MANY_HIGH),
}
_GLASS = "CT in 6 to 12 months whether it persists, then CT every 2 years until 5 years"
_PART_SOLID = (
    "CT in 3 to 6 months whether it persists; if it is unchanged and its solid part stays "
    "below 6 mm, CT every year for 5 years"
)
_PART_SOLID_LARGE = (
    "CT in 3 to 6 months whether it persists; a solid part of 6 mm or more that does is "
    "highly suspicious: consider PET/CT, biopsy or resection"
)
_PART_SOLID_LARGEST = (
    "PET/CT, biopsy or resection, for its solid part is above 8 mm; such nodules may be "
    "transient, too, as CT in 3 to 6 months shows"
)
_MANY_SMALL = "CT in 3 to 6 months; if stable, consider CT in 2 and 4 years"
_MANY_SUBSOLID = "CT in 3 to 6 months, then as for the most suspicious nodule"


def fleischner(nodule: Nodule, circumstances: Circumstances, count: int) -> Advice:
    """Return what is advised for a nodule of a scan with ``count`` nodules, and the rule.

    Mean diameters count to whole mm, as the guideline rounds; volumes as they are.
    """
    missing = not_for(circumstances)
    if missing is not None:
        return missing
    if nodule.cut_by_edge:
        return unknown("its size: it is cut by the edge of the scan")
    grown = _growth(nodule)
    if grown:
        rule = f"{nodule.type} nodule, {grown}"
        return Advice(NAME, "growing", rule, "consider PET/CT, tissue sampling or resection")
    number = "single" if count == 1 else "multiple"
    size = _size(nodule, circumstances)
    if nodule.type == "solid":
        return _solid(nodule, circumstances, number, size)
    return _subsolid(nodule, circumstances, number, size)


def not_for(circumstances: Circumstances) -> Advice | None:
    """Say why the guideline does not serve a patient; None if it does."""
    if circumstances.excluded:
        return Advice(NAME, UNKNOWN, "not for patients with known cancer or immunosuppression")
    if circumstances.age is None:
        return unknown("age")
    if circumstances.age < YOUNGEST:
        return Advice(NAME, UNKNOWN, f"not for patients below {YOUNGEST} years")
    return None


def unknown(missing: str) -> Advice:
    """Return the advice that there is none, for want of something."""
    return Advice(NAME, UNKNOWN, f"not known: {missing}")


def suspicion(nodule: Nodule, circumstances: Circumstances) -> tuple[int, float]:
    """Return by what nodules are ordered, the most suspicious one last."""
    size = _size(nodule, circumstances)
    grade = {
        "solid": (0, 3, 5),
        "part-solid": (0, 4, 4),
        "ground-glass": (0, 2, 2),
    }[nodule.type][size]
    if nodule.type == "part-solid" and size > _SMALL and _has_large_solid_part(nodule):
        grade = 6
    return (7 if _growth(nodule) else grade), nodule.diameter_mm


def _size(nodule: Nodule, circumstances: Circumstances) -> int:
    if circumstances.size_by == "volume":
        return (nodule.volume_mm3 >= 100) + (nodule.volume_mm3 > 250)
    whole = rounded(nodule.diameter_mm)
    return (whole >= 6) + (whole > 8)


def _has_large_solid_part(nodule: Nodule) -> bool:
    return rounded(nodule.solid_diameter_mm) >= SUSPICIOUS_SOLID_MM


def _growth(nodule: Nodule) -> str:
    """Say how a nodule or its solid part grew, or nothing if none did or nobody knows."""
    if nodule.change is None:
        return ""
    sizes = {"that": (nodule.change.before_mm, nodule.diameter_mm)}
    if nodule.type == "part-solid":
        sizes["whose solid part"] = (nodule.change.solid_before_mm, nodule.solid_diameter_mm)
    for which, (before, after) in sizes.items():
        first, now = rounded(before), rounded(after)
        if now - first >= GROWTH_MM:
            return f"{which} grew by 2 mm or more: {first:.0f} to {now:.0f} mm"
    return ""


def _measured(nodule: Nodule, circumstances: Circumstances) -> str:
    if circumstances.size_by == "volume":
        return f"{nodule.volume_mm3:.1f} mm³"
    return f"{rounded(nodule.diameter_mm):.0f} mm"


def _solid(nodule: Nodule, circumstances: Circumstances, number: str, size: int) -> Advice:
    # above 8 mm a single nodule's risk makes no difference
    risk = circumstances.risk or ("low" if (number, size) == ("single", _LARGE) else None)
    if risk is None:
        return unknown("risk, low or high")
    category = f"solid, {number}, {_SIZES[circumstances.size_by][size]}"
    rule = f"{category} ({_measured(nodule, circumstances)})"
    if circumstances.risk is not None:
        rule += f", {risk} risk"
    return Advice(NAME, category, rule, _SOLID[number, risk][size])


def _subsolid(nodule: Nodule, circumstances: Circumstances, number: str, size: int) -> Advice:
    limit = {"diameter": "6 mm", "volume": "100 mm³"}[circumstances.size_by]
    of_size = f"below {limit}" if size == _SMALL else f"{limit} or more"
    category = f"{nodule.type}, {number}, {of_size}"
    rule = f"{category} ({_measured(nodule, circumstances)})"
    if number == "multiple":
        return Advice(NAME, category, rule, _MANY_SMALL if size == _SMALL else _MANY_SUBSOLID)
    if size == _SMALL:
        return Advice(NAME, category, rule, _NONE)
    if nodule.type == "ground-glass":
        return Advice(NAME, category, rule, _GLASS)
    rule += f", solid part {rounded(nodule.solid_diameter_mm):.0f} mm"
    return Advice(NAME, category, rule, _of_solid_part(nodule))


def _of_solid_part(nodule: Nodule) -> str:
    if rounded(nodule.solid_diameter_mm) > LARGE_SOLID_MM:
        return _PART_SOLID_LARGEST
    return _PART_SOLID_LARGE if _has_large_solid_part(nodule) else _PART_SOLID
