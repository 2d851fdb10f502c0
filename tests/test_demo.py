"""The whole line, small enough for every run of the tests; its quality is a slow test."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from napari_ctlns.demo import DemoPlan, demo
from napari_ctlns.errors import OutputError
from napari_ctlns.events import Event, Failed, Finished, ThreadControl, Uncontrolled
from napari_ctlns.inference.predict import predict
from napari_ctlns.metrics import dice
from napari_ctlns.specs import PredictSpec

SMALL = DemoPlan(
    train=2,
    val=1,
    test=1,
    extent_mm=(60.0, 220.0, 300.0),
    spacing_mm=(3.0, 3.0, 3.0),
    nodules=3,
    changes={
        "preparation.spacing_mm": 3.0,
        "patches.size": (16, 16, 16),
        "patches.per_scan": 2,
        "network.channels": (4, 8),
        "optimisation.batch_size": 2,
        "optimisation.epochs": 2,
        "inference.window": (16, 32, 32),
    },
)


def last(events: Iterator[Event]) -> Event:
    *_, event = events
    return event


def test_the_whole_line_ends_in_a_report(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    finished = last(demo(out, 3, Uncontrolled(), SMALL))
    assert isinstance(finished, Finished)
    assert not finished.stopped
    assert finished.result["model"]["nodules"] == finished.result["baseline"]["nodules"] == 3
    json.dumps(finished.result)

    page = (out / "report.html").read_text("utf-8")
    assert "not a medical device" in page.lower()
    assert page.count("data:image/png;base64,") == 2  # curves and the one test scan
    splits = json.loads((out / "splits.json").read_text("utf-8"))
    assert [len(splits[name]) for name in ("train", "val", "test")] == [2, 1, 1]
    unseen = splits["test"][0]
    assert set(pd.read_csv(out / "evaluation" / "nodules.csv")["scan_id"]) == {unseen}

    scan = sitk.ReadImage(str(out / "scans" / f"{unseen}.mhd"))
    mask = sitk.ReadImage(str(out / "prediction" / f"{unseen}.nii.gz"))
    assert mask.GetSize() == scan.GetSize()
    assert mask.GetOrigin() == pytest.approx(scan.GetOrigin(), abs=1e-4)
    assert mask.GetSpacing() == pytest.approx(scan.GetSpacing(), abs=1e-4)


def test_it_stops_between_steps_and_says_so(tmp_path: Path) -> None:
    control = ThreadControl()
    events = []
    for event in demo(tmp_path / "demo", 0, control, SMALL):
        events.append(event)
        if event.event == "progress" and event.unit == "step":
            control.stop()
    assert isinstance(events[-1], Finished)
    assert events[-1].stopped
    assert not (tmp_path / "demo" / "report.html").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious", "utf-8")
    with pytest.raises(OutputError, match="not empty"):
        last(demo(tmp_path, 0, Uncontrolled(), SMALL))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_it_learns_is_worth_showing(tmp_path: Path) -> None:
    finished = last(demo(tmp_path / "demo", 0, Uncontrolled()))
    assert not isinstance(finished, Failed)
    model, baseline = finished.result["model"], finished.result["baseline"]
    assert model["nodule_dice_5_to_25_mm"] >= 0.70
    assert model["sensitivity_at_2_fp_5_to_25_mm"] >= 0.85
    assert baseline["sensitivity_at_2_fp_5_to_25_mm"] < 0.50
    masks = [_predicted(tmp_path / "demo", window) for window in ((64, 64, 64), (96, 96, 96))]
    assert dice(*masks) >= 0.99


def _predicted(demo_folder: Path, window: tuple[int, int, int]) -> np.ndarray:
    scan = sorted((demo_folder / "scans").glob("*.mhd"))[-1]
    mask = demo_folder / f"window-{window[0]}.mha"
    spec = PredictSpec(scan=scan, model=demo_folder / "run" / "best", mask=mask, window=window)
    assert isinstance(last(predict(spec, Uncontrolled())), Finished)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(mask)))
