"""LIDC-IDRI: a mask of each reader, their consensus, and what they said of the nodules."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ctlns.dataset import choose_mask, open_dataset
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import PrepareSpec

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "lidc-idri-0001"
Box = tuple[slice, slice, slice]
FAR = (slice(10, 12), slice(10, 16), slice(10, 16))


def outlined(box: Box, uids: tuple[str, ...], malignancy: int) -> str:
    """A nodule in the words of LIDC's XML: its outline runs one pixel outside the box."""
    y0, y1, x0, x1 = box[1].start - 1, box[1].stop, box[2].start - 1, box[2].stop
    ring = [(x, y0) for x in range(x0, x1)] + [(x1, y) for y in range(y0, y1)]
    ring += [(x, y1) for x in range(x1, x0, -1)] + [(x0, y) for y in range(y1, y0, -1)]
    ring.append(ring[0])
    edge = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in ring)
    rois = "".join(
        f"<roi><imageZposition>{100 + 2 * z}</imageZposition>"
        f"<imageSOP_UID>{uids[z]}</imageSOP_UID><inclusion>TRUE</inclusion>{edge}</roi>"
        for z in range(box[0].start, box[0].stop)
    )
    rated = f"<characteristics><malignancy>{malignancy}</malignancy></characteristics>"
    return f"<unblindedReadNodule><noduleID>n</noduleID>{rated}{rois}</unblindedReadNodule>"


def reading(uid: str, readers: list[list[str]]) -> str:
    sessions = "".join(
        "<readingSession><servicingRadiologistID>anon</servicingRadiologistID>"
        f"{''.join(nodules)}</readingSession>"
        for nodules in readers
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><LidcReadMessage xmlns="http://www.nih.gov">'
        f"<ResponseHeader><SeriesInstanceUid>{uid}</SeriesInstanceUid></ResponseHeader>"
        f"{sessions}</LidcReadMessage>"
    )


def square(side: int) -> Box:
    """Slices 5 and 6 of a nodule in the lung, ``side`` pixels wide around (20, 24)."""
    half = side // 2
    return slice(5, 7), slice(20 - half, 20 + half), slice(24 - half, 24 + half)


@pytest.fixture
def lidc(tmp_path: Path, tiny_scan: Any, dicom_scan: Any) -> Path:
    """Two scans of 2 mm slices; of the first three readers saw one nodule, the fourth another."""
    folder = tmp_path / "LIDC-IDRI"
    scan = tiny_scan("", shape=(16, 40, 48), spacing=(2.0, 1.0, 1.0), nodules=())
    first = dicom_scan(folder / "LIDC-IDRI-0001" / "study" / "CT", scan, "LIDC-IDRI-0001")
    dicom_scan(folder / "LIDC-IDRI-0002" / "study" / "CT", scan, "LIDC-IDRI-0002")
    readers = [[outlined(square(n), first.slices, 5 - k)] for k, n in enumerate((6, 8, 10))]
    readers.append([outlined(FAR, first.slices, 1)])
    xml = tmp_path / "LIDC-XML-only" / "157"
    xml.mkdir(parents=True)
    (xml / "158.xml").write_text(reading(first.uid, readers), "utf-8")
    (xml / "159.xml").write_text(reading("1.2.840.99.1", readers), "utf-8")
    (xml / "160.xml").write_text("<LidcReadMessage>", "utf-8")
    return folder


@pytest.fixture
def spec_of(tmp_path: Path, recipe: Recipe) -> Callable[..., PrepareSpec]:
    def make(source: Path, **changes: Any) -> PrepareSpec:
        values = {
            "source": source,
            "out": tmp_path / "dataset",
            "recipe": recipe.with_changes({"preparation.spacing_mm": "native"}),
            "lidc_xml": tmp_path / "LIDC-XML-only",
            **changes,
        }
        return PrepareSpec(**values)

    return make


def boxes(*labelled: tuple[int, Box]) -> np.ndarray:
    mask = np.zeros((16, 40, 48), np.uint8)
    for label, box in labelled:
        mask[box] = label
    return mask


