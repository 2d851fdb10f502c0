"""What the README and the page of commands promise is what `ctlns` does."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from napari_ctlns.cli import app

ROOT = Path(__file__).resolve().parent.parent
ANYWHERE = {"--series", "--strict", "--help"}
"""Flags that the page explains once, for all commands."""


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def tour() -> list[list[str]]:
    readme = (ROOT / "README.md").read_text("utf-8")
    text = readme.partition("<!-- tour starts -->")[2].partition("<!-- tour ends -->")[0]
    lines = "".join(shell_blocks(text)).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def commands() -> dict[str, Any]:
    """The commands by name, and those of a group by both names."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {n}": c for n, c in below.items()} if below else {name: command}
    return found


def flags(command: Any) -> set[str]:
    return {
        flag
        for option in command.params
        for flag in (*option.opts, *option.secondary_opts)
        if flag.startswith("--")
    }


def documented() -> dict[str, set[str]]:
    """The flags that docs/commands.md gives each command."""
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    usages = "".join(shell_blocks(page)).replace("\n   ", " ").splitlines()
    found: dict[str, set[str]] = {}
    for line in usages:  # examples follow the usage of a command
        _, name, word, *_ = line.split()
        name = f"{name} {word}" if f"{name} {word}" in commands() else name
        found.setdefault(name, set()).update(re.findall(r"--[a-z-]+", line))
    return found


def test_the_page_of_commands_names_each_command_and_flag() -> None:
    there = {name: flags(command) - ANYWHERE for name, command in commands().items()}
    assert documented() == there


def test_the_tour_uses_commands_and_flags_there_are() -> None:
    lines = tour()
    assert len(lines) > 8
    known = commands()
    for program, name, *rest in lines:
        assert program == "ctlns"
        assert {word for word in rest if word.startswith("--")} <= flags(known[name])


@pytest.mark.slow
def test_the_tour_works_as_it_stands(tmp_path: Path) -> None:
    for _, *arguments in tour():
        done = subprocess.run(
            [sys.executable, "-m", "napari_ctlns", *arguments],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"ctlns {shlex.join(arguments)}\n{done.stderr}"
    header, *rows = (tmp_path / "nodules.csv").read_text("utf-8").splitlines()
    assert "volume_mm3" in header
    assert rows
