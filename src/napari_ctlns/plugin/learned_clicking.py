"""Clicks that a model answers: a part of the scan goes to the child, a nodule comes back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject

from napari_ctlns.dataset.blocks import Index
from napari_ctlns.errors import CtlnsError, ModelError
from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.inference.click_window import clicking_recipe, surroundings
from napari_ctlns.masks.click import Clicks, check_clicks, part_in_scan
from napari_ctlns.masks.islands import Part
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.predicting import TemporaryFolder
from napari_ctlns.plugin.work import ThreadWork, Work, one_step
from napari_ctlns.specs import ClickSpec
from napari_ctlns.volume import Volume

_MS_BETWEEN_LOOKS = 5


class LearnedClick(Work):
    """Files in a thread, the model in the child, its answer in a thread.

    Its `Finished` has ``value``, the `Part` that `masks.click.click_mask` would have given;
    where there is nothing like a nodule it is a `Failed` in the same words.

    Parameters
    ----------
    child
        Who holds the model.
    scan
        A CT; only the part of it that the model looks at is sent.
    clicks
        Where a person pointed.
    model
        One that takes clicks.

    Raises
    ------
    OutputError
        If there is no room for temporary files.
    """

    def __init__(
        self,
        child: ChildProcess,
        scan: Volume,
        clicks: Clicks,
        model: Path,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._child = child
        self._folder = TemporaryFolder()
        self._stopping = False
        self._step: Work
        self._follow(self._thread(files_for, scan, clicks, model, self._folder.path), self._ask)

    def stop(self) -> None:
        """Let it end after its current step; asked again, the child is killed."""
        self._stopping = True
        self._step.stop()

    def say(self, event: Event) -> None:
        """Tell of an event; after the last one no file is left."""
        super().say(event)
        if self.over:
            self._folder.remove()

    def _ask(self, result: dict[str, Any]) -> None:
        self._spec, self._start = result["value"]
        self._follow(self._child.start("click", self._spec), self._read)

    def _read(self, _result: dict[str, Any]) -> None:
        self._follow(self._thread(part_in_file, self._spec.mask, self._start), self._tell)

    def _tell(self, result: dict[str, Any]) -> None:
        self.say(Finished(result=result))

    def _thread(self, function: Any, *args: Any) -> Work:
        return ThreadWork(
            one_step("Click", function, *args), parent=self, ms_between_looks=_MS_BETWEEN_LOOKS
        )

    def _follow(self, work: Work, then: Any) -> None:
        self._step, self._then = work, then
        work.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Failed):
            self.say(event)
        elif isinstance(event, Finished) and (event.stopped or self._stopping):
            self.say(Finished(stopped=True))
        elif isinstance(event, Finished):
            self._then(event.result)


def files_for(scan: Volume, clicks: Clicks, model: Path, folder: Path) -> tuple[ClickSpec, Index]:
    """Write the part of a scan that a model looks at; return the job, and where the part begins.

    Raises
    ------
    ClickError, ModelError, OutputError
        If the clicks cannot be meant, the model takes none, or the part cannot be written.
    """
    from napari_ctlns.formats import write_volume

    recipe = clicking_recipe(model)
    check_clicks(scan, clicks)
    part, start = surroundings(scan, recipe, clicks.inside)
    path = folder / "part.mha"
    write_volume(part, path)
    spec = ClickSpec(
        scan=path,
        model=model.absolute(),
        mask=folder / "mask.mha",
        inside=clicks.inside,
        # a click beyond the part says nothing about it
        outside=tuple(place for place in clicks.outside if part.geometry.contains(place)),
        diameter_mm=clicks.diameter_mm,
        tightness=clicks.tightness,
    )
    return spec, start


def part_in_file(path: Path, start: Index) -> Part:
    """Return the nodule in a mask of a part of a scan that begins at ``start`` (z, y, x)."""
    from napari_ctlns.formats import read_mask

    return part_in_scan(read_mask(path).array > 0, np.asarray(start))


def model_for_clicks(models: Sequence[Path]) -> Path | None:
    """Return the first model that takes clicks; None if there is none. It reads their cards."""
    for model in models:
        try:
            clicking_recipe(model)
        except ModelError:
            continue
        return model
    return None


def method_in_words(model: Path | None) -> str:
    """Say what makes masks of clicks."""
    if model is None:
        return "without a model: the border is found from the HU"
    try:
        recipe = clicking_recipe(model)
    except CtlnsError as error:
        return str(error)
    return f"with the model {model.parent.name}/{model.name} ({recipe.name})"
