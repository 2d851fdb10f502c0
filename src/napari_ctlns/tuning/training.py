"""Training one trial of a search."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from napari_ctlns.errors import CtlnsError, DatasetError, OutputError
from napari_ctlns.events import Control, Event, Finished, Log, Metric, Progress
from napari_ctlns.jobs.registry import Job
from napari_ctlns.jobs.run_folder import EventLog, write_state
from napari_ctlns.specs import TrainSpec, TuneSpec
from napari_ctlns.tuning.study import CHECKPOINT, Trial


def train_trial(
    trial: Trial, spec: TuneSpec, control: Control, train: Job
) -> Generator[Event, None, bool]:
    """Train a trial in its run folder and tell the study how it ended.

    A training that fails, as by a loss that is no number or for want of memory,
    makes the trial fail. What would fail every trial, a bad dataset or a full disk,
    ends the search.

    Yields
    ------
    Event
        Progress of the training, and its warnings.

    Returns
    -------
    bool
        Whether it was stopped from outside; the trial is given back then.

    Raises
    ------
    DatasetError
        If the dataset does not suit the recipe.
    OutputError
        If the run cannot be written.
    """
    own = _TrialControl(control)
    try:
        events = train(_spec(trial, spec), own)
        finished = yield from _logged(_judged(events, trial, own, spec), trial)
    except (DatasetError, OutputError):
        trial.give_back()
        raise
    except (CtlnsError, RuntimeError, MemoryError) as error:
        trial.fail(_words(error))
        return False
    except BaseException:
        trial.give_back()
        raise
    if finished.stopped and not own.pruned:
        trial.give_back()
        return True
    if finished.stopped:
        trial.prune()
    elif trial.best is None:
        trial.fail("no epoch gave a number")
    else:
        trial.complete()
    return False


@dataclass
class _TrialControl:
    """The search's control, with a stop of its own for a trial not worth going on."""

    outer: Control
    pruned: bool = False

    def stop_requested(self) -> bool:
        return self.pruned or self.outer.stop_requested()

    def wait_while_paused(self) -> None:
        self.outer.wait_while_paused()


def _spec(trial: Trial, spec: TuneSpec) -> TrainSpec:
    return TrainSpec(
        dataset=spec.dataset,
        out=trial.run,
        recipe=trial.recipe(),
        resume=(trial.run / CHECKPOINT).is_file(),
        device=spec.device,
    )


def _judged(
    events: Iterator[Event], trial: Trial, control: _TrialControl, spec: TuneSpec
) -> Iterator[Event]:
    """Pass a training's events on, and stop it where it is not worth going on."""
    judged_by = spec.recipe.optimisation.best_by.replace("_", "/")
    for event in events:
        if isinstance(event, Metric) and event.name == judged_by:
            control.pruned = not trial.report(event.step, event.value)
        yield event


def _logged(events: Iterator[Event], trial: Trial) -> Generator[Event, None, Finished]:
    """Write a training's events into its run folder, as `ctlns train` does."""
    finished = Finished(stopped=True)
    with EventLog(trial.run) as log:
        write_state(trial.run, "running")
        try:
            for event in events:
                log.write(event)
                if isinstance(event, Finished):
                    finished = event
                elif isinstance(event, Progress) or _is_warning(event):
                    yield event
        except BaseException:
            write_state(trial.run, "failed")
            raise
    write_state(trial.run, "stopped" if finished.stopped else "finished")
    return finished


def _is_warning(event: Event) -> bool:
    return isinstance(event, Log) and event.level == "warning"


def _words(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    words = lines[0] if lines else type(error).__name__
    return words if isinstance(error, CtlnsError) else f"{type(error).__name__}: {words}"
