"""The examples of docs/extending.md work as they stand."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import find_scans, images, read_scan

PAGE = Path(__file__).resolve().parent.parent / "docs" / "extending.md"


def blocks(language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the page's code leaves behind, after all its asserts."""
    (recipe,) = blocks("toml")
    folder = tmp_path_factory.mktemp("page")
    (folder / recipe.partition("\n")[0].removeprefix("# ")).write_text(recipe, "utf-8")
    names: dict[str, Any] = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for code in blocks("python"):
            exec(compile(code, str(PAGE), "exec"), names)
        yield names


def test_the_recipe_is_that_of_the_page(page: dict[str, Any]) -> None:
    recipe = page["recipe"]
    assert recipe.name == "small"
    assert recipe.network.channels == (8, 16, 32)


def test_a_volume_made_by_hand_can_be_clicked_on(page: dict[str, Any]) -> None:
    volume = page["mask"].array.sum() * page["grid"].voxel_volume
    assert volume == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.15)


def test_the_format_reads_what_it_says(
    page: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(images._READERS, ".plain", ("plain", page["plain_layout"]))
    monkeypatch.setattr(images, "EXTENSIONS", (*images.EXTENSIONS, ".plain"))
    scan, path = page["scan"], tmp_path / "ball.plain"
    header = " ".join(map(str, (*scan.geometry.shape, *scan.geometry.spacing)))
    header += " " + " ".join(map(str, scan.geometry.origin)) + "\n"
    path.write_bytes(header.encode() + scan.array.astype("<i2").tobytes())
    read = read_scan(path)
    assert read.geometry.same_grid(scan.geometry)
    assert read.scan_id == "ball"
    assert np.array_equal(read.array, scan.array)
    assert [found.path for found in find_scans(tmp_path)] == [path]
    for damaged in (path.read_bytes()[:-1], b"no numbers\n", b"1 2 3\n", b""):
        path.write_bytes(damaged)
        with pytest.raises(ScanError):
            read_scan(path)


def test_the_engine_finds_the_ball_and_nothing_else(page: dict[str, Any]) -> None:
    found, scan = page["found"], page["scan"]
    assert found.mask.geometry.same_grid(scan.geometry)
    union, both = (found.mask.array > 0) | (scan.array > -400), found.mask.array > 0
    assert both.sum() / union.sum() > 0.8
