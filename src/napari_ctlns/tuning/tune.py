"""The job that searches the values of a recipe that suit a dataset best."""

from collections.abc import Iterator
from functools import partial

from napari_ctlns.errors import RunError
from napari_ctlns.events import Control, Event
from napari_ctlns.jobs.registry import JOBS, Job, start_job
from napari_ctlns.specs import TuneSpec

_train: Job = partial(start_job, JOBS["train"])


def tune(spec: TuneSpec, control: Control, train: Job = _train) -> Iterator[Event]:
    """Train one network after another, each with values drawn from the recipe's ranges.

    The values are drawn by Optuna's tree-structured Parzen estimator (Bergstra et al.
    2011, "Algorithms for hyper-parameter optimization"); a trial whose best epoch so
    far is worse than the median of the others at that epoch is stopped at once
    (Golovin et al. 2017, "Google Vizier"). Each trial is a run in ``spec.out/trials``.
    The same job on the same folder goes on with the search, beside others too.

    Parameters
    ----------
    spec
        What to search; ``spec.trials`` counts all trials of the folder.
    control
        Asked between the steps of a training.
    train
        The job that trains.

    Yields
    ------
    Event
        Progress by trials. For each trial, whoever trained it, the Metric
        ``trial/val_dice`` or ``trial/val_loss`` at its number. A Saved for the table,
        the plot and the best recipe. One `Finished` with the best trial and all rows.

    Raises
    ------
    RecipeError
        If the recipe searches nothing, or what cannot be.
    DatasetError
        If the dataset is none, or does not suit the recipe.
    RunError
        If Optuna is missing, the folder holds something else or another search, or no
        trial could be trained to its end.
    OutputError
        If the folder cannot be written.
    """
    try:
        from napari_ctlns.tuning.search import search
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "optuna":
            raise
        raise RunError("no Optuna to search with; `pip install napari-ctlns[tune]`") from error
    yield from search(spec, control, train)
