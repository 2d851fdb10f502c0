"""One thing done with many scans, on Dask: each scan a task, a manifest of what became of it."""

from collections.abc import Iterator

from napari_ctlns.errors import RunError
from napari_ctlns.events import Control, Event
from napari_ctlns.specs import CohortSpec

__all__ = ["cohort"]

_EXTRA = ("dask", "distributed", "filelock")


def cohort(spec: CohortSpec, control: Control) -> Iterator[Event]:
    """Prepare, predict or measure many scans; the same job on the same folder goes on.

    What is done stays done, as long as its scan is the same and its results are there.
    A scan that fails is noted in ``spec.out/manifest.csv`` and stops no other; so is one
    whose worker died several times over it.

    Yields
    ------
    Event
        Progress by scans, a warning for each that failed; a Saved for the manifest and for
        what is of all scans together. `Finished` has ``done``, ``failed``, ``waiting``
        (numbers of scans) and ``manifest``.

    Raises
    ------
    RunError
        If Dask is missing, no scheduler answers, another process works in the folder, or
        it holds results made otherwise.
    ScanError
        If there are no scans.
    DatasetError, ModelError, OutputError
        As the job of one scan raises them, before the first scan.
    """
    try:
        from napari_ctlns.cohort.working import work_through
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise RunError("no Dask for cohorts; `pip install napari-ctlns[cohort]`") from error
    yield from work_through(spec, control)
