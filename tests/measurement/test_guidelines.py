"""Every line of both guidelines' tables, with its limits after rounding."""

import math

import pandas as pd
import pytest

from napari_ctlns.errors import MaskError
from napari_ctlns.measurement.guidelines import (
    ADVICE_COLUMNS,
    NOTICE,
    UNKNOWN,
    Circumstances,
    advise,
    advise_scan,
    read_growth,
    with_advice,
)

FIRST = Circumstances("screening", prior="none")
CHANCE = Circumstances("incidental", risk="low", age=60)


def nodules(*rows):
    """A table of nodules from (type, mean diameter, solid part's diameter)."""
    table = []
    for label, (kind, mm, *rest) in enumerate(rows, start=1):
        solid = mm if kind == "solid" else rest[0] if rest else 0.0
        table.append(
            {
                "label": label,
                "type": kind,
                "mean_diameter_mm": mm,
                "volume_mm3": math.pi / 6 * mm**3,
                "solid_diameter_mm": solid,
                "solid_volume_mm3": math.pi / 6 * solid**3,
                "cut_by_edge": False,
            }
        )
    return pd.DataFrame(table, columns=list(table[0]) if table else ["label", "type"])


def followed(before_mm, days=365.0, status="paired", label=1, **more):
    """A growth table of one nodule."""
    volume = math.pi / 6 * before_mm**3 if before_mm is not None else math.nan
    row = {
        "label": pd.NA if status == "new" else 9,
        "later_label": label,
        "status": status,
        "days": days,
        "mean_diameter_mm": before_mm,
        "volume_mm3": volume,
        **more,
    }
    return pd.DataFrame([row]).astype({"label": "Int64", "later_label": "Int64"})


NEW = followed(None, status="new")


def category(nodule, circumstances, growth=None):
    (one,) = advise(nodules(nodule), circumstances, growth)[1]
    assert one.rule
    assert (one.category == UNKNOWN) == (one.advice == "")
    return one.category


# -- Lung-RADS v2022 ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodule", "wanted"),
    [
        (("solid", 5.94), "2"),  # 5.9 mm
        (("solid", 5.95), "3"),  # 6.0 mm
        (("solid", 7.94), "3"),
        (("solid", 7.95), "4A"),
        (("solid", 14.94), "4A"),
        (("solid", 14.95), "4B"),
        (("part-solid", 5.94, 5.0), "2"),
        (("part-solid", 6.0, 5.94), "3"),
        (("part-solid", 20.0, 5.95), "4A"),
        (("part-solid", 20.0, 7.94), "4A"),
        (("part-solid", 20.0, 7.95), "4B"),
        (("ground-glass", 29.94), "2"),
        (("ground-glass", 29.95), "3"),
    ],
)
def test_lung_rads_on_the_first_scan(nodule, wanted):
    assert category(nodule, FIRST) == wanted


@pytest.mark.parametrize(
    ("nodule", "wanted"),
    [
        (("solid", 3.94), "2"),
        (("solid", 3.95), "3"),
        (("solid", 5.94), "3"),
        (("solid", 5.95), "4A"),
        (("solid", 7.94), "4A"),
        (("solid", 7.95), "4B"),
        (("part-solid", 5.94, 3.0), "3"),
        (("part-solid", 6.0, 3.94), "4A"),
        (("part-solid", 6.0, 3.95), "4B"),
        (("ground-glass", 29.94), "2"),
        (("ground-glass", 29.95), "3"),
    ],
)
def test_lung_rads_of_new_nodules(nodule, wanted):
    assert category(nodule, Circumstances("screening"), NEW) == wanted


@pytest.mark.parametrize(
    ("nodule", "before", "more", "wanted"),
    [
        (("solid", 7.94), 6.3, {}, "4A"),  # 1.6 mm more
        (("solid", 7.95), 6.4, {}, "4B"),
        (("ground-glass", 29.94), 20.0, {}, "2"),
        (("ground-glass", 30.0), 20.0, {}, "3"),
        (("part-solid", 12.0, 3.9), 12.0, {"solid_diameter_mm": 2.0}, "4A"),
        (("part-solid", 12.0, 4.0), 12.0, {"solid_diameter_mm": 2.0}, "4B"),
        (("part-solid", 12.0, 3.0), 12.0, {"solid_diameter_mm": 0.0}, "4A"),
        (("part-solid", 12.0, 5.0), 12.0, {"solid_diameter_mm": 0.0}, "4B"),
        (("part-solid", 12.0, 9.0), 8.0, {}, "4B"),  # whatever the solid part was
        (("part-solid", 12.0, 5.0), 8.0, {}, UNKNOWN),
    ],
)
def test_lung_rads_of_growing_nodules(nodule, before, more, wanted):
    assert category(nodule, Circumstances("screening"), followed(before, **more)) == wanted


