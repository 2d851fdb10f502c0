"""What is published: the wheel holds what runs and nothing else, the sdist what tests need too."""

import re
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the build backend, which the group `test` installs")

from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = (
    r"napari_ctlns/(\w+/)*\w+\.py",
    r"napari_ctlns/(napari\.yaml|py\.typed)",
    r"napari_ctlns/recipes/[\w.-]+\.toml",
    r"napari_ctlns/(\w+/)*templates/[\w.-]+\.j2",
    r"napari_ctlns/pages/page\.css",
    r"napari_ctlns/phantom/data/(lidc_shapes\.npz|ATTRIBUTION\.md)",
    r"napari_ctlns/weights/[\w.-]+/(weights\.safetensors|model\.json)",
    r"napari_ctlns-[\w.]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/.*)",
)
LARGEST_BYTES = 5_000_000


def built(folder: Path, root: Path = ROOT) -> zipfile.ZipFile:
    (path,) = WheelBuilder(str(root)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    (path,) = SdistBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return Path(path.removesuffix(".tar.gz"))


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    strangers = [name for name in wheel.namelist() if not re.fullmatch("|".join(ALLOWED), name)]
    assert strangers == []
    assert sum(info.compress_size for info in wheel.infolist()) < LARGEST_BYTES


def test_the_wheel_holds_all_that_the_package_has(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "src" / "napari_ctlns"
    there = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there <= set(wheel.namelist())


def test_the_wheel_tells_napari_and_the_terminal_of_itself(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    said = wheel.read(name).decode()
    assert "[napari.manifest]\nnapari-ctlns = napari_ctlns:napari.yaml" in said
    assert "ctlns = napari_ctlns.cli:main" in said


def test_what_others_made_comes_with_its_licence(wheel: zipfile.ZipFile) -> None:
    licences = [name for name in wheel.namelist() if ".dist-info/licenses/" in name]
    assert {Path(name).name for name in licences} == {"LICENSE", "ATTRIBUTION.md"}
    (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    assert "License-Expression: MIT AND CC-BY-3.0" in wheel.read(name).decode()


def test_the_sdist_gives_the_same_wheel(
    wheel: zipfile.ZipFile, sdist: Path, tmp_path: Path
) -> None:
    def contents(archive: zipfile.ZipFile) -> dict[str, int]:
        return {info.filename: info.CRC for info in archive.infolist()}

    assert contents(built(tmp_path, sdist)) == contents(wheel)


def test_the_sdist_holds_what_tests_and_pages_need(sdist: Path) -> None:
    for name in ("tests/conftest.py", "tests/plugin/conftest.py", "docs/conf.py", "tox.ini",
                 "docs/images/click.png", "tools/system_libraries.py", "constraints.txt",
                 "constraints-oldest.txt", "README.md", "CITATION.cff"):  # fmt: skip
        assert (sdist / name).is_file(), name
    assert not list(sdist.rglob("__pycache__"))
