"""GPUs with too little memory: fewer windows, smaller ones, the CPU; the answer stays the same."""

import math
import weakref

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from napari_ctlns.events import Finished, Log, Progress, ThreadControl, Uncontrolled
from napari_ctlns.inference import engines
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.ensemble import Member, with_mirror_images
from napari_ctlns.inference.memory import DeviceMemoryError, within_memory
from napari_ctlns.inference.predict import predict
from napari_ctlns.inference.searching import predict_volume
from napari_ctlns.inference.torch_engine import TorchEngine, with_channels_last
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Network, Patches, Preparation, Recipe
from napari_ctlns.specs import PredictSpec
from napari_ctlns.volume import Geometry, Volume

from .models import brightness_model, slice_model

SIDE = 16
SMALL = "GPU memory is too small: goes on "
CPU = SMALL + "with the CPU, which takes longer"


class Gpu:
    """Blurs windows, as a network of one layer would; has room for so many voxels at once."""

    name, reason, notes = "gpu", "the fastest here", ()

    def __init__(self, room=math.inf, batch_size=8, answer=None):
        self.room, self.batch_size = room, batch_size
        self.answer = answer or self.blurred
        self.shown = []

    def run(self, batch):
        if batch.size > self.room:
            raise DeviceMemoryError("full")
        self.shown.append((len(batch), batch.shape[2:]))
        return self.answer(batch)

    def blurred(self, batch):
        middle = batch.shape[2] // 2
        flat = batch[:, :, middle : middle + 1] if batch.shape[2] == 3 else batch
        return ndimage.uniform_filter(flat, (1, 1, 1, 3, 3), mode="constant")

    def windows(self):
        return sum(count for count, _ in self.shown)


def recipe_of(size=(SIDE,) * 3, **network):
    return Recipe(
        name="test",
        preparation=Preparation(spacing_mm="native"),
        patches=Patches(size=size),
        network=Network(**{"channels": (4, 8, 16), **network}),
    )


@pytest.fixture(scope="module")
def scan():
    hu = np.random.default_rng(0).integers(-1000, 400, (40, 48, 56)).astype(np.int16)
    return Volume(hu, Geometry(hu.shape))


def found(scan, *members):
    """Return the probability and what was warned of."""
    work = predict_volume(scan, members, members[0].recipe.inference, whole=True)
    warnings = []
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            return end.value.probability.array, warnings
        if isinstance(event, Log):
            assert event.level == "warning"
            warnings.append(event.message)


def test_fewer_windows_are_shown_at_once(scan):
    recipe, window = recipe_of(), (SIDE,) * 3
    roomy, tight = Gpu(), Gpu(room=3 * SIDE**3)
    expected, silence = found(scan, Member(roomy, recipe, window))
    answer, warnings = found(scan, Member(tight, recipe, window))
    np.testing.assert_array_equal(answer, expected)
    assert silence == []
    assert warnings == [SMALL + "with 4 windows at once", SMALL + "with 2 windows at once"]
    assert tight.windows() == roomy.windows()
    assert {size for _, size in tight.shown} == {window}


def test_memory_that_gets_short_on_the_way_costs_no_answer(scan):
    recipe, window = recipe_of(), (SIDE,) * 3
    expected, _ = found(scan, Member(Gpu(), recipe, window))
    shrinking = Gpu()

    def shrunk(batch):
        shrinking.room = SIDE**3 if len(shrinking.shown) > 3 else math.inf
        return shrinking.blurred(batch)

    shrinking.answer = shrunk
    answer, warnings = found(scan, Member(shrinking, recipe, window))
    np.testing.assert_array_equal(answer, expected)
    assert warnings[-1] == SMALL + "with 1 window at once"
    assert [count for count, _ in shrinking.shown][2:6] == [8, 8, 1, 1]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_windows_get_smaller_and_the_answer_stays(scan, dimensions):
    size = (3, SIDE, SIDE) if dimensions == 2 else (SIDE,) * 3
    recipe = recipe_of(size, dimensions=dimensions)
    roomy, tight = Gpu(), Gpu(room=3 * 32 * 32 if dimensions == 2 else 9000)
    expected, _ = found(scan, Member(roomy, recipe))
    answer, warnings = found(scan, Member(tight, recipe))
    # where windows meet, next to nothing of what is seen beyond their borders is blended in
    np.testing.assert_allclose(answer, expected, atol=0.01)
    assert np.abs(answer - expected).mean() < 5e-4
    (last,) = {size for _, size in tight.shown}
    assert warnings[-1] == SMALL + f"with windows of {last[0]} x {last[1]} x {last[2]}"
    assert math.prod(last) <= tight.room < math.prod(roomy.shown[0][1])
    assert all(side >= least for side, least in zip(last, size, strict=True))


