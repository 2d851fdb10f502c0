"""Estimates and sheets of patches without a network; run by a child process."""

import time

from PIL import Image

from napari_ctlns.errors import DatasetError
from napari_ctlns.events import Finished, Started
from napari_ctlns.jobs.child import serve
from napari_ctlns.jobs.registry import JobKind
from napari_ctlns.specs import EstimateSpec, PatchesSpec, PrepareSpec


def estimate(spec, control):
    """Need 100 bytes a patch, of 1000 there are; fail where a recipe is called so."""
    yield Started(title="Estimate")
    if spec.recipe.name == "fails":
        raise DatasetError("no estimate of this one")
    total = 100 * spec.recipe.optimisation.batch_size
    fits = total <= 1000
    yield Finished(
        result={
            "total_bytes": total,
            "available_bytes": 1000,
            "fits": fits,
            "suggestion": "" if fits else "take a smaller optimisation.batch_size",
            "words": f"Needs about {total} of 1000 bytes on {spec.device}",
        }
    )


def patches(spec, control):
    """Draw a picture whose red tells the epoch."""
    yield Started(title="Draw patches")
    if not (spec.dataset / "dataset.json").is_file():
        raise DatasetError(f"no dataset: {spec.dataset}")
    Image.new("RGB", (80, 60), (10 * spec.epoch, 0, 0)).save(spec.out)
    yield Finished(result={"out": str(spec.out)})


def prepare(spec, control):
    """Keep the child at work until it is stopped."""
    yield Started(title="Prepare")
    while not control.stop_requested():
        time.sleep(0.01)
    yield Finished(stopped=True)


if __name__ == "__main__":
    serve(
        {
            "estimate": JobKind("fake_learning", "estimate", EstimateSpec),
            "patches": JobKind("fake_learning", "patches", PatchesSpec),
            "prepare": JobKind("fake_learning", "prepare", PrepareSpec),
        }
    )
