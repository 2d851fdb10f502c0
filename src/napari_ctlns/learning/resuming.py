"""How far a run has come, and whether it can go on from there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from napari_ctlns.errors import RunError
from napari_ctlns.learning.data import TrainingData
from napari_ctlns.learning.run_folder import Row, read_checkpoint
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import TrainSpec

State = dict[str, Any]
_MUST_STAY = (
    *("structure", "preparation", "patches", "network", "loss"),
    *("inference.threshold", "optimisation.best_by"),
)
"""With another one of these the epochs before and after could not be compared, or the weights
would mean nothing."""
_MUST_STAY_WITHIN_EPOCH = ("optimisation.batch_size", "optimisation.seed", "optimisation.shuffle")
"""These say which patches the first steps of an epoch have used up."""


@dataclass
class Standing:
    """How far a run has come; with the learner's state, all that changes in training.

    Attributes
    ----------
    epoch
        Epochs that are whole.
    step, loss
        Steps of the epoch under way, and the sum of their losses.
    steps
        Steps since the beginning.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    steps: int = 0
    history: list[Row] = field(default_factory=list)

    @property
    def losses(self) -> list[float]:
        """The validation losses of all epochs."""
        return [row["val_loss"] for row in self.history]


def checkpoint_of(standing: Standing, learner: State, data: TrainingData) -> State:
    """Return what a checkpoint holds."""
    return {
        "recipe": data.recipe.model_dump_json(),
        "dataset": {"fingerprint": data.fingerprint, "scans": dict(data.contents)},
        "learner": learner,
        **asdict(standing),
    }


def resumed(spec: TrainSpec, data: TrainingData) -> tuple[Standing, State]:
    """Return where the newest checkpoint of a run left off, and the learner's state.

    Raises
    ------
    RunError
        If there is none, or it is damaged, or the recipe or the dataset have changed so
        that the run would not be one any more.
    """
    checkpoint = read_checkpoint(spec.out)
    standing = Standing(**{f.name: checkpoint[f.name] for f in fields(Standing)})
    before = Recipe.model_validate_json(checkpoint["recipe"])
    must_stay = _MUST_STAY + (_MUST_STAY_WITHIN_EPOCH if standing.step else ())
    for key in must_stay:
        if _value(before, key) != _value(spec.recipe, key):
            words = f"{spec.out} was trained with another {key}"
            if key in _MUST_STAY_WITHIN_EPOCH:
                raise RunError(f"{words}, and stopped within an epoch; resume it with that first")
            raise RunError(f"{words}; begin a new run, if you like --from its best model")
    if checkpoint["dataset"]["fingerprint"] != data.fingerprint:
        words = contents_differ(checkpoint["dataset"]["scans"], data.contents)
        raise RunError(
            f"{spec.dataset} has changed since the run began: {words}; "
            "begin a new run, if you like --from its best model"
        )
    return standing, checkpoint["learner"]


def contents_differ(before: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> str:
    """Say what is different in a dataset.

    Parameters
    ----------
    before, now
        The split, the CT and the mask of each scan.
    """
    words = [f"scan {name} is new" for name in now if name not in before]
    words += [f"scan {name} is gone" for name in before if name not in now]
    for name in (name for name in before if name in now):
        (split, *arrays), (other, *others) = before[name], now[name]
        if split != other:
            words.append(f"scan {name} moved from {split} to {other}")
        elif arrays != others:
            words.append(f"scan {name} has another {'CT' if arrays[0] != others[0] else 'mask'}")
    shown = words[:3] + ([f"and {len(words) - 3} more"] if len(words) > 3 else [])
    return ", ".join(shown) or "files of its scans hold something else"


def _value(recipe: Recipe, dotted: str) -> Any:
    value: Any = recipe
    for key in dotted.split("."):
        value = getattr(value, key)
    return value