def test_the_cpu_takes_over_where_no_window_fits(scan):
    recipe = recipe_of()
    expected, _ = found(scan, Member(Gpu(batch_size=1), recipe))
    cpu = Gpu(batch_size=1)
    answer, warnings = found(scan, Member(Gpu(room=SIDE**3 - 1), recipe, on_cpu=lambda: cpu))
    np.testing.assert_array_equal(answer, expected)
    assert warnings[-1] == CPU
    assert warnings[-2] == SMALL + "with windows of 16 x 16 x 16"
    (window,) = {size for _, size in cpu.shown}
    assert math.prod(window) > SIDE**3  # a CPU is not made to do with the GPU's last try


def test_a_network_that_needs_its_window_keeps_it_and_what_it_answered(scan):
    recipe = recipe_of(norm="instance")
    expected, _ = found(scan, Member(Gpu(), recipe))
    failing, cpu = Gpu(batch_size=2), Gpu(batch_size=1)

    def failing_after_three(batch):
        if len(failing.shown) > 3:
            failing.room = 0
            raise DeviceMemoryError("taken by another program")
        return failing.blurred(batch)

    failing.answer = failing_after_three
    answer, warnings = found(scan, Member(failing, recipe, on_cpu=lambda: cpu))
    np.testing.assert_array_equal(answer, expected)
    assert warnings == [SMALL + "with 1 window at once", CPU]
    roomy = Gpu()
    found(scan, Member(roomy, recipe))
    assert cpu.windows() == roomy.windows() - 3 * 2
    assert {size for _, size in cpu.shown} == {(SIDE,) * 3}


def test_with_no_engine_left_it_is_said_what_to_do(scan):
    with pytest.raises(DeviceMemoryError, match="choose the device cpu"):
        found(scan, Member(Gpu(room=0), recipe_of()))


def test_mirror_images_go_through_it_too_and_it_is_said_once(scan):
    recipe, window = recipe_of(), (SIDE,) * 3
    cpus = []

    def on_cpu():
        cpus.append(Gpu(batch_size=1))
        return cpus[-1]

    expected, _ = found(scan, *with_mirror_images(Member(Gpu(), recipe, window)))
    short = Member(Gpu(room=0, batch_size=2), recipe, window, on_cpu)
    answer, warnings = found(scan, *with_mirror_images(short))
    np.testing.assert_array_equal(answer, expected)
    assert len(cpus) == 8
    assert warnings == [SMALL + "with 1 window at once", CPU]


# -- the whole job ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [slice_model(folder / "flat", 3), brightness_model(folder / "deep")]


def job(tmp_path, scan, models, device, **changes):
    image = sitk.GetImageFromArray(scan.array[:12, :20, :24])
    sitk.WriteImage(image, str(tmp_path / "scan.mha"))
    return PredictSpec(
        scan=tmp_path / "scan.mha",
        model=models[0],
        more_models=tuple(models[1:]),
        mask=tmp_path / f"{device}.mha",
        probability=tmp_path / f"{device}-probability.mha",
        whole=True,
        mirrored=True,
        device=device,
        **changes,
    )


def source(made, room):
    """Return where GPUs of little room come from, and, asked for a CPU, the real thing."""

    def engine_for(model, window, device):
        made.append((model, device))
        real = TorchEngine(model, window)
        if device == "cpu":
            real.reason = "as asked for"
            return real
        return Gpu(room, answer=real.run)

    return engine_for


def test_several_models_and_mirror_images_end_on_the_cpu(tmp_path, scan, models):
    made = []
    on_cpu = job(tmp_path, scan, models, "cpu")
    *_, last = predict(on_cpu, Uncontrolled(), source(made, 0))
    assert last.result["engine_reason"] == "as asked for"
    made.clear()
    spec = job(tmp_path, scan, models, "auto")
    events = list(predict(spec, Uncontrolled(), source(made, 0)))
    for one, other in ((spec.mask, on_cpu.mask), (spec.probability, on_cpu.probability)):
        found, expected = (sitk.GetArrayFromImage(sitk.ReadImage(str(p))) for p in (one, other))
        np.testing.assert_array_equal(found, expected)
        assert expected.any()
    assert sorted(made) == sorted((m, device) for m in models for device in ("auto", "cpu"))
    warnings = [e.message for e in events if isinstance(e, Log) and e.level == "warning"]
    assert warnings.count(CPU) == 1
    assert isinstance(events[-1], Finished)
    assert events[-1].result["engine"] == "gpu, torch cpu"
    assert "the GPU has too little memory" in events[-1].result["engine_reason"]


