"""What the pages promise is there: commands, messages, rooms, pictures, versions."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from napari_ctlns.cli import app
from napari_ctlns.recipe import load_recipe

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
SOURCE = ROOT / "src" / "napari_ctlns"
LARGEST_PICTURE = 200_000
WITHOUT_PAGE = {"plugin", "cli"}
"""Rooms that are for people at a window or a terminal."""


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def tutorial() -> list[list[str]]:
    return [shlex.split(line) for line in "".join(blocks("tutorial.md", "sh")).splitlines()]


def test_the_tutorial_uses_commands_and_flags_there_are() -> None:
    known = typer.main.get_command(app).commands
    assert len(tutorial()) > 10
    for program, name, *rest in tutorial():
        assert program == "ctlns"
        flags = {flag for option in known[name].params for flag in option.opts}
        assert {word for word in rest if word.startswith("--")} <= flags


@pytest.mark.parametrize("page", [path.name for path in PAGES])
def test_commands_on_every_page_are_there(page: str) -> None:
    known = typer.main.get_command(app).commands
    for line in "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        words = line.partition("#")[0].replace("[", " ").replace("]", " ").replace(")", " ").split()
        if words[:1] != ["ctlns"] or words[1].startswith("-"):
            continue
        command = known[words[1].rstrip(",")]
        command = getattr(command, "commands", {}).get(words[2], command) if words[2:] else command
        options = [
            flag for option in command.params for flag in option.opts + option.secondary_opts
        ]
        asked = {flag for word in words for flag in word.split("/") if flag.startswith("--")}
        assert asked <= {*options, "--help", "--version"}, line


@pytest.mark.parametrize("page", [path.name for path in PAGES])
def test_python_on_every_page_names_what_there_is(page: str) -> None:
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("napari_ctlns"):
                module = importlib.import_module(node.module or "")
                assert [n.name for n in node.names if not hasattr(module, n.name)] == []


def test_the_recipe_of_the_tutorial_is_one(tmp_path: Path) -> None:
    (text,) = blocks("tutorial.md", "toml")
    (tmp_path / "small.toml").write_text(text, "utf-8")
    assert load_recipe(tmp_path / "small.toml").name == "small"


@pytest.mark.slow
def test_the_tutorial_works_as_it_stands(tmp_path: Path) -> None:
    (recipe,) = blocks("tutorial.md", "toml")
    (tmp_path / "small.toml").write_text(recipe, "utf-8")
    for _, *arguments in tutorial():
        if arguments[0] == "open":  # a window that a person closes
            continue
        done = subprocess.run(
            [sys.executable, "-m", "napari_ctlns", *arguments],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"ctlns {shlex.join(arguments)}\n{done.stderr}"
    assert (tmp_path / "nodules.json").is_file()
    assert (tmp_path / "found.csv").read_text("utf-8").count("\n") > 1


def test_messages_that_are_explained_are_said() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    explained = re.findall(r"^`([^`]+)`\n: ", page, flags=re.MULTILINE)
    assert len(explained) > 8
    code = "".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    assert [words for words in explained if words not in code] == []


def test_every_room_is_on_the_page_of_the_api() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")} - WITHOUT_PAGE
    assert {room for room in rooms if f"automodule:: napari_ctlns.{room}" not in page} == set()


@pytest.mark.parametrize("page", [path.name for path in PAGES])
def test_pictures_are_there_and_small(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        picture = ROOT / "docs" / name
        assert picture.is_file()
        assert picture.stat().st_size <= LARGEST_PICTURE, name


def test_no_picture_is_left_over() -> None:
    shown = "".join(path.read_text("utf-8") for path in [*PAGES, ROOT / "README.md"])
    pictures = {path.name for path in (ROOT / "docs" / "images").iterdir()}
    assert {name for name in pictures if f"images/{name}" not in shown} == set()


def test_the_version_to_cite_is_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {project['version']}\n" in citation
