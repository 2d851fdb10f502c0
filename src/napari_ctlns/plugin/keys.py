"""Keys of a viewer: which mean something already, and giving the others a meaning."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding

Name = TypeVar("Name", bound=str)


def taken_keys(viewer: ViewerModel) -> set[str]:
    """Return the keys that napari or a person gave to something."""
    shortcuts = get_settings().shortcuts.shortcuts
    used = [*viewer.keymap, *(key for keys in shortcuts.values() for key in keys)]
    return {str(coerce_keybinding(key)) for key in used}


def bind_free_keys(
    viewer: ViewerModel, keys: Mapping[Name, str], does: Mapping[Name, Callable[[], None]]
) -> None:
    """Bind keys in a viewer, but those that a person gave to something else.

    Parameters
    ----------
    viewer
        Whose keys they become.
    keys
        The key for each name.
    does
        What is done for each name.
    """
    taken = taken_keys(viewer)
    for name, key in keys.items():
        if str(coerce_keybinding(key)) not in taken:
            viewer.bind_key(key, _pressed(does[name]))


def _pressed(does: Callable[[], None]) -> Callable[[ViewerModel], None]:
    def press(_viewer: ViewerModel) -> None:
        does()

    return press
