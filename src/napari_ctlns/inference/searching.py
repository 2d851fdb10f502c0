"""A scan in memory and models become a probability and a mask."""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from napari_ctlns.events import Control, Log, Progress
from napari_ctlns.inference.ensemble import Agreement, Member
from napari_ctlns.inference.tiling import predict_array
from napari_ctlns.masks.components import components_of
from napari_ctlns.masks.islands import mask_from_probability
from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.masks.near_lungs import near_lungs
from napari_ctlns.recipe import Inference, Recipe
from napari_ctlns.resampling import from_prepared, prepared_hu
from napari_ctlns.volume import Volume

FloatArray = npt.NDArray[np.float32]
Answer = FloatArray | None

LUNG_MARGIN_MM = 5
"""How far beyond the lungs nodules are looked for: those on the pleura lie there."""


class Seconds(dict[str, float]):
    """How long each stage of a job took."""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to ``stage``."""
        start = time.perf_counter()
        yield
        self[stage] = round(self.get(stage, 0.0) + time.perf_counter() - start, 3)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model finds in a scan, on the scan's grid.

    Attributes
    ----------
    probability
        float32, 0 to 1; 0 where nobody looked.
    mask
        One label per nodule, by size.
    uncertainty
        Standard deviation of the probabilities of several members; None with one.
    seconds
        How long each stage took.
    """

    probability: Volume
    mask: Volume
    uncertainty: Volume | None = None
    seconds: Seconds = field(default_factory=Seconds)


def predict_volume(
    scan: Volume,
    members: Sequence[Member],
    rules: Inference,
    *,
    whole: bool = False,
    control: Control | None = None,
) -> Generator[Log | Progress, None, Prediction | None]:
    """Find the nodules, or the lungs, of a scan in memory.

    Parameters
    ----------
    scan
        A CT of any spacing.
    members
        Whose answers are averaged, one or more.
    rules
        How the probability becomes a mask.
    whole
        Look at the whole scan, not only where the lungs are.

    Returns
    -------
    Prediction or None
        On the scan's grid; None when stopped.
    """
    seconds = Seconds()
    agreement = None if len(members) == 1 else Agreement(scan.geometry.shape)
    prepared: Volume | None = None
    said: set[str] = set()
    for k, member in enumerate(members):
        preparation = member.recipe.preparation
        if prepared is None or preparation != members[k - 1].recipe.preparation:
            with seconds.measure("prepare"):
                hu, grid = prepared_hu(scan, preparation)
            prepared = Volume(hu, grid, scan_id=scan.scan_id, patient_id=scan.patient_id)
            inside = yield from _where_to_look(prepared, member.recipe, whole, seconds)
        windows = _looked_at(prepared, member, inside, control, seconds)
        found = yield from _counted_on(windows, k, len(members), said)
        if found is None:
            return None
        with seconds.measure("mask"):
            answer = from_prepared(found, scan.geometry, preparation)
            del found
            if agreement is not None:
                agreement.add(answer)
    del hu, prepared, inside, windows  # a large scan's are large, and the mask takes more
    with seconds.measure("mask"):
        probability = scan.probability(answer if agreement is None else agreement.mean)
        spread = None if agreement is None else scan.probability(agreement.spread())
        mask = mask_from_probability(probability, rules)
    return Prediction(probability, mask, spread, seconds)


def predict_prepared(
    scan: Volume,
    member: Member,
    *,
    control: Control | None = None,
    seconds: Seconds | None = None,
) -> Generator[Log | Progress, None, FloatArray | None]:
    """Return the probability of a scan that is on the recipe's grid already.

    Unless the lungs are what is looked for, only windows that touch the lungs are looked
    at, and what the network finds there is kept if it reaches the lungs or their margin.

    Parameters
    ----------
    scan
        HU, int16, on the grid of the member's recipe.
    member
        Who looks.
    seconds
        Where to note how long the stages took.

    Returns
    -------
    float32 array or None
        Probability (z, y, x); None when stopped.
    """
    seconds = Seconds() if seconds is None else seconds
    inside = yield from _where_to_look(scan, member.recipe, False, seconds)
    return (yield from _looked_at(scan, member, inside, control, seconds))


def _where_to_look(
    scan: Volume, recipe: Recipe, whole: bool, seconds: Seconds
) -> Generator[Log, None, npt.NDArray[np.bool_] | None]:
    """Return the lungs and what is near; None: everywhere."""
    if whole or recipe.structure == "lung":
        return None
    with seconds.measure("lungs"):
        inside = lungs_with_margin(scan)
    if inside is None:
        yield Log(message="no lungs found: looks at the whole scan", level="warning")
    return inside


def _looked_at(
    scan: Volume,
    member: Member,
    inside: npt.NDArray[np.bool_] | None,
    control: Control | None,
    seconds: Seconds,
) -> Generator[Log | Progress, None, FloatArray | None]:
    """Return what one member thinks of a prepared scan; None when stopped."""
    recipe = member.recipe
    with seconds.measure("network"):
        probability = yield from predict_array(
            scan.array, member.engine, recipe, member.window, inside, control, member.on_cpu
        )
    if probability is not None and inside is not None:
        _drop_what_is_outside(probability, recipe.inference.threshold, inside)
    return probability


def _counted_on(
    windows: Generator[Log | Progress, None, Answer], member: int, members: int, said: set[str]
) -> Generator[Log | Progress, None, Answer]:
    """Let the windows of all members count together, as if each had as many as this one.

    What one of them ``said`` already is not said again.
    """
    while True:
        try:
            event = next(windows)
        except StopIteration as end:
            return cast(Answer, end.value)
        if isinstance(event, Log):
            if event.message not in said:
                said.add(event.message)
                yield event
        elif event.total is None:
            yield event
        else:
            done, total = member * event.total + event.done, members * event.total
            yield event.model_copy(update={"done": done, "total": total})


def lungs_with_margin(scan: Volume) -> npt.NDArray[np.bool_] | None:
    """Return where nodules are looked for: lungs and what is near; None without lungs."""
    lungs = lung_mask(scan)
    return near_lungs(scan, lungs, LUNG_MARGIN_MM) if lungs.array.any() else None


def _drop_what_is_outside(
    probability: FloatArray, threshold: float, inside: npt.NDArray[np.bool_]
) -> None:
    """Set components that lie wholly outside to 0; cut none, large masses reach far out."""
    for box, component in components_of(probability >= threshold):
        if not inside[box][component].any():
            probability[box][component] = 0