@pytest.mark.parametrize(
    ("before", "after", "days", "wanted"),
    [
        (6.0, 7.5, 365, "not growing"),  # 1.5 mm is no growth
        (6.0, 7.6, 365, "growing: 6 to 7.6 mm"),
        (6.0, 7.6, 390, "growing"),  # a yearly scan some weeks late
        (6.0, 8.0, 730, "slowly growing"),
        (6.0, 9.2, 730, "growing: 6 to 9.2"),  # more than 1.5 mm a year
    ],
)
def test_growth_is_more_than_one_and_a_half_millimetres_in_a_year(before, after, days, wanted):
    said = Circumstances("screening", prior_category="3")
    (one,) = advise(nodules(("solid", after)), said, followed(before, days))[1]
    assert wanted in one.rule or "over a limit" in one.rule
    if wanted == "slowly growing":
        assert one.category == "4B"
    assert ("slowly" in one.rule) == (wanted == "slowly growing")


@pytest.mark.parametrize(
    ("nodule", "prior", "days", "wanted"),
    [
        (("solid", 5.0), None, 365, "2"),
        (("solid", 7.0), None, 365, UNKNOWN),
        (("solid", 7.0), "2", 365, "2"),
        (("solid", 7.0), "3", 183, "2"),
        (("solid", 7.0), "3", 90, "3"),  # not yet the follow-up after 6 months
        (("solid", 9.0), "4A", 92, "3"),
        (("solid", 9.0), "4A", 40, "4A"),
        (("solid", 16.0), "4B", 365, UNKNOWN),  # what the work-up found is not known
        (("ground-glass", 35.0), None, 365, "2"),
        (("part-solid", 12.0, 5.0), "3", 183, "2"),
        (("part-solid", 12.0, 6.5), "4A", 92, "3"),
    ],
)
def test_lung_rads_goes_down_by_a_step_for_what_does_not_grow(nodule, prior, days, wanted):
    solid = nodule[-1] if nodule[0] == "part-solid" else math.nan
    growth = followed(nodule[1], days, solid_diameter_mm=solid)
    said = Circumstances("screening", prior_category=prior)
    assert category(nodule, said, growth) == wanted
    smaller = followed(nodule[1] + 3, days, solid_diameter_mm=solid)
    assert category(nodule, said, smaller) == wanted


def test_over_a_limit_a_nodule_is_judged_by_its_size_though_it_did_not_grow():
    said = Circumstances("screening", prior_category="2")
    assert category(("solid", 6.4), said, followed(5.4)) == "3"
    assert category(("solid", 6.4), said, followed(6.1)) == "2"


@pytest.mark.parametrize(
    ("nodule", "before", "solid_before", "wanted"),
    [
        (("part-solid", 6.4, 3.0), 5.4, 3.0, "3"),  # 6 mm in all are reached
        (("part-solid", 6.4, 3.0), 6.1, 3.0, "2"),  # and were before
        (("part-solid", 12.0, 6.4), 12.0, 5.4, "4A"),  # its solid part is over 6 mm since
        (("part-solid", 12.0, 5.4), 12.0, 5.0, "2"),
        # the whole grows, the solid part does not: neither stable nor a growing solid part
        (("part-solid", 12.0, 3.0), 8.0, 3.0, "3"),
        (("part-solid", 12.0, 6.5), 8.0, 6.5, "4A"),
        (("part-solid", 5.9, 3.0), 4.0, 3.0, "2"),
    ],
)
def test_over_a_limit_a_part_solid_nodule_is_judged_by_its_size(
    nodule, before, solid_before, wanted
):
    said = Circumstances("screening", prior_category="2")
    growth = followed(before, solid_diameter_mm=solid_before)
    assert category(nodule, said, growth) == wanted


def test_by_volume_a_part_solid_nodule_crosses_limits_too():
    # 5.4 and 6.4 mm are 82 and 137 mm3; the limit is 113 mm3
    said = Circumstances("screening", prior_category="2", size_by="volume")
    small = ("part-solid", 6.4, 3.0)
    assert category(small, said, followed(5.4, solid_diameter_mm=3.0)) == "3"
    # above it the solid part's volume before is what counts, and that is not known
    assert category(small, said, followed(6.3, solid_diameter_mm=3.0)) == "2"


@pytest.mark.parametrize(
    ("volume", "wanted"),
    [(112.4, "2"), (112.5, "3"), (267.4, "3"), (267.5, "4A"), (1766.4, "4A"), (1766.5, "4B")],
)
def test_lung_rads_by_volume(volume, wanted):
    table = nodules(("solid", 50.0)).assign(volume_mm3=volume)
    said = Circumstances("screening", prior="none", size_by="volume")
    assert advise(table, said)[1][0].category == wanted


