"""Which jobs there are, by name; nothing heavy is imported before one is asked for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from napari_ctlns.events import Control, Event
from napari_ctlns.specs import (
    ClickSpec,
    CohortSpec,
    EstimateSpec,
    EvaluateSpec,
    ImportSpec,
    LearnSpec,
    PatchesSpec,
    PredictSpec,
    PrepareSpec,
    TrainSpec,
    TuneSpec,
)

Job = Callable[[Any, Control], Iterator[Event]]


@dataclass(frozen=True)
class JobKind:
    """Where a job's function lies and what it needs to know."""

    module: str
    function: str
    spec: type[BaseModel]

    def load(self) -> Job:
        """Import the function; this is where torch comes in."""
        job: Job = getattr(import_module(self.module), self.function)
        return job


JOBS: Mapping[str, JobKind] = {
    "prepare": JobKind("napari_ctlns.dataset", "prepare", PrepareSpec),
    "train": JobKind("napari_ctlns.learning", "train", TrainSpec),
    "learn": JobKind("napari_ctlns.teaching", "learn", LearnSpec),
    "predict": JobKind("napari_ctlns.inference.predict", "predict", PredictSpec),
    "click": JobKind("napari_ctlns.inference.clicked", "click", ClickSpec),
    "import-model": JobKind("napari_ctlns.inference.importing", "import_model", ImportSpec),
    "evaluate": JobKind("napari_ctlns.evaluation.evaluate", "evaluate", EvaluateSpec),
    "patches": JobKind("napari_ctlns.learning.patch_sheet", "patches", PatchesSpec),
    "tune": JobKind("napari_ctlns.tuning", "tune", TuneSpec),
    "cohort": JobKind("napari_ctlns.cohort", "cohort", CohortSpec),
    "estimate": JobKind("napari_ctlns.learning.memory", "estimate", EstimateSpec),
}


def start_job(kind: JobKind, spec: BaseModel, control: Control) -> Iterator[Event]:
    """Give the events of a job; its function is imported with the first of them."""
    yield from kind.load()(spec, control)
