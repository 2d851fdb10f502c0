"""Tiny scans with their masks, and two workers of a Dask cluster that the tests share."""

import csv
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
import SimpleITK as sitk
from distributed import LocalCluster

from napari_ctlns.cohort import cohort
from napari_ctlns.events import Control, Event, Finished, Uncontrolled
from napari_ctlns.specs import CohortSpec, MeasureMany, PredictMany, PrepareMany

SHAPE = (20, 28, 36)


def image(array: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing((1.0, 1.0, 2.0))
    made.SetOrigin((-20.0, -10.0, 5.0))
    return made


def write_scan(folder: Path, name: str, at: int = 14) -> Path:
    """Write a box of lung with a nodule in a body in air, and in ``masks`` its mask."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    distance = np.linalg.norm((grid - (10, 14, at)) * (2, 1, 1), axis=-1)
    hu = np.full(SHAPE, -1000, np.int16)
    hu[:, 3:-3, 3:-3] = 40
    hu[2:-2, 6:-6, 6:-6] = -850
    hu[distance <= 4] = 50
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(
        image((distance <= 4).astype(np.uint8)), str(folder / "masks" / f"{name}.nii.gz")
    )
    sitk.WriteImage(image(hu), str(folder / f"{name}.mha"))
    return folder / f"{name}.mha"


@pytest.fixture
def scans(tmp_path: Path) -> Callable[..., Path]:
    """Write scans of these names (by default: three) and return their folder."""

    def write(*names: str) -> Path:
        for place, name in enumerate(names or ("a", "b", "c")):
            write_scan(tmp_path / "scans", name, 12 + 2 * place)
        return tmp_path / "scans"

    return write


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The scheduler of two workers that live as long as the tests."""
    trouble = tmp_path_factory.mktemp("trouble")
    config = {
        "distributed.worker.preload": [str(Path(__file__).with_name("troubled.py"))],
        "distributed.scheduler.allowed-failures": 0,
        "distributed.nanny.pre-spawn-environ": {},
        "distributed.deploy.lost-worker-timeout": "1 day",
    }
    with pytest.MonkeyPatch.context() as patch, dask.config.set(config):
        patch.setenv("CTLNS_TROUBLE", str(trouble))
        patch.setenv("CTLNS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONHASHSEED", os.environ.get("PYTHONHASHSEED", "6640"))
        cluster = LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.CRITICAL,
        )
        with cluster:
            yield cluster.scheduler_address


@pytest.fixture
def run(address: str) -> Callable[..., list[Event]]:
    """Do a cohort on the shared workers, and return all that was said."""

    def done(
        places: list[Path] | Path,
        out: Path,
        work: MeasureMany | PredictMany | PrepareMany,
        control: Control | None = None,
    ) -> list[Event]:
        places = places if isinstance(places, list) else [places]
        spec = CohortSpec(scans=tuple(map(str, places)), out=out, work=work, scheduler=address)
        events = list(cohort(spec, control or Uncontrolled()))
        assert isinstance(events[-1], Finished)
        return events

    return done


@pytest.fixture
def rows() -> Callable[[Path], dict[str, dict[str, str]]]:
    """Read the manifest of a folder, by scan id."""

    def read(out: Path) -> dict[str, dict[str, str]]:
        with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
            return {row["scan_id"]: row for row in csv.DictReader(file)}

    return read
