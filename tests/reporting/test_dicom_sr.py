"""Structured Reports: highdicom reads them back, dciodvfy says whether they are DICOM."""

import math
import shutil
import subprocess
from dataclasses import replace

import highdicom
import numpy as np
import pandas as pd
import pydicom
import pytest
from highdicom.sr import srread
from pydicom.sr.codedict import codes

from napari_ctlns.cli import main
from napari_ctlns.errors import OutputError
from napari_ctlns.findings import Finding, Findings
from napari_ctlns.formats import read_mask_onto, read_scan, write_volume
from napari_ctlns.measurement import COLUMNS
from napari_ctlns.reporting.dicom_sr import write_sr
from napari_ctlns.reporting.measuring import all_measured
from napari_ctlns.reporting.method import ModelName
from napari_ctlns.reporting.quantities import QUANTITIES

NOT_MEASURED = {"label", "touches_border", *(f"centroid_{axis}_mm" for axis in "xyz")}


def dciodvfy(path):
    """What DICOM's own verifier calls an error."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is missing; on Debian: apt-get install dicom3tools")
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if line.startswith("Error")]


def told(group):
    """The numbers of a measurement group, by concept and derivation."""
    found = {}
    for one in group.get_measurements():
        item = one[0]
        derivations = [
            child.value
            for child in item.get("ContentSequence", ())
            if child.name == codes.DCM.Derivation
        ]
        code = derivations[0].value if derivations else ""
        found[item.name.value, code] = (one.value, one.unit.value)
    return found


def test_the_numbers_are_those_of_the_table(tmp_path, series, table):
    volume, mask = series
    write_sr(table, mask, volume, tmp_path / "r.dcm")
    report = srread(tmp_path / "r.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(table) == 2
    for group, (_, row) in zip(groups, table.iterrows(), strict=True):
        numbers = told(group)
        expected = {}
        for column in set(row.index) & set(QUANTITIES):
            q = QUANTITIES[column]
            if math.isfinite(row[column]):
                key = (q.concept[0], q.derivation[0] if q.derivation else "")
                expected[key] = (pytest.approx(row[column] * q.factor, rel=1e-15), q.unit[0])
        assert numbers == expected
    assert set(COLUMNS) - NOT_MEASURED <= set(QUANTITIES)


def test_codes_have_the_meanings_that_dicom_gives_them():
    """Those that pydicom knows; it has what the standard's part 16 has."""
    from pydicom.sr._concepts_dict import concepts

    known = {}
    for scheme, names in concepts.items():
        for choices in names.values():
            for code, (meaning, _) in choices.items():
                known.setdefault((scheme, code), set()).add(meaning.lower())
    used = [
        c for q in QUANTITIES.values() for c in (q.concept, q.unit, q.derivation) if c is not None
    ]
    checked = [code for code in used if (code[1], code[0]) in known]
    assert len(checked) > 30
    assert [c for c in checked if c[2].lower() not in known[c[1], c[0]]] == []
    assert max(len(value) for value, _, _ in used) <= 16  # else it is another attribute
    keys = [(q.concept, q.derivation) for q in QUANTITIES.values()]
    assert len(set(keys)) == len(keys)


def test_each_group_is_tied_to_its_segment_and_finding(tmp_path, series, table):
    volume, mask = series
    findings = Findings(items=(Finding(label=2, uid="a" * 32), Finding(label=5, uid="b" * 32)))
    kept = write_sr(table, mask, volume, tmp_path / "r.dcm", findings, ModelName("m", "1"))
    assert kept == tmp_path / "r_seg.dcm"
    seg = highdicom.seg.segread(kept)
    report = srread(tmp_path / "r.dcm")
    for number, (uid, label) in enumerate((("a" * 32, 2), ("b" * 32, 5)), start=1):
        tracking_uid = f"2.25.{int(uid, 16)}"
        (group,) = report.content.get_volumetric_roi_measurement_groups(tracking_uid=tracking_uid)
        assert group.tracking_identifier == uid
        assert group.finding_type == codes.SCT.Nodule
        assert group.finding_sites[0].value == codes.SCT.Lung
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert segment.referenced_segment_numbers == [number]
        description = seg.get_segment_description(number)
        assert description.segment_label == f"Nodule {label}"
        assert description.tracking_uid == tracking_uid
        source = segment.source_series_for_segmentation
        assert source.value == volume.source.series_uid
    assert (report.PatientID, report.PatientName) == ("ZQX-471199", "Zzyzx^Quentin")
    assert report.StudyInstanceUID == seg.StudyInstanceUID
    named = [
        one.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series_item in study.ReferencedSeriesSequence
        for one in series_item.ReferencedSOPSequence
    ]
    assert {s.uid for s in volume.source.slices} | {seg.SOPInstanceUID} == set(named)


def test_side_type_and_the_model_are_told(tmp_path, series, table):
    volume, mask = series
    table["side"], table["type"] = "left", "part-solid"
    write_sr(table, mask, volume, tmp_path / "r.dcm", model=ModelName("ct-lns", "9.9"))
    group = srread(tmp_path / "r.dcm").content.get_volumetric_roi_measurement_groups()[0]
    assert group.finding_sites[0].laterality == codes.SCT.Left
    (evaluation,) = (
        e for e in group.get_qualitative_evaluations() if e.value.value == "PART_SOLID"
    )
    assert evaluation.value.meaning == "Part-solid"
    (certainty,) = group.get_measurements(name=codes.DCM.CertaintyOfFinding)
    assert certainty.value == 87.5
    names = [str(item.value) for item in certainty[0].ContentSequence]
    assert names == ["ct-lns", "9.9"]


