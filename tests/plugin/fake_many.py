"""Imports and queues without a network, for tests of what stands around them; run by a child."""

import os
import time
from pathlib import Path

import numpy as np

from napari_ctlns.cohort.manifest import Manifest
from napari_ctlns.errors import CtlnsError, ModelError
from napari_ctlns.events import Finished, Log, Progress, Saved, Started
from napari_ctlns.formats import ScanFile, read_scan, write_volume
from napari_ctlns.inference.model import CARD, ModelCard
from napari_ctlns.jobs.child import serve
from napari_ctlns.jobs.registry import JobKind
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import CohortSpec, ImportSpec

SPEC = "spec.json"
"""Where the fake import writes what it was told."""


def import_model(spec, control):
    """Write cards without weights; a label that is called "none" is refused."""
    yield Started(title=f"Import {spec.source.name}")
    for _ in range(int(os.environ.get("CTLNS_FAKE_STEPS", "1"))):
        if control.stop_requested():
            yield Finished(stopped=True)
            return
        time.sleep(0.02)
    if spec.label == "none":
        raise ModelError("the model has 2 labels, choose by --label: lung (1), nodule (2)")
    recipe = load_recipe("ct-lns").with_changes(spec.changes)
    folds = [fold.name for fold in sorted(spec.source.glob("fold_*"))] if not spec.fold else []
    models = [spec.out / fold for fold in folds] or [spec.out]
    for model in models:
        model.mkdir(parents=True)
        (model / CARD).write_text(ModelCard(recipe=recipe).model_dump_json(), "utf-8")
    (models[0] / SPEC).write_text(spec.model_dump_json(), "utf-8")
    preparation = recipe.preparation
    yield Finished(
        result={
            "models": [str(model) for model in models],
            "name": recipe.name,
            "label": spec.label or "",
            "activation": "sigmoid",
            "axes": "SPL",
            "spacing_mm": preparation.spacing_mm,
            "clip_hu": list(preparation.clip_hu),
        }
    )


def cohort(spec, control):
    """Call nodule what is of 60 HU in each .mha file, as slow as CTLNS_FAKE_STEPS wants it."""
    yield Started(title="Predict a cohort")
    files = [ScanFile(path) for path in sorted(Path(spec.scans[0]).glob("*.mha"))]
    if not files:
        raise CtlnsError("no scans to work on; choose another --out")
    manifest = Manifest(spec.out)
    left = [file for file in files if (row := manifest.row(file)) is None or row.status != "done"]
    for file in left:
        manifest.add(file, file.path.stem)
    manifest.write()
    failed = 0
    for done, file in enumerate(left):
        yield Progress(done=done, total=len(left), unit="scan")
        manifest.change(file, status="running")
        manifest.write()
        for _ in range(int(os.environ.get("CTLNS_FAKE_STEPS", "1"))):
            control.wait_while_paused()
            if control.stop_requested():
                manifest.settle()
                manifest.write()
                yield Finished(stopped=True)
                return
            time.sleep(0.02)
        try:
            _predict(file.path, spec.out, manifest)
        except CtlnsError as error:
            failed += 1
            manifest.change(file, status="failed", error=str(error), seconds="0.10")
            yield Log(message=f"{file.path.stem} failed: {error}", level="warning")
        manifest.write()
    yield Progress(done=len(left), total=len(left), unit="scan")
    yield Saved(path=manifest.path, kind="manifest")
    counts = {"done": len(files) - failed, "failed": failed, "waiting": 0}
    yield Finished(result={**counts, "manifest": str(manifest.path)})


def _predict(path, out, manifest):
    scan = read_scan(path)
    mask = f"{path.stem}_pred.nii.gz"
    write_volume(scan.mask((scan.array == 60).astype(np.uint8)), out / mask)
    manifest.change(
        ScanFile(path),
        status="done",
        seconds="1.60",
        uncertainty="0.400",
        outputs=f"{mask}; {path.stem}_nodules.csv",
    )


if __name__ == "__main__":
    serve(
        {
            "import-model": JobKind("fake_many", "import_model", ImportSpec),
            "cohort": JobKind("fake_many", "cohort", CohortSpec),
        }
    )
