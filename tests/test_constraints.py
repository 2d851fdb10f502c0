"""The pinned sets hold everything that the project asks for, and nothing that only some can use."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WANTED = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["build-system"]["requires"],
    *(line for group in PROJECT["dependency-groups"].values() for line in group),
]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("wanted", WANTED)
def test_what_the_project_asks_for_is_pinned_within_its_range(wanted: str) -> None:
    requirement = Requirement(wanted)
    version = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


def test_pins_hold_on_every_machine() -> None:
    pinned = pins()
    assert pinned["torch"] == "2.13.0"
    assert not [v for v in pinned.values() if "+" in v], "a local build exists on one machine only"
    assert not [name for name in pinned if re.match(r"nvidia-|cuda-|triton$", name)]


def test_the_oldest_versions_are_the_lower_bounds_of_all_that_is_installed_with_it() -> None:
    lines = (ROOT / "constraints-oldest.txt").read_text("utf-8").splitlines()
    oldest = [Requirement(line) for line in lines if not line.startswith("#")]
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [*PROJECT["project"]["dependencies"], *extras["cohort"], *extras["nnunet"]]
    bounds = {
        Requirement(line).name: Requirement(line).specifier for line in [*asked, *extras["tune"]]
    }
    assert {line.name for line in oldest} == set(bounds)
    for line in oldest:
        (pin,) = line.specifier
        assert pin.operator == "=="
        assert f">={pin.version}" in {str(bound) for bound in bounds[line.name]}


def test_no_qt_binding_is_a_dependency() -> None:
    names = {canonicalize_name(Requirement(d).name) for d in PROJECT["project"]["dependencies"]}
    assert not {n for n in names if n.startswith(("pyqt5", "pyqt6", "pyside"))}
    assert not Requirement(
        next(d for d in PROJECT["project"]["dependencies"] if "napari" in d)
    ).extras
