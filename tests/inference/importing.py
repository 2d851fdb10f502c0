"""What the tests of imported models have in common."""

import numpy as np

from napari_ctlns.events import Finished, Uncontrolled
from napari_ctlns.inference.ensemble import Member
from napari_ctlns.inference.importing import import_model
from napari_ctlns.inference.model import read_card
from napari_ctlns.inference.searching import predict_volume
from napari_ctlns.inference.torch_engine import TorchEngine
from napari_ctlns.specs import ImportSpec
from napari_ctlns.volume import Geometry, Volume


def imported(source, out, **choices):
    """Import a model and return what `Finished` tells of it."""
    *_, last = import_model(ImportSpec(source=source, out=out, **choices), Uncontrolled())
    assert isinstance(last, Finished)
    return last.result


def said(source, out, **choices):
    """Import a model and return its log."""
    events = import_model(ImportSpec(source=source, out=out, **choices), Uncontrolled())
    return [event.message for event in events if event.event == "log"]


def volume(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry(array.shape, spacing), "ct", "scan", "scan")


def predicted(model, scan, engine=None):
    """Return the probability of a whole scan, and its mask; in torch, unless told otherwise."""
    recipe = read_card(model).recipe
    engine = engine or TorchEngine(model, recipe.window)
    rules = recipe.inference.model_copy(update={"fill_holes": False})
    work = predict_volume(scan, [Member(engine, recipe, recipe.window)], rules, whole=True)
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value.probability.array, done.value.mask.array


def softmax(logits, axis=0):
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def dice(one, other):
    return 2 * np.sum(one & other) / max(np.sum(one) + np.sum(other), 1)
