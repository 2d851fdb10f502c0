"""What a training opens and checks before its first step."""

from torch import Tensor

from napari_ctlns.errors import ModelError, RunError
from napari_ctlns.inference.model import load_network, read_card
from napari_ctlns.learning.data import TrainingData, training_data
from napari_ctlns.learning.device import Arithmetic, choose_arithmetic
from napari_ctlns.learning.distributed import Group
from napari_ctlns.learning.resuming import Standing, State, resumed
from napari_ctlns.learning.run_folder import earlier_spec, last_checkpoint, must_be_new
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import TrainSpec


def opened(
    spec: TrainSpec, group: Group
) -> tuple[TrainingData, Arithmetic, dict[str, Tensor] | None]:
    """Open all that a training needs to read.

    Returns
    -------
    tuple
        The data, the arithmetic, and the weights to start from, if the spec names a model.

    Raises
    ------
    CtlnsError
        As `train` says of bad input.
    """
    must_be_trainable(spec.recipe)
    optimisation = spec.recipe.optimisation
    if optimisation.batch_size % group.size:
        raise RunError(
            f"optimisation.batch_size {optimisation.batch_size} cannot be shared by {group.size} "
            "processes; take a multiple of their number"
        )
    arithmetic = choose_arithmetic(spec.device, optimisation.precision, group)
    return training_data(spec, group), arithmetic, _weights(spec)


def must_be_trainable(recipe: Recipe) -> None:
    """Refuse the recipe of a model that was trained elsewhere.

    Raises
    ------
    RunError
        If it is one.
    """
    if recipe.network.imported is not None:
        raise RunError(
            f"{recipe.name} was imported and cannot be trained here; train with a recipe of "
            "ours, such as ct-lns"
        )


def beginning(spec: TrainSpec, data: TrainingData) -> tuple[Standing, State | None]:
    """Return where a run begins: new, or where it left off, then with the learner's state.

    Raises
    ------
    RunError
        If a new run's folder is not empty, or an old one cannot go on.
    """
    if not spec.resume:
        must_be_new(spec.out)
        return Standing(), None
    # one that was killed before its first checkpoint begins anew
    if earlier_spec(spec.out) is not None and not last_checkpoint(spec.out).exists():
        return Standing(), None
    return resumed(spec, data)


def _weights(spec: TrainSpec) -> dict[str, Tensor] | None:
    """Return the weights to start from; a run that is resumed has its own in its checkpoint."""
    start = spec.start_from
    if spec.resume:
        before = earlier_spec(spec.out)
        start = None if before is None or last_checkpoint(spec.out).exists() else before.start_from
    if start is None:
        return None
    if read_card(start).recipe.network != spec.recipe.network:
        raise ModelError(f"{start} has another network than recipe {spec.recipe.name}")
    return load_network(start).state_dict()
