"""No name, id, date or path of a patient leaves, but where it is asked for or DICOM wants it."""

import base64
import re

import numpy as np
import pytest

from napari_ctlns.cli import main
from napari_ctlns.formats import read_probability, write_candidates, write_volume
from napari_ctlns.measurement import measure, write_table
from napari_ctlns.measurement.candidates import candidates_of


@pytest.fixture
def written(tmp_path, series):
    """Every file that goes out, by name, of a scan with telling names; and the scan's folder."""
    volume, mask = series
    inputs, out = tmp_path / "in", tmp_path / "out"
    write_volume(mask, inputs / "m.dcm")
    write_volume(volume.probability(np.full(mask.array.shape, 0.5, np.float32)), inputs / "p.mha")
    scan, labels = str(volume.source.path), str(inputs / "m.dcm")
    for name, more in (("t.csv", ["--details"]), ("r.dcm", [])):
        assert main(["measure", scan, labels, "--out", str(out / name), *more]) == 0
    for name, more in (("r.html", []), ("told.html", ["--identify"])):
        assert main(["report", scan, labels, "--out", str(out / name), *more]) == 0
    for name in ("n.obj", "n.stl"):
        assert main(["mesh", labels, "--out", str(out / name)]) == 0
    table = measure(mask, volume, read_probability(inputs / "p.mha", volume))
    write_table(table, out / "t.json")
    write_candidates(out / "c.csv", candidates_of(table, volume.scan_id))
    return {path.name: path.read_bytes() for path in out.iterdir()}


def seen(content):
    """All bytes of a file, those of the pictures in a page included."""
    pictures = re.findall(rb"base64,([A-Za-z0-9+/=]+)", content)
    return content + b"".join(base64.b64decode(picture) for picture in pictures)


def test_only_what_must_tell_whose_scan_it_is_does(written, identity, series):
    volume, _ = series
    uid = volume.source.series_uid.encode()
    found = {
        name: {word for word in identity if word in seen(content)}
        for name, content in written.items()
    }
    assert {name for name, words in found.items() if words} == {"r.dcm", "told.html", "c.csv"}
    assert found["c.csv"] == {uid}  # by which LUNA16 knows scans
    assert {b"Zzyzx", b"ZQX-471199", b"20010203"} <= found["told.html"] & found["r.dcm"]
    assert b"qqpath-of-zzyzx" in found["told.html"]
    assert b"qqpath-of-zzyzx" not in found["r.dcm"]


def test_warnings_of_a_mask_of_another_series_hide_whose_it_is(tmp_path, series, identity):
    """A warning names the series that the mask was drawn on: not on the page."""
    from dataclasses import replace

    from napari_ctlns.reporting.measuring import all_measured
    from napari_ctlns.reporting.page import write_page

    volume, mask = series
    words = f"drawn on another series ({volume.source.series_uid}) in {volume.source.path}: check"
    mask = replace(mask, source=replace(mask.source, warnings=(words,)))
    write_page(tmp_path / "r.html", volume, mask, all_measured(mask, volume))
    page = (tmp_path / "r.html").read_bytes()
    assert b"drawn on another series (" in page
    assert not [word for word in identity if word in page]
