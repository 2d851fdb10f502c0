import math

import pytest
import torch
from monai.networks.nets.dynunet import DynUNet

from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Network, Patches, Recipe, builtin_recipes, load_recipe

BACKGROUND = math.log(0.01 / 0.99)
KINDS = {
    "unet": {},
    "unet-instance": {"norm": "instance"},
    "unet-linear": {"upsampling": "linear"},
    "attention": {"name": "attention-unet"},
    "residual": {"name": "residual-unet"},
    "residual-instance": {"name": "residual-unet", "norm": "instance"},
    "swin": {"name": "swin-unetr", "channels": (12,)},
}
# a Swin UNETR of 3 dimensions is not to be had small
CASES = [
    pytest.param(
        {"dimensions": d, **kind},
        id=f"{name}-{d}",
        marks=[pytest.mark.slow] if (name, d) == ("swin", 3) else [],
    )
    for name, kind in KINDS.items()
    for d in (2, 3)
]


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this tiny are slowed down by a second thread."""
    torch.set_num_threads(1)


def recipe_of(slices=3, **changes):
    network = Network(**{"channels": (4, 8, 16), **changes})
    sides = (2 * network.step,) * 2 if network.name != "swin-unetr" else (network.step,) * 2
    z = slices if network.dimensions == 2 else sides[0]
    return Recipe(name="mine", network=network, patches=Patches(size=(z, *sides)))


def network_of(**changes):
    torch.manual_seed(0)
    return build_network(recipe_of(**changes))


def image_for(recipe, count=2):
    random = torch.Generator().manual_seed(5)
    return torch.rand(count, 1, *recipe.patches.size, generator=random)


def with_statistics(network):
    """Give batch norms statistics of their own, as training does."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            torch.nn.init.normal_(layer.running_mean, 0, 0.1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return network.eval()


def learn_once(network, image, autocast=False):
    """Take the gradients of one step; a list of logits counts as a whole."""
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = network(image)
    levels = logits if isinstance(logits, list) else [logits]
    target = (torch.rand(levels[0].shape) > 0.7).float()
    pooled = [torch.nn.functional.interpolate(target, size=level.shape[2:]) for level in levels]
    losses = [
        torch.nn.functional.binary_cross_entropy_with_logits(level.float(), part)
        for level, part in zip(levels, pooled, strict=True)
    ]
    sum(losses).backward()
    return levels


@pytest.mark.parametrize("kind", ["unet", "unet-linear", "attention", "residual", "swin"])
def test_networks_of_lungs_start_with_the_share_of_lungs(kind):
    recipe = recipe_of(dimensions=2, **KINDS[kind]).model_copy(update={"structure": "lung"})
    torch.manual_seed(0)
    network = build_network(recipe).eval()
    with torch.no_grad():
        answer = torch.sigmoid(network(0 * image_for(recipe)))
    assert 0.15 < float(answer.median()) < 0.5


@pytest.mark.parametrize("case", CASES)
def test_every_network_starts_sure_of_background_and_learns_also_in_bf16(case):
    recipe = recipe_of(**case)
    network, image = network_of(**case), image_for(recipe)
    (logits,) = learn_once(network, image)
    assert logits.shape == (
        2,
        1,
        1 if case["dimensions"] == 2 else image.shape[2],
        *image.shape[3:],
    )
    assert logits.dtype == torch.float32
    assert logits.std() > 0
    assert float(logits.median().detach()) == pytest.approx(BACKGROUND, abs=2.5)
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
    learn_once(network, image, autocast=True)
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())
    if recipe.network.norm == "batch":  # instance norm of so few voxels magnifies rounding
        with_statistics(network)
        one, other = gradients_of(network, image), gradients_of(network, image, autocast=True)
        assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.97


def gradients_of(network, image, autocast=False):
    network.zero_grad()
    torch.manual_seed(1)
    learn_once(network, image, autocast)
    return torch.cat([weight.grad.flatten() for weight in network.parameters()])


@pytest.mark.parametrize("kind", [{}, {"name": "residual-unet"}])
def test_two_slices_at_the_deepest_level_are_learned_from_rightly_in_bf16(kind):
    """The weight gradients of torch itself are garbage there, see cpu_bf16."""
    network = with_statistics(network_of(channels=(8, 32), **kind))
    image = torch.rand(2, 1, 4, 8, 8)
    for _ in range(3):
        one, other = gradients_of(network, image), gradients_of(network, image, autocast=True)
        torch.testing.assert_close(one, other, atol=0.02 * float(one.abs().max()), rtol=0.1)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", ["unet", "residual-unet"])
