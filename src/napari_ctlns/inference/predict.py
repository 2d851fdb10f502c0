"""The job `predict`: from a scan's file and models to mask, probability and nodule table."""

import tempfile
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_ctlns.errors import OutputError
from napari_ctlns.events import Control, Event, Finished, Log, Saved, Started
from napari_ctlns.findings import Lookalike
from napari_ctlns.formats import read_scan, write_candidates, write_volume
from napari_ctlns.formats.images import EXTENSIONS, extension
from napari_ctlns.formats.seg import SEG_EXTENSION, Structure, series_plane
from napari_ctlns.inference.engines import Engine, EngineSource, Window, prepare_engine
from napari_ctlns.inference.ensemble import prepared_member, shared_structure, with_mirror_images
from napari_ctlns.inference.model import read_card
from napari_ctlns.inference.searching import Prediction, Seconds, predict_volume
from napari_ctlns.masks.lookalikes import lookalikes_of
from napari_ctlns.masks.uncertainty import scan_uncertainty
from napari_ctlns.measurement import measure, write_table
from napari_ctlns.measurement.candidates import candidates_of
from napari_ctlns.recipe import Inference
from napari_ctlns.specs import Device, PredictSpec
from napari_ctlns.volume import Volume


def predict(
    spec: PredictSpec, control: Control, engine_for: EngineSource = prepare_engine
) -> Iterator[Event]:
    """Find the nodules of one scan, or its lungs, and write mask, probability and table.

    Parameters
    ----------
    engine_for
        Where the engine comes from.

    Yields
    ------
    Event
        `Finished` has ``nodules``, ``lookalikes`` (what labels resemble that may be no
        nodules), ``scan_uncertainty`` (see `masks.uncertainty`), ``engine``,
        ``engine_reason`` (why that one), ``seconds`` (by stage) and the paths ``mask``,
        ``probability``, ``uncertainty``, ``table``, ``candidates``. When stopped nothing is
        written.

    Raises
    ------
    CtlnsError
        ModelError, ScanError or OutputError, all before the long work starts.
    """
    models = (spec.model, *spec.more_models)
    names = " and ".join(model.name for model in models)
    yield Started(title=f"Find what {names} looks for in {spec.scan.name}")
    _check_outputs(spec)
    recipes = [read_card(model).recipe for model in models]
    structure = shared_structure(recipes)
    rules = _rules(recipes[0].inference, spec)
    seconds = Seconds()
    with seconds.measure("read"):
        scan = read_scan(spec.scan, series=spec.series, strict=spec.strict)
    if _is_seg(spec.mask):
        series_plane(scan.source, spec.mask)  # refuses what has none before the long work
    for warning in scan.source.warnings:
        yield Log(message=warning, level="warning")
    engines = _Engines(engine_for, spec.device)
    with seconds.measure("load"):
        members = [
            prepared_member(model, recipe, spec.window, spec.device, engines.give)
            for model, recipe in zip(models, recipes, strict=True)
        ]
    yield from engines.in_words()
    if spec.mirrored:
        members = [image for member in members for image in with_mirror_images(member)]
    found = yield from predict_volume(scan, members, rules, whole=spec.whole, control=control)
    if found is None:
        yield Finished(stopped=True)
        return
    seconds.update(found.seconds)
    result = yield from _written(spec, structure, scan, found, seconds)
    lookalikes = {} if structure == "lung" else lookalikes_of(found.mask)
    if lookalikes:
        yield Log(message=_doubts(lookalikes))
    facts = {
        "lookalikes": lookalikes,
        "scan_uncertainty": scan_uncertainty(found.probability, found.uncertainty),
        **engines.facts(),
        "seconds": dict(seconds),
    }
    yield Finished(result={**result, **facts})


