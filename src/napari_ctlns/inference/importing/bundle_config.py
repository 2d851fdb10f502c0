"""The configuration of a MONAI bundle, of which nothing is computed."""

from pathlib import Path
from typing import Any

import yaml

from napari_ctlns.errors import ModelError
from napari_ctlns.inference.importing.checkpoints import read_json

_DEEPEST = 20
"""What goes deeper refers to itself."""


class BundleConfig:
    """Values of a configuration by their path, with references followed.

    A value that begins with ``@`` stands for another one; one that begins with ``$`` is
    Python, which is never run; ``%`` takes text from other places and is not followed.

    Parameters
    ----------
    values
        The whole configuration.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def get(self, *path: str) -> Any:
        """Return what stands under a path of keys, references followed; None: nothing."""
        value: Any = self._values
        for key in path:
            value = self.followed(value)
            value = value.get(key) if isinstance(value, dict) else None
        return self.followed(value)

    def resolved(self, value: Any, where: str, depth: int = 0) -> Any:
        """Return a value in which everything is literal.

        Raises
        ------
        ModelError
            If code would have to run to know it.
        """
        value = self.followed(value)
        if depth > _DEEPEST:
            raise ModelError(f"{where[:60]} of the bundle refers to itself; mend its configuration")
        if isinstance(value, dict):
            items = value.items()
            return {key: self.resolved(item, f"{where}.{key}", depth + 1) for key, item in items}
        if isinstance(value, list):
            return [self.resolved(item, where, depth + 1) for item in value]
        if isinstance(value, str) and value.startswith(("$", "@", "%")):
            raise ModelError(
                f"{where} of the bundle is {value[:60]}, which only running it could tell; "
                "write the value itself into its configuration"
            )
        return value

    def followed(self, value: Any, seen: frozenset[str] = frozenset()) -> Any:
        """Return what a reference stands for; anything else, and what leads nowhere, as it is."""
        if not (isinstance(value, str) and value.startswith("@")) or value in seen:
            return value
        found: Any = self._values
        for key in value[1:].replace("#", "::").split("::"):
            # what lies on the way may be a reference itself
            found = _item(self.followed(found, seen | {value}), key)
        return value if found is None else self.followed(found, seen | {value})


def read_config(path: Path) -> BundleConfig:
    """Return a bundle's configuration.

    Raises
    ------
    ModelError
        If the file is missing, or neither JSON nor YAML.
    """
    if path.suffix == ".json":
        return BundleConfig(read_json(path))
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ModelError(f"{path} is not YAML; copy the bundle anew") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} holds no configuration; copy the bundle anew")
    return BundleConfig(values)


def _item(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None