def test_coarser_levels_answer_in_training_only(name, dimensions):
    changes = {"name": name, "dimensions": dimensions, "channels": (4, 4, 8, 8)}
    recipe = recipe_of(deep_supervision=True, **changes)
    network = network_of(deep_supervision=True, **changes)
    image = image_for(recipe)
    levels = learn_once(network, image)
    n, flat = image.shape[-1], dimensions == 2
    assert [tuple(level.shape) for level in levels] == [
        (2, 1, 1 if flat else n // step, n // step, n // step) for step in (1, 2, 4)
    ]
    for parameter, weight in network.named_parameters():
        assert weight.grad is not None, parameter
        assert weight.grad.abs().max() > 0, parameter
    network.eval()
    plain = build_network(recipe_of(**changes)).eval()
    plain.load_state_dict(network.state_dict(), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(network(image), plain(image))


def test_in_two_dimensions_slices_are_channels_and_the_middle_one_is_answered():
    """A network told to pass on one of its channels says which slice that is."""
    network = network_of(dimensions=2, slices=5, channels=(4, 8))
    with torch.no_grad():
        first, last = network.network.down[0], network.network.up[0]
        for layer in (first[0], first[3], last[0], last[3]):
            layer.weight[0] = 0
        first[0].weight[0, 2, 1, 1] = 1
        for layer in (first[3], last[0], last[3]):
            layer.weight[0, 0, 1, 1] = 1
        network.network.head.weight[:] = torch.eye(4)[0].view(1, 4, 1, 1)
        network.network.head.bias[:] = 0
    image = torch.rand(2, 1, 5, 8, 8)
    with torch.no_grad():
        logits = network.eval()(image)
    torch.testing.assert_close(logits, image[:, :, 2:3], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_residual_network_is_that_of_monai(dimensions):
    ours = with_statistics(network_of(name="residual-unet", dimensions=dimensions, slices=1))
    levels = {"kernel_size": (3, 3, 3), "strides": (1, 2, 2), "upsample_kernel_size": (2, 2)}
    peer = DynUNet(
        dimensions, 1, 1, **levels, filters=(4, 8, 16), norm_name="batch", res_block=True
    )
    network = ours.network if dimensions == 2 else ours
    down = [peer.input_block, *peer.downsamples, peer.bottleneck]
    pairs = [
        (down, network.down),
        (peer.upsamples, network.up),
        ([peer.output_block], network.heads),
    ]
    for theirs, own in pairs:
        for one, other in zip(theirs, own, strict=True):
            one.load_state_dict(other.state_dict())
    image = torch.rand(2, 1, *(1, 8, 8) if dimensions == 2 else (8, 8, 8))
    with torch.no_grad():
        expected = peer.eval()(image[:, 0] if dimensions == 2 else image)
        torch.testing.assert_close(ours(image).reshape(expected.shape), expected)


def test_linear_upsampling_is_interpolation_and_then_a_convolution():
    network = network_of(upsampling="linear", channels=(4, 8))
    convolution = network.widen[0][0]
    low = torch.rand(1, 8, 3, 4, 5)
    larger = torch.nn.functional.interpolate(low, scale_factor=2, mode="trilinear")
    with torch.no_grad():
        torch.testing.assert_close(network.widen[0](low), convolution(larger))


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", [kind for name, kind in KINDS.items() if name != "swin"])
def test_only_instance_norm_lets_the_window_enter_the_answer(kind, dimensions):
    """What is far from every face has the same logits in a larger window, with batch norm."""
    changes = {"dimensions": dimensions, "slices": 1, **kind}
    network, recipe = with_statistics(network_of(**changes)), recipe_of(**changes)
    image = torch.rand(1, 1, *(1, 64, 64) if dimensions == 2 else (64, 64, 64))
    inner = image[..., 8:56, 8:56] if dimensions == 2 else image[..., 8:56, 8:56, 8:56]
    with torch.no_grad():
        whole = network(image)[..., 30:34, 30:34]
        part = network(inner)[..., 22:26, 22:26]
    if dimensions == 3:
        whole, part = whole[:, :, 30:34], part[:, :, 22:26]
    difference = float((whole - part).abs().max())
    assert (difference > 1e-4) == recipe.network.depends_on_window


def test_dropout_is_for_training_only():
    for kind in KINDS.values():
        changes = {"dropout": 0.5, "dimensions": 2, **kind}
        network, image = network_of(**changes), image_for(recipe_of(**changes))
        assert not torch.equal(network(image), network(image))
        network.eval()
        assert torch.equal(network(image), network(image))


def test_levels_of_channels_decide_the_depth():
    for channels in [(4, 8), (4, 8, 8, 8)]:
        network = network_of(channels=channels)
        n = 2 ** (len(channels) - 1)
        assert network(torch.rand(2, 1, 2 * n, 2 * n, 2 * n)).shape[2:] == (2 * n,) * 3
        with pytest.raises(RuntimeError):
            network(torch.rand(1, 1, 2 * n + 1, 2 * n, 2 * n))


def test_models_of_older_versions_keep_their_weights():
    names = set(network_of(channels=(4, 8)).state_dict())
    layers = [f"{part}.weight" for part in ("head", "widen.0", "down.1.0", "up.0.3")]
    assert names >= {*layers, "head.bias", "widen.0.bias", "down.0.4.running_mean"}
    assert len(names) == 40


@pytest.mark.parametrize("name", builtin_recipes())
def test_every_built_in_recipe_builds_its_network(name):
    recipe = load_recipe(name)
    network, shape = build_network(recipe).to("meta").eval(), recipe.patches.size
    with torch.no_grad():
        logits = network(torch.empty(2, recipe.image_channels, *shape, device="meta"))
    assert logits.shape == (2, 1, *((1, *shape[1:]) if recipe.network.dimensions == 2 else shape))