class _Engines:
    """Engines from a source, and what is to be told of those that it gave.

    Parameters
    ----------
    source
        Where they come from.
    device
        That was asked for. Engines for another one take over from a GPU.
    """

    def __init__(self, source: EngineSource, device: Device) -> None:
        self._source = source
        self._device = device
        self._notes: list[str] = []
        self._reasons: list[tuple[str, str]] = []

    def give(self, model: Path, window: Window | None, device: Device) -> Engine:
        """Return an engine from the source."""
        engine = self._source(model, window, device)
        why = engine.reason if device == self._device else "the GPU has too little memory"
        self._reasons.append((engine.name, why))
        self._notes += engine.notes
        return engine

    def in_words(self) -> Iterator[Log]:
        """Say what went wrong, on which engines it runs, and why on those."""
        for note in dict.fromkeys(self._notes):
            yield Log(message=note, level="warning")
        each = dict.fromkeys(f"{name}: {why}" for name, why in self._reasons)
        yield Log(message=f"runs on {', '.join(each)}")

    def facts(self) -> dict[str, str]:
        """Return for a result the names of the engines, and the reasons for them."""
        names, reasons = zip(*self._reasons, strict=True)
        return {
            "engine": ", ".join(dict.fromkeys(names)),
            "engine_reason": ", ".join(dict.fromkeys(reasons)),
        }


def _rules(own: Inference, spec: PredictSpec) -> Inference:
    """Return a model's rules with what the spec wants otherwise."""
    wanted = {
        "threshold": spec.threshold,
        "seed_threshold": spec.seed_threshold,
        "min_diameter_mm": spec.min_diameter_mm,
        "fill_holes": spec.fill_holes,
        "split_touching": spec.split_touching,
    }
    return own.model_copy(update={k: v for k, v in wanted.items() if v is not None})


def _doubts(lookalikes: Mapping[int, Lookalike]) -> str:
    """Say which labels may be no nodules."""
    kinds = sorted(set(lookalikes.values()))
    labels = {
        kind: ", ".join(str(k) for k in lookalikes if lookalikes[k] == kind) for kind in kinds
    }
    return "; ".join(f"shaped like a {kind}: label {labels[kind]}" for kind in kinds)


def _written(
    spec: PredictSpec, structure: Structure, scan: Volume, found: Prediction, seconds: Seconds
) -> Generator[Saved, None, dict[str, Any]]:
    """Write what the spec wants; return the number of components and the paths."""
    with seconds.measure("write"):
        write_volume(found.mask, spec.mask, structure=structure)
    yield Saved(path=spec.mask, kind="mask")
    maps = {"probability": found.probability, "uncertainty": found.uncertainty}
    for kind, volume in maps.items():
        path: Path | None = getattr(spec, kind)
        if path is not None and volume is not None:
            with seconds.measure("write"):
                write_volume(volume, path)
            yield Saved(path=path, kind=kind)
    if spec.table is not None or spec.candidates is not None:
        with seconds.measure("measure"):
            table = measure(found.mask, scan, found.probability)
        if spec.table is not None:
            write_table(table, spec.table)
            yield Saved(path=spec.table, kind="table")
        if spec.candidates is not None:
            write_candidates(spec.candidates, candidates_of(table, scan.scan_id))
            yield Saved(path=spec.candidates, kind="candidates")
    paths = {
        "mask": spec.mask,
        "probability": spec.probability,
        "uncertainty": spec.uncertainty,
        "table": spec.table,
        "candidates": spec.candidates,
    }
    return {
        "nodules": int(found.mask.array.max(initial=0)),
        **{name: None if path is None else str(path) for name, path in paths.items()},
    }


def _check_outputs(spec: PredictSpec) -> None:
    """Say at once what would only go wrong after the long work."""
    for path in (spec.mask, spec.probability, spec.uncertainty):
        if path is not None:
            if not extension(path) and not (path == spec.mask and _is_seg(path)):
                known = " ".join(EXTENSIONS)
                raise OutputError(f"cannot write {path.name}: unknown extension; use {known}")
            _check_writable(path)
    for table, kinds in ((spec.table, (".csv", ".json")), (spec.candidates, (".csv",))):
        if table is not None:
            if table.suffix.lower() not in kinds:
                raise OutputError(f"cannot write {table.name}: use {' or '.join(kinds)}")
            _check_writable(table)


def _is_seg(path: Path) -> bool:
    return path.suffix.lower() == SEG_EXTENSION


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise OutputError(f"cannot write {path}: there is a folder of that name; choose another")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {path}: {reason}; choose another place") from error