def test_a_stop_while_memory_is_short_ends_at_once(tmp_path, scan, models):
    control, made = ThreadControl(), []
    spec = job(tmp_path, scan, models, "auto")
    events = []
    for event in predict(spec, control, source(made, 0)):
        events.append(event)
        if isinstance(event, Log) and event.message.startswith(SMALL):
            control.stop()
    assert events[-1].stopped
    assert not any(isinstance(event, Progress) for event in events)
    assert sum(isinstance(e, Log) and e.message.startswith(SMALL) for e in events) == 1
    assert {device for _, device in made} == {"auto"}
    assert not spec.mask.exists()


# -- torch ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (torch.OutOfMemoryError, "Allocation on device 0 would exceed allowed memory"),
        (RuntimeError, "MPS backend out of memory (MPS allocated: 8.89 GB)"),
        (RuntimeError, "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_every_lack_of_memory_is_one_error_and_holds_on_to_nothing(kind, words):
    left = []

    def work():
        large = np.zeros(9)
        left.append(weakref.ref(large))
        raise kind(words)

    try:
        within_memory(work)
    except DeviceMemoryError:
        alive = left[0]()
    assert alive is None


def test_other_errors_stay_what_they_are():
    def work():
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        within_memory(work)


def test_a_torch_engine_says_when_a_window_does_not_fit(model):
    engine = TorchEngine(model, (32, 32, 32))

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    engine._network.register_forward_hook(full)
    with pytest.raises(DeviceMemoryError, match="too small"):
        engine.run(np.zeros((1, 1, 32, 32, 32), np.float32))


@pytest.fixture
def with_gpu(monkeypatch):
    """Return what puts an engine in place of torch on CUDA, on a machine that has none."""
    monkeypatch.setattr(engines, "_available_devices", lambda: {"cpu", "cuda"})
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")

    def put(make):
        def engine(folder, window, device="cpu"):
            return make() if device == "cuda" else TorchEngine(folder, window, device)

        monkeypatch.setattr(engines, "TorchEngine", engine)

    return put


def test_the_first_run_finds_out_how_many_windows_fit(model, with_gpu):
    with_gpu(lambda: Gpu(room=2 * 32**3))
    for device, why in (("auto", "the fastest here"), ("cuda", "as asked for")):
        engine = prepare_engine(model, device=device)
        assert (engine.name, engine.reason) == ("gpu", f"{why} (NVIDIA H200)")
        assert engine.batch_size == 2
        assert engine.notes == (SMALL + "with 2 windows at once",)


def test_a_gpu_without_room_for_a_window_is_left_to_the_scan(model, with_gpu):
    with_gpu(lambda: Gpu(room=0))
    engine = prepare_engine(model)
    assert (engine.name, engine.batch_size) == ("gpu", 1)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_without_room_for_the_weights_the_cpu_is_taken(model, with_gpu, monkeypatch, device):
    def full():
        raise DeviceMemoryError("GPU memory is too small; end other programs that use it")

    with_gpu(full)
    monkeypatch.setattr(engines, "OpenVinoEngine", TorchEngine)
    engine = prepare_engine(model, device=device)
    assert engine.name == "torch cpu"
    assert engine.reason == "the GPU does not work"
    assert "GPU memory is too small" in engine.notes[0]


CONVOLUTIONS = (
    torch.nn.Conv2d,
    torch.nn.Conv3d,
    torch.nn.ConvTranspose2d,
    torch.nn.ConvTranspose3d,
)


@pytest.mark.parametrize(
    ("network", "turned"),
    [
        ({}, True),
        ({"dimensions": 2}, True),
        ({"norm": "instance"}, False),
        ({"upsampling": "linear"}, False),
    ],
)
def test_channels_come_last_where_every_layer_keeps_them(network, turned):
    flat = network.get("dimensions") == 2
    size = (3, SIDE, SIDE) if flat else (SIDE,) * 3
    torch.manual_seed(0)
    built = build_network(recipe_of(size, **network)).eval()
    batch = torch.rand(2, 1, *size)
    with torch.inference_mode():
        expected = built(batch)
        with_channels_last(built)
        np.testing.assert_allclose(built(batch), expected, atol=1e-5)
    layout = torch.channels_last if flat else torch.channels_last_3d
    # those of one channel lie the same either way
    weights = [m.weight for m in built.modules() if isinstance(m, CONVOLUTIONS)]
    deep = [w for w in weights if min(w.shape[:2]) > 1 and max(w.shape[2:]) > 1]
    assert deep
    assert {w.is_contiguous(memory_format=layout) for w in deep} == {turned}
