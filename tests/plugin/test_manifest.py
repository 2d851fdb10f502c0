"""The manifest names what is there, and agrees with the rooms it speaks of."""

from importlib import import_module
from importlib.resources import files

import pytest
from npe2 import PluginManifest

from napari_ctlns.formats.images import EXTENSIONS
from napari_ctlns.plugin.settings import PLUGIN
from napari_ctlns.plugin.windowing import PRESETS

PATH = files("napari_ctlns") / "napari.yaml"
MANIFEST = PluginManifest.from_file(str(PATH))
MENUS = {"napari/file/io_utilities", "napari/layers/segment", "napari/layers/measure"}


@pytest.mark.parametrize("command", MANIFEST.contributions.commands, ids=lambda c: c.id)
def test_every_command_is_there(command) -> None:
    module, name = command.python_name.split(":")
    assert callable(getattr(import_module(module), name))


def test_it_is_for_this_plugin() -> None:
    assert MANIFEST.name == PLUGIN
    assert MANIFEST.display_name == "CT Lung Nodules"


def test_every_contribution_has_its_command() -> None:
    known = {command.id for command in MANIFEST.contributions.commands}
    said = MANIFEST.contributions
    used = [
        *(item.command for item in (*said.widgets, *said.readers, *said.writers)),
        *(item.command for item in said.sample_data),
        *(item.command for items in said.menus.values() for item in items),
    ]
    assert set(used) == known


def test_menus_are_some_that_napari_shows() -> None:
    assert set(MANIFEST.contributions.menus) == MENUS  # napari drops others without a word


def test_every_format_can_be_opened_and_saved() -> None:
    (reader,) = MANIFEST.contributions.readers
    assert {f"*{known}" for known in EXTENSIONS} <= set(reader.filename_patterns)
    assert reader.accepts_directories
    mask, annotations, project = MANIFEST.contributions.writers
    assert set(mask.filename_extensions) == {*EXTENSIONS, ".dcm"}
    assert annotations.filename_extensions == [".csv"]
    assert project.filename_extensions == [".ctlns"]
    for writer in (mask, annotations, project):
        assert f"*{writer.filename_extensions[0]}" in {*reader.filename_patterns, "*.csv"}


def test_only_tables_of_nodules_are_claimed() -> None:
    (reader,) = MANIFEST.contributions.readers
    tables = [pattern for pattern in reader.filename_patterns if pattern.endswith(".csv")]
    assert "*.csv" not in tables
    assert "*annotations*.csv" in tables


def test_preferences_offer_the_windows_that_there_are() -> None:
    display = MANIFEST.contributions.configurations["display"]
    offered = display.properties["window"].enum
    assert set(offered) == {*PRESETS, "full", "header"}