def test_a_seg_of_the_series_is_referred_to_and_another_mask_gets_one(tmp_path, series, capsys):
    volume, mask = series
    folder = str(volume.source.path)
    write_volume(mask, tmp_path / "m.dcm")
    write_volume(mask, tmp_path / "m.nii.gz")
    command = ["measure", folder, str(tmp_path / "m.dcm"), "--out"]
    assert main([*command, str(tmp_path / "r.dcm")]) == 0
    assert str(tmp_path / "m.dcm") in capsys.readouterr().err
    command = ["measure", folder, str(tmp_path / "m.nii.gz"), "--out"]
    assert main([*command, str(tmp_path / "of.dcm")]) == 0
    names = {"m.dcm", "m.nii.gz", "of.dcm", "of_seg.dcm", "r.dcm"}
    assert {p.name for p in tmp_path.iterdir()} == names


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segs_of_others_without_tracking_ids_are_referred_to_or_drawn_anew(tmp_path, series, kind):
    volume, mask = series
    images = [pydicom.dcmread(one.path) for one in volume.source.slices]
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"lesion {number}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Nodule,
            algorithm_type="MANUAL",
        )
        for number in (1, 2)
    ]
    pixels = np.searchsorted([0, 2, 5], mask.array).astype(np.uint8)
    uids = (highdicom.UID(), 1, highdicom.UID(), 1)
    seg = highdicom.seg.Segmentation(images, pixels, kind, segments, *uids, "X", "Y", "1", "2")
    seg.save_as(tmp_path / "m.dcm")
    read = read_mask_onto(tmp_path / "m.dcm", volume)
    kept = write_sr(all_measured(read, volume), read, volume, tmp_path / "r.dcm")
    assert kept.name == {"BINARY": "m.dcm", "LABELMAP": "r_seg.dcm"}[kind]
    groups = srread(tmp_path / "r.dcm").content.get_volumetric_roi_measurement_groups()
    assert [g.referenced_segment.referenced_segment_numbers for g in groups] == [[1], [2]]
    assert len({g.tracking_uid for g in groups}) == 2
    of = pydicom.dcmread(kept).SOPInstanceUID
    assert {g.referenced_segment.referenced_sop_instance_uid for g in groups} == {of}
    assert dciodvfy(tmp_path / "r.dcm") == []


def test_the_verifier_finds_no_error(tmp_path, series, table):
    volume, mask = series
    seg = write_sr(table, mask, volume, tmp_path / "r.dcm", model=ModelName("m", "1"))
    assert dciodvfy(seg) == []
    assert dciodvfy(tmp_path / "r.dcm") == []


def test_the_verifier_finds_no_error_where_the_scan_s_own_header_has_some(tmp_path, series):
    volume, mask = series
    folder = tmp_path / "ct"
    shutil.copytree(volume.source.path, folder)
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            ds.PatientAge, ds.PatientSex = "0Y", "unknown"
            ds.ReferencedStudySequence = [pydicom.Dataset()]
            ds.save_as(path)
    own = read_scan(folder)
    seg = write_sr(all_measured(mask, own), own.mask(mask.array), own, tmp_path / "r.dcm")
    assert dciodvfy(seg) == []
    assert dciodvfy(tmp_path / "r.dcm") == []


def test_the_command_writes_what_the_csv_has(tmp_path, series, capsys):
    volume, mask = series
    write_volume(mask, tmp_path / "m.nii.gz")
    command = ["measure", str(volume.source.path), str(tmp_path / "m.nii.gz"), "--out"]
    for name in ("t.csv", "r.dcm"):
        assert main([*command, str(tmp_path / name)]) == 0
    table = pd.read_csv(tmp_path / "t.csv", float_precision="round_trip")
    groups = srread(tmp_path / "r.dcm").content.get_volumetric_roi_measurement_groups()
    for group, (_, row) in zip(groups, table.iterrows(), strict=True):
        numbers = told(group)
        for column in set(COLUMNS) - NOT_MEASURED - {"mean_probability"}:
            q = QUANTITIES[column]
            value, _ = numbers[q.concept[0], q.derivation[0] if q.derivation else ""]
            assert value == row[column]


def test_what_cannot_be_reported_is_said_and_leaves_nothing(tmp_path, series, table, capsys):
    volume, mask = series
    write_volume(volume, tmp_path / "ct.nii.gz")
    write_volume(mask, tmp_path / "m.nii.gz")
    before = sorted(p.name for p in tmp_path.iterdir())
    words = ["measure", *(str(tmp_path / n) for n in ("ct.nii.gz", "m.nii.gz"))]
    assert main([*words, "--out", str(tmp_path / "r.dcm")]) == 2
    error = capsys.readouterr().err
    assert "cannot write r.dcm: DICOM SR needs a DICOM scan to refer to" in error
    assert "choose .csv or .json, or give the DICOM series of this scan" in error
    gone = replace(volume.source.slices[0], path=tmp_path / "gone")
    without = replace(volume, source=replace(volume.source, slices=(gone,)))
    with pytest.raises(OutputError, match="is gone"):
        write_sr(table, without.mask(mask.array), without, tmp_path / "r.dcm")
    table.loc[0, "label"] = 77
    with pytest.raises(OutputError, match="label 77 is no segment"):
        write_sr(table, mask, volume, tmp_path / "r.dcm")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_report_never_takes_the_place_of_its_mask(tmp_path, series):
    volume, mask = series
    write_volume(mask, tmp_path / "m.dcm")
    read = read_mask_onto(tmp_path / "m.dcm", volume)
    with pytest.raises(OutputError, match="is the mask itself"):
        write_sr(all_measured(read, volume), read, volume, tmp_path / "m.dcm")
    assert pydicom.dcmread(tmp_path / "m.dcm").Modality == "SEG"
