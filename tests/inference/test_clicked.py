"""One click by a model: which nodule comes back, on which grid, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from napari_ctlns.cli import app
from napari_ctlns.errors import ClickError, CtlnsError, ModelError
from napari_ctlns.events import Finished, ThreadControl, Uncontrolled
from napari_ctlns.formats import read_mask, write_volume
from napari_ctlns.inference.click_window import surroundings
from napari_ctlns.inference.clicked import click, learned_click
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.model import read_card
from napari_ctlns.inference.predict import predict
from napari_ctlns.inference.torch_engine import TorchEngine
from napari_ctlns.masks.click import Clicks
from napari_ctlns.specs import ClickSpec, PredictSpec
from napari_ctlns.volume import Geometry, Volume

from .models import brightness_model, clicking_model

COS, SIN = float(np.cos(0.4)), float(np.sin(0.4))
GRIDS = {
    "straight": Geometry((40, 60, 60), (1.0, 1.0, 1.0), (-20.0, -30.0, 100.0)),
    "thick": Geometry((20, 70, 70), (2.0, 0.8, 0.8), (5.0, 6.0, -7.0)),
    "oblique": Geometry(
        (30, 60, 60), (1.5, 0.9, 0.9), (1.0, 2.0, 3.0), ((COS, -SIN, 0), (SIN, COS, 0), (0, 0, 1))
    ),
    "smaller than the window": Geometry((22, 26, 26), (1.0, 1.0, 1.0)),
}
RADIUS = 6.0


def place_of(geometry: Geometry, share: float) -> np.ndarray:
    """A place on the middle line along x, LPS mm."""
    z, y, x = geometry.shape
    return geometry.index_to_world(np.array([z / 2, y / 2, share * x]))


def ball(geometry: Geometry, centre: np.ndarray, radius: float = RADIUS) -> np.ndarray:
    voxels = np.moveaxis(np.indices(geometry.shape), 0, -1)
    away = geometry.index_to_world(voxels.reshape(-1, 3)) - centre
    return (np.linalg.norm(away, axis=1) <= radius).reshape(geometry.shape)


def scan_of(geometry: Geometry, *dense: np.ndarray) -> Volume:
    hu = np.full(geometry.shape, -850, np.int16)
    for inside in dense:
        hu[inside] = 40
    return Volume(hu, geometry)


def whole(part, geometry: Geometry) -> np.ndarray:
    mask = np.zeros(geometry.shape, bool)
    mask[part.box] = part.inside
    assert np.count_nonzero(mask) == part.voxels
    return mask


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def engine_for(model: Path) -> TorchEngine:
    return TorchEngine(model, read_card(model).recipe.window)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clicking_model(tmp_path_factory.mktemp("click") / "best")


@pytest.fixture(scope="module")
def two_balls() -> tuple[Volume, np.ndarray, np.ndarray]:
    """Two balls 16 mm apart, and their centres."""
    geometry = GRIDS["straight"]
    first = place_of(geometry, 0.3)
    second = np.add(first, [16, 0, 0])
    return scan_of(geometry, ball(geometry, first), ball(geometry, second)), first, second


@pytest.mark.parametrize("grid", GRIDS)
def test_the_nodule_comes_back_on_the_scans_own_grid(grid: str, taught: Path) -> None:
    geometry = GRIDS[grid]
    truth = ball(geometry, place_of(geometry, 0.5))
    at = np.add(place_of(geometry, 0.5), [1.0, -1.5, 0.5])
    part = learned_click(scan_of(geometry, truth), Clicks((tuple(at),)), taught, engine_for)
    assert dice(whole(part, geometry), truth) > 0.93


def test_only_the_one_that_was_clicked_on(two_balls, taught: Path) -> None:
    scan, *centres = two_balls
    for centre in centres:
        part = learned_click(scan, Clicks((tuple(centre),)), taught, engine_for)
        assert dice(whole(part, scan.geometry), ball(scan.geometry, centre)) > 0.93


def test_a_click_outside_takes_away_what_it_lies_on(two_balls, taught: Path) -> None:
    scan, first, _ = two_balls
    beside = np.add(first, [0, 4, 0])
    one = learned_click(scan, Clicks((tuple(first),)), taught, engine_for)
    less = learned_click(scan, Clicks((tuple(first),), (tuple(beside),)), taught, engine_for)
    index = tuple(np.rint(scan.geometry.world_to_index(beside)).astype(int))
    assert whole(one, scan.geometry)[index]
    assert not whole(less, scan.geometry)[index]
    assert 0.3 * one.voxels < less.voxels < one.voxels


def test_tighter_is_never_larger(two_balls, taught: Path) -> None:
    scan, first, _ = two_balls
    soft = Volume(ndimage.gaussian_filter(scan.array, 1.5), scan.geometry)
    sizes = [
        learned_click(soft, Clicks((tuple(first),), tightness=t), taught, engine_for).voxels
        for t in (-1.0, 0.0, 1.0)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_a_diameter_bounds_the_nodule(two_balls, taught: Path) -> None:
    scan, first, _ = two_balls
    part = learned_click(scan, Clicks((tuple(first),), diameter_mm=4.0), taught, engine_for)
    mask = whole(part, scan.geometry)
    assert mask.any()
    assert not (mask & ~ball(scan.geometry, first, 3.0)).any()


def test_air_is_no_nodule_but_what_a_nodule_encloses_belongs_to_it(taught: Path) -> None:
    geometry = GRIDS["straight"]
    centre = place_of(geometry, 0.5)
    cavity = ball(geometry, centre, 3.0)
    hu = scan_of(geometry, ball(geometry, centre, 8.0)).array
    hu[cavity] = -1000
    rim = tuple(np.add(centre, [5.5, 0, 0]))
    part = learned_click(Volume(hu, geometry), Clicks((rim,)), taught, engine_for)
    assert whole(part, geometry)[cavity].all()
    air = Volume(np.full(geometry.shape, -1000, np.int16), geometry)
    with pytest.raises(ClickError, match="nothing like a nodule"):
        learned_click(air, Clicks((tuple(centre),)), taught, engine_for)


def test_what_is_refused_says_why(two_balls, taught: Path, model: Path) -> None:
    scan, first, _ = two_balls
    away = tuple(np.add(first, [0, 12, 0]))
    at = (tuple(first),)
    with pytest.raises(ClickError, match="nothing like a nodule"):
        learned_click(scan, Clicks((away,)), taught, engine_for)
    with pytest.raises(ClickError, match="outside the scan"):
        learned_click(scan, Clicks(((900.0, 0.0, 0.0),)), taught, engine_for)
    with pytest.raises(ClickError, match="tightness"):
        learned_click(scan, Clicks(at, tightness=2.0), taught, engine_for)
    with pytest.raises(ModelError, match="takes no clicks"):
        learned_click(scan, Clicks(at), model, engine_for)
    wall = scan.array.copy()
    wall[:, 20:40, :] = 40
    with pytest.raises(ClickError, match="goes on beyond 32 mm"):
        learned_click(Volume(wall, scan.geometry), Clicks(at), taught, engine_for)


def test_a_nodule_at_the_edge_of_the_scan_may_be_cut_by_it(taught: Path) -> None:
    geometry = GRIDS["straight"]
    truth = ball(geometry, place_of(geometry, 0.05))
    part = learned_click(
        scan_of(geometry, truth), Clicks((tuple(place_of(geometry, 0.05)),)), taught, engine_for
    )
    assert dice(whole(part, geometry), truth) > 0.93


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.99])
def test_the_window_lies_in_what_is_read_for_it(share: float, taught: Path) -> None:
    recipe = read_card(taught).recipe
    for geometry in GRIDS.values():
        scan = scan_of(geometry)
        part, start = surroundings(scan, recipe, [tuple(place_of(geometry, share))])
        ends = np.add(start, part.array.shape)
        assert (np.asarray(start) >= 0).all()
        assert (ends <= geometry.shape).all()
        reaches = np.asarray(part.geometry.size_mm) >= 32
        assert (reaches | (np.asarray(part.array.shape) == geometry.shape)).all()
        np.testing.assert_allclose(
            part.geometry.index_to_world((0, 0, 0)), geometry.index_to_world(start), atol=1e-9
        )


def test_all_engines_of_the_cpu_take_clicks(taught: Path) -> None:
    image = np.random.default_rng(0).random((1, 3, 32, 32, 32)).astype(np.float32)
    engine = prepare_engine(taught, device="cpu")
    assert engine.notes == ()
    found = engine.run(image)
    assert found.shape == (1, 1, 32, 32, 32)
    assert np.abs(found - engine_for(taught).run(image)).max() < 0.1  # half precision here


def test_the_job_writes_what_the_function_returns(two_balls, taught: Path, tmp_path: Path) -> None:
    scan, first, _ = two_balls
    write_volume(scan, tmp_path / "scan.mha")
    spec = ClickSpec(
        scan=tmp_path / "scan.mha",
        model=taught,
        inside=(tuple(first),),
        mask=tmp_path / "mask.nii.gz",
    )
    spec = ClickSpec.model_validate_json(spec.model_dump_json())
    *_, end = click(spec, Uncontrolled(), engine_for)
    part = learned_click(scan, Clicks((tuple(first),)), taught, engine_for)
    assert isinstance(end, Finished)
    assert end.result["voxels"] == part.voxels
    found = read_mask(spec.mask)
    assert found.geometry.same_grid(scan.geometry)
    np.testing.assert_array_equal(found.array > 0, whole(part, scan.geometry))


def test_a_stopped_job_writes_nothing(two_balls, taught: Path, tmp_path: Path) -> None:
    scan, first, _ = two_balls
    write_volume(scan, tmp_path / "scan.mha")
    control = ThreadControl()
    control.stop()
    mask = tmp_path / "mask.mha"
    spec = ClickSpec(scan=tmp_path / "scan.mha", model=taught, inside=(tuple(first),), mask=mask)
    *_, end = click(spec, control, engine_for)
    assert end == Finished(stopped=True)
    assert not mask.exists()


def test_who_looks_at_a_whole_scan_is_told_what_the_model_is_for(
    two_balls, taught: Path, tmp_path: Path
) -> None:
    write_volume(two_balls[0], tmp_path / "scan.mha")
    spec = PredictSpec(scan=tmp_path / "scan.mha", model=taught, mask=tmp_path / "mask.mha")
    with pytest.raises(ModelError, match="ctlns click"):
        list(predict(spec, Uncontrolled()))


def test_the_command_uses_a_model_when_it_is_given_one(
    two_balls, taught: Path, tmp_path: Path
) -> None:
    scan, first, _ = two_balls
    write_volume(scan, tmp_path / "scan.mha")
    said = ["click", str(tmp_path / "scan.mha"), "--out", str(tmp_path / "mask.nii.gz")]
    said += ["--at=" + " ".join(f"{n:g}" for n in first), "--table", str(tmp_path / "table.csv")]
    done = CliRunner().invoke(app, [*said, "--model", str(taught)], catch_exceptions=False)
    assert done.exit_code == 0
    found = read_mask(tmp_path / "mask.nii.gz").array > 0
    assert dice(found, ball(scan.geometry, first)) > 0.93
    assert (tmp_path / "table.csv").read_text().count("\n") == 2
    plain = brightness_model(tmp_path / "plain")
    with pytest.raises(CtlnsError, match="takes no clicks"):
        CliRunner().invoke(app, [*said, "--model", str(plain)], catch_exceptions=False)
