"""What a run keeps of its training: by one process, in an order that no kill can break."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from napari_ctlns.errors import ModelError, OutputError
from napari_ctlns.events import Event, Log, Saved
from napari_ctlns.inference.model import ModelCard, read_card, save_model
from napari_ctlns.learning.best_of_all import keep_if_best, place_of_best
from napari_ctlns.learning.data import TrainingData
from napari_ctlns.learning.learner import Learner
from napari_ctlns.learning.resuming import Standing, checkpoint_of
from napari_ctlns.learning.run_folder import Row, best_model, write_checkpoint, write_history
from napari_ctlns.learning.scores import best_row
from napari_ctlns.specs import TrainSpec


@dataclass(frozen=True)
class Keeper:
    """Writes checkpoints, the history and the best models of a run.

    The checkpoint comes first and holds the history. What follows from it can be written
    anew: a run that was killed between two files mends the others when it is resumed.
    """

    spec: TrainSpec
    data: TrainingData
    learner: Learner
    standing: Standing

    def checkpoint(self) -> Iterator[Event]:
        """Write all that the run needs to go on from here."""
        yield Saved(path=self._written(None), kind="checkpoint")

    def epoch(self) -> Iterator[Event]:
        """Write what a whole epoch leaves: its checkpoint, and the best model if it is that."""
        keep = self.spec.recipe.optimisation.keep_checkpoints == "all"
        checkpoint = self._written(self.standing.epoch if keep else None)
        yield from self._best_model(self.standing.history[-1])
        yield Saved(path=checkpoint, kind="checkpoint")

    def mend(self) -> Iterator[Event]:
        """Write what a kill after the last checkpoint may have left out."""
        write_history(self.spec.out, self.standing.history)
        # within an epoch the weights are those of no row, but then the model was written before
        if self.standing.history and self.standing.step == 0:
            yield from self._best_model(self.standing.history[-1])

    def _written(self, epoch: int | None) -> Any:
        state = checkpoint_of(self.standing, self.learner.state(), self.data)
        path = write_checkpoint(self.spec.out, state, epoch)
        write_history(self.spec.out, self.standing.history)
        return path

    def _best_model(self, row: Row) -> Iterator[Event]:
        """Save the weights as they are as the best model if the newest row is the best."""
        recipe = self.spec.recipe
        by = recipe.optimisation.best_by
        if best_row(self.standing.history, by) is not row:
            return
        network = self.learner.judged
        model = best_model(self.spec.out)
        card = ModelCard(recipe=recipe, metrics=row, run=self.spec.out.name)
        if _metrics_at(model) != row:
            save_model(model, network, card)
            yield Saved(path=model, kind="model")
        place = place_of_best(self.spec.out, recipe, self.data.judged_on)
        try:
            # a later epoch of one run says nothing against another run
            better = keep_if_best(place, network, card, "val_dice" if by == "last" else by)
        except (OutputError, OSError) as error:  # beside the run: no reason to end it
            yield Log(message=f"the best of all runs was not renewed: {error}", level="warning")
        else:
            if better:
                yield Saved(path=place, kind="best of all")


def _metrics_at(model: Any) -> Row | None:
    try:
        return read_card(model).metrics
    except ModelError:
        return None
