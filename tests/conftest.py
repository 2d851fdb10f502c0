"""What every test starts from: folders of its own, counted randomness, the real data."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("person", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "person")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def user_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep caches and settings, of child processes too, away from the person's own."""
    folder = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "CONFIG", "DATA", "STATE"):
            patch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
        for name in ("APPDATA", "LOCALAPPDATA"):
            patch.setenv(name, str(folder / name.lower()))
        patch.setenv("CTLNS_RECOVERY", str(folder / "recovery"))
        patch.setenv("MPLCONFIGDIR", str(folder / "matplotlib"))
        patch.setenv("NAPARI_CONFIG", str(folder / "napari" / "settings.yaml"))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which lies beside the repository and is no part of it."""
    folder = Path(os.environ.get("CTLNS_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; CTLNS_SHARED_DATA may name another folder")
    return folder


@pytest.fixture(autouse=True)
def few_torch_threads() -> None:
    """Let torch use two threads, as on the smallest machine; never import it for that."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(min(2, os.cpu_count() or 1))
