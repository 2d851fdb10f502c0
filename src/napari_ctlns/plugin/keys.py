"""Which keys of a viewer mean something already."""

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding


def taken_keys(viewer: ViewerModel) -> set[str]:
    """Return the keys that napari or a person gave to something."""
    shortcuts = get_settings().shortcuts.shortcuts
    used = [*viewer.keymap, *(key for keys in shortcuts.values() for key in keys)]
    return {str(coerce_keybinding(key)) for key in used}
