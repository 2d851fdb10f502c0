"""The page of this plugin in napari's Preferences."""

from dataclasses import dataclass
from pathlib import Path

from napari.settings import get_plugin_settings

from napari_ctlns.specs import Device

PLUGIN = "napari-ctlns"


@dataclass(frozen=True)
class Settings:
    """What a person chose in Preferences.

    Attributes
    ----------
    device, precision
        For training and prediction.
    window
        The HU window of a scan that was just opened: a preset's name, "full" or "header".
    working_folder
        Where datasets and runs go unless told otherwise.
    reader
        The name under which a person judges nodules; "" for that of the machine's user.
    """

    device: Device
    precision: str
    window: str
    working_folder: Path
    reader: str = ""


def read_settings() -> Settings:
    """Return the settings as they are now."""
    said = get_plugin_settings(PLUGIN)
    folder = said.files.working_folder.strip()
    return Settings(
        device=said.learning.device,
        precision=said.learning.precision,
        window=said.display.window,
        working_folder=Path(folder).expanduser() if folder else Path.home() / "napari-ctlns",
        reader=said.review.reader_name.strip(),
    )


def may_offer_reader() -> bool:
    """Whether nobody has answered yet if this plugin is to be napari's reader for its files."""
    return bool(get_plugin_settings(PLUGIN).files.offer_reader)


def offer_reader(again: bool) -> None:
    """Remember whether that is still to be asked."""
    get_plugin_settings(PLUGIN).files.offer_reader = again