@pytest.mark.parametrize(
    ("remark", "nodule", "wanted"),
    [
        ("benign", ("solid", 20.0), "1"),
        ("infectious", ("solid", 20.0), "0"),
        ("juxtapleural", ("solid", 9.94), "2"),
        ("juxtapleural", ("solid", 9.95), "4A"),
        ("juxtapleural", ("part-solid", 9.0, 6.0), "4A"),
        ("suspicious", ("solid", 5.0), "2"),
        ("suspicious", ("solid", 7.0), "4X"),
        ("suspicious", ("solid", 16.0), "4X"),
        ("airway", ("solid", 7.0), UNKNOWN),
        ("cyst", ("solid", 7.0), UNKNOWN),
    ],
)
def test_what_a_person_saw_counts_in_lung_rads(remark, nodule, wanted):
    assert category(nodule, Circumstances("screening", prior="none", remarks={1: remark})) == wanted


def test_without_inputs_lung_rads_says_what_is_missing():
    table = nodules(("solid", 7.0))
    (one,) = advise(table, Circumstances("screening"))[1]
    assert one.category == UNKNOWN
    assert "growth since the earlier scan, or that there was none" in one.rule
    assert category(("solid", 7.0), Circumstances("screening", prior="awaited")) == "0"
    cut = table.assign(cut_by_edge=True)
    assert "cut by the edge" in advise(cut, FIRST)[1][0].rule
    unknown_days = followed(5.0, math.nan)
    assert category(("solid", 7.0), Circumstances("screening"), unknown_days) == UNKNOWN


def test_the_scan_has_the_highest_category_of_its_nodules():
    table = nodules(("solid", 5.0), ("solid", 9.0), ("solid", 7.0))
    (scan,) = advise_scan(table, FIRST)
    assert scan.category == "4A"
    assert scan.rule.startswith("nodule 2: ")
    assert advise_scan(nodules(), FIRST)[0].category == "1"
    assert advise_scan(nodules(), Circumstances("screening", prior="awaited"))[0].category == "0"
    # with a nodule of unknown growth the highest is not known, unless there is nothing higher
    growth = followed(4.0, label=2)
    assert advise_scan(nodules(("solid", 9.0), ("solid", 5.0)), FIRST, growth)[0].category == "4A"
    said = Circumstances("screening")
    assert advise_scan(nodules(("solid", 9.0), ("solid", 5.0)), said, growth)[0].category == UNKNOWN
    growing = followed(4.0, label=2)
    two = nodules(("solid", 9.0), ("solid", 9.0))
    assert advise_scan(two, said, growing)[0].category == "4B"


# -- Fleischner 2017 ------------------------------------------------------------------

SOLID = {
    (1, "low", 5.49): "no routine",
    (1, "low", 5.5): "6 to 12 months, then consider CT in 18 to 24",
    (1, "low", 8.49): "6 to 12 months, then consider CT in 18 to 24",
    (1, "low", 8.5): "3 months, PET/CT or tissue sampling",
    (1, "high", 5.49): "12 months is optional",
    (1, "high", 5.5): "6 to 12 months, then CT in 18 to 24",
    (1, "high", 8.49): "6 to 12 months, then CT in 18 to 24",
    (1, "high", 8.5): "3 months, PET/CT or tissue sampling",
    (2, "low", 5.49): "no routine",
    (2, "low", 5.5): "3 to 6 months, then consider CT in 18 to 24",
    (2, "low", 8.5): "3 to 6 months, then consider CT in 18 to 24",
    (2, "high", 5.49): "12 months is optional",
    (2, "high", 5.5): "3 to 6 months, then CT in 18 to 24",
    (2, "high", 8.5): "3 to 6 months, then CT in 18 to 24",
}


@pytest.mark.parametrize("case", SOLID)
def test_fleischner_of_solid_nodules(case):
    count, risk, mm = case
    table = nodules(*[("solid", mm)] * count)
    (one,) = advise(table, Circumstances("incidental", risk=risk, age=35))[1]
    assert SOLID[case] in one.advice
    assert f"{mm + 1e-6:.0f} mm" in one.rule


@pytest.mark.parametrize(
    ("count", "nodule", "wanted"),
    [
        (1, ("ground-glass", 5.49), "no routine"),
        (1, ("ground-glass", 5.5), "6 to 12 months whether it persists, then CT every 2 years"),
        (1, ("part-solid", 5.49, 3.0), "no routine"),
        (1, ("part-solid", 5.5, 5.49), "3 to 6 months whether it persists; if it is unchanged"),
        (1, ("part-solid", 12.0, 5.5), "highly suspicious"),
        (1, ("part-solid", 12.0, 8.49), "highly suspicious"),
        (1, ("part-solid", 12.0, 8.5), "PET/CT, biopsy or resection, for its solid part"),
        (2, ("ground-glass", 5.49), "3 to 6 months; if stable, consider CT in 2 and 4 years"),
        (2, ("ground-glass", 5.5), "most suspicious"),
        (2, ("part-solid", 5.49, 3.0), "3 to 6 months; if stable, consider CT in 2 and 4 years"),
        (2, ("part-solid", 5.5, 3.0), "most suspicious"),
    ],
)
def test_fleischner_of_subsolid_nodules_whatever_the_risk(count, nodule, wanted):
    table = nodules(*[nodule] * count)
    for risk in (None, "low", "high"):
        (one,) = advise(table, Circumstances("incidental", risk=risk, age=60))[1]
        assert wanted in one.advice


