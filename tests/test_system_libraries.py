"""The tool that sees to Qt's and Xvfb's system libraries, with apt played by a script."""

import importlib.util
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a tool for Linux")

TOOL = Path(__file__).resolve().parent.parent / "tools" / "system_libraries.py"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("system_libraries", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PACKAGES", {"c-library": "libc.so.6", "our-tool": "our-tool"})
    return module


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def add_program(machine: Path, name: str, script: str = "#!/bin/sh\n") -> None:
    program = machine / name
    program.write_text(script, encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def add_apt(machine: Path, then: str) -> Path:
    """Add an apt-get that notes how it was called and does ``then``."""
    calls = machine / "calls"
    add_program(machine, "apt-get", f'#!/bin/sh\necho "$@" >> {calls}\n{then}\n')
    return calls


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_does_nothing_where_all_is_there(
    tool: ModuleType,
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    as_user(monkeypatch, 0)
    calls = add_apt(machine, "")
    add_program(machine, "our-tool")
    tool.main()
    assert not calls.exists()
    assert capsys.readouterr().out == ""


def test_installs_only_what_is_missing_as_root(
    tool: ModuleType,
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    as_user(monkeypatch, 0)
    # when asked to install, it makes the program appear
    program = machine / "our-tool"
    then = f'[ "$1" = update ] || {{ : > {program}; /bin/chmod +x {program}; }}'
    calls = add_apt(machine, then)
    tool.main()
    assert calls.read_text("utf-8").splitlines() == [
        "update",
        "install -y --no-install-recommends our-tool",
    ]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("uid", [0, 1000], ids=["apt fails", "not root"])
def test_says_in_one_line_what_is_missing(
    tool: ModuleType,
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    uid: int,
) -> None:
    as_user(monkeypatch, uid)
    calls = add_apt(machine, "exit 100")
    tool.main()
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert "our-tool missing" in line
    assert "apt-get install -y --no-install-recommends our-tool" in line
    assert calls.exists() == (uid == 0)


def test_a_library_that_cannot_be_loaded_is_missing(tool: ModuleType) -> None:
    assert tool.is_present("libc.so.6")
    assert not tool.is_present("libno-such-library.so.6")
