"""The user's cache folder: what can be made again, kept to be faster next time."""

import contextlib
import os
import shutil
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder, by the custom of the system; ``CTLNS_CACHE`` overrides it.

    It need not exist, and it may be impossible to make.
    """
    if own := os.environ.get("CTLNS_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "napari-ctlns"


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the ``count`` newest folders in ``folder``.

    One that another process just reads or removes is left for the next time.
    """
    with contextlib.suppress(OSError):
        entries = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in entries[count:]:
            shutil.rmtree(entry, ignore_errors=True)