@pytest.mark.parametrize(
    ("volume", "wanted"),
    [(99.9, "below 100"), (100.0, "100 to 250"), (250.0, "100 to 250"), (250.1, "above 250")],
)
def test_fleischner_by_volume(volume, wanted):
    table = nodules(("solid", 30.0)).assign(volume_mm3=volume)
    said = Circumstances("incidental", risk="low", age=60, size_by="volume")
    assert wanted in advise(table, said)[1][0].category


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        (Circumstances("incidental", risk="low"), "age"),
        (Circumstances("incidental", risk="low", age=34), "below 35"),
        (Circumstances("incidental", age=60), "risk"),
        (Circumstances("incidental", risk="low", age=60, excluded=True), "immunosuppression"),
    ],
)
def test_without_inputs_fleischner_says_what_is_missing(said, missing):
    (one,) = advise(nodules(("solid", 7.0)), said)[1]
    assert (one.category, one.advice) == (UNKNOWN, "")
    assert missing in one.rule
    # above 8 mm the risk of a single nodule makes no difference
    if said.age == 60 and not said.excluded:
        assert category(("solid", 9.0), said) != UNKNOWN


def test_what_grew_is_beyond_the_tables_of_fleischner():
    assert category(("solid", 8.0), CHANCE, followed(6.0)) == "growing"
    assert category(("solid", 7.0), CHANCE, followed(6.0)) == "solid, single, 6 to 8 mm"
    for solid_before, wanted in [(3.0, "growing"), (0.0, "growing"), (4.0, ""), (math.nan, "")]:
        grown = followed(12.0, solid_diameter_mm=solid_before)
        found = category(("part-solid", 12.0, 5.4), CHANCE, grown)
        assert found == (wanted or "part-solid, single, 6 mm or more")


def test_the_most_suspicious_nodule_speaks_for_the_scan():
    table = nodules(("solid", 5.0), ("part-solid", 12.0, 7.0), ("solid", 14.0))
    (scan,) = advise_scan(table, CHANCE)
    assert scan.rule.startswith("nodule 2: part-solid, multiple")
    assert advise_scan(nodules(), CHANCE)[0].category == "no nodules"
    assert advise_scan(nodules(("solid", 5.0), ("ground-glass", 9.0)), CHANCE)[0].rule.startswith(
        "nodule 2"
    )


# -- both -------------------------------------------------------------------------------


def test_without_a_setting_neither_is_determinable():
    table = nodules(("solid", 7.0), ("solid", 8.0))
    both = advise(table, Circumstances())
    assert [a.guideline for a in both[2]] == ["Lung-RADS v2022", "Fleischner 2017"]
    assert {a.category for a in both[1]} == {UNKNOWN}
    assert advise_scan(table, Circumstances()) == both[1]
    assert "not a medical device" in NOTICE


def test_advice_as_columns():
    table = with_advice(nodules(("solid", 7.0), ("solid", 9.0)), FIRST)
    assert tuple(table.columns[-4:]) == ADVICE_COLUMNS
    assert table["category"].tolist() == ["3", "4A"]
    assert with_advice(nodules(), FIRST).empty


@pytest.mark.parametrize("extension", ["csv", "json"])
def test_growth_is_read_back(tmp_path, extension):
    growth = pd.concat([followed(6.0), followed(None, status="new", label=2)])
    path = tmp_path / f"growth.{extension}"
    if extension == "csv":
        growth.to_csv(path, index=False)
    else:
        growth.to_json(path, orient="records")
    said = Circumstances("screening", prior_category="3")
    table = nodules(("solid", 9.0), ("solid", 5.0))
    assert advise(table, said, read_growth(path)) == advise(table, said, growth)
    assert [a[0].category for a in advise(table, said, growth).values()] == ["4B", "3"]


@pytest.mark.parametrize("text", ["", "label,status\n1,new\n", '[{"label": 1}]'])
def test_what_is_no_growth_table_is_refused(tmp_path, text):
    for name in ("growth.csv", "growth.json", "absent.csv"):
        if name != "absent.csv":
            (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(MaskError, match="no growth table in"):
            read_growth(tmp_path / name)