def test_consensus_counts_and_every_reader_is_kept(lidc: Path, spec_of: Any, prepared: Any) -> None:
    spec = spec_of(lidc)
    prepared(spec)
    dataset = open_dataset(spec.out)
    (scan,) = dataset.scans()
    assert scan.patient_id == "LIDC-IDRI-0001"
    readers = ["consensus", *(f"reader {n}" for n in (1, 2, 3, 4))]
    assert [r.reader for r in scan.card.masks] == readers
    assert scan.revision.reader == "consensus"
    # two of the three who saw the first nodule, the only one who saw the second
    np.testing.assert_array_equal(scan.mask(), boxes((1, square(8)), (2, FAR)))
    for reader, side in (("reader 1", 6), ("reader 2", 8), ("reader 3", 10)):
        own = choose_mask(scan, reader)
        np.testing.assert_array_equal(own.mask(), boxes((1, square(side))))
    np.testing.assert_array_equal(choose_mask(scan, "reader 4").mask(), boxes((2, FAR)))
    first, second = scan.card.ratings
    assert (first.label, second.label) == (1, 2)
    assert first.ratings == {f"reader {n + 1}": {"malignancy": 5 - n} for n in range(3)}
    assert second.ratings == {"reader 4": {"malignancy": 1}}
    centre = scan.card.annotations[0].centre
    np.testing.assert_allclose(scan.geometry.world_to_index(centre), (5.5, 19.5, 23.5))

    why = {Path(u.what).name: u.why for u in dataset.card.unmatched}
    assert "no contours of this scan" in why["CT"]
    assert why["159.xml"] == "no such scan: it is of 1.2.840.99.1"
    assert any("160.xml" in words for words in why.values())


def test_another_share_prepares_anew(lidc: Path, spec_of: Any, prepared: Any) -> None:
    prepared(spec_of(lidc))
    spec = spec_of(lidc, lidc_share=1.0)
    assert prepared(spec)[-1].result["new"] == 1
    (scan,) = open_dataset(spec.out).scans()
    np.testing.assert_array_equal(scan.mask(), boxes((1, square(6)), (2, FAR)))
    assert prepared(spec)[-1].result["new"] == 0


def test_on_the_grid_of_a_recipe(lidc: Path, spec_of: Any, prepared: Any, recipe: Recipe) -> None:
    spec = spec_of(lidc, recipe=recipe)  # 1 mm: each slice twice
    prepared(spec)
    (scan,) = open_dataset(spec.out).scans()
    native = boxes((1, square(8)), (2, FAR))
    np.testing.assert_array_equal(scan.mask(), np.repeat(native, 2, axis=0))


def test_beside_the_slices(lidc: Path, spec_of: Any, prepared: Any, tmp_path: Path) -> None:
    xml = tmp_path / "LIDC-XML-only" / "157" / "158.xml"
    xml.rename(lidc / "LIDC-IDRI-0001" / "study" / "CT" / "158.xml")
    assert prepared(spec_of(lidc, lidc_xml=lidc))[-1].result["nodules"] == 2


def test_scans_of_luna16_are_known_by_their_names(
    lidc: Path, spec_of: Any, prepared: Any, tmp_path: Path
) -> None:
    """The same series as .mhd, which knows no slices: heights tell them."""
    volume = read_scan(lidc / "LIDC-IDRI-0001" / "study" / "CT")
    subset = tmp_path / "LUNA16" / "subset4"
    subset.mkdir(parents=True)
    write_volume(volume, subset / f"{volume.scan_id}.mhd")
    spec = spec_of(tmp_path / "LUNA16")
    prepared(spec)
    (scan,) = open_dataset(spec.out).scans()
    assert (scan.scan_id, scan.card.fold) == (volume.scan_id, 4)
    np.testing.assert_array_equal(scan.mask(), boxes((1, square(8)), (2, FAR)))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}")
def test_a_real_scan(spec_of: Any, prepared: Any) -> None:
    """The number is of an independent rasterisation (DATA.md)."""
    spec = spec_of(DATA, lidc_xml=DATA / "annotations.xml")
    prepared(spec)
    (scan,) = open_dataset(spec.out).scans()
    assert (scan.mask() > 0).sum() == pytest.approx(5428, rel=0.02)
    assert len(scan.card.masks) == 5
    assert scan.patient_id == "LIDC-IDRI-0001"
