import pytest
import torch

from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Network, Recipe, load_recipe


def network_of(**changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(
        Recipe(name="mine", network=Network(**{"channels": (4, 8, 16), **changes}))
    )


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("shape", [(2, 1, 8, 8, 8), (1, 1, 8, 12, 16)])
def test_logits_have_the_size_of_the_input(norm: str, shape: tuple[int, ...]) -> None:
    logits = network_of(norm=norm)(torch.rand(shape))
    assert logits.shape == shape
    assert logits.min() < 0 < logits.max() or logits.std() > 0


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_gradients_flow_through_every_parameter(norm: str) -> None:
    network = network_of(norm=norm)
    logits = network(torch.rand(2, 1, 16, 16, 16))
    target = (torch.rand_like(logits) > 0.7).float()
    torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_default_recipe_builds_its_network() -> None:
    network = build_network(load_recipe("ct-lns"))
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 1, 16, 16, 16)


def test_batch_norm_makes_the_answer_independent_of_the_window() -> None:
    """What is far from every face has the same logits in a larger window."""
    network = network_of().eval()
    image = torch.rand(1, 1, 64, 64, 64)
    with torch.inference_mode():
        whole = network(image)[..., 28:36, 28:36, 28:36]
        inner = network(image[..., 8:56, 8:56, 8:56])[..., 20:28, 20:28, 20:28]
    torch.testing.assert_close(inner, whole, atol=1e-5, rtol=0)


def test_dropout_is_for_training_only() -> None:
    network = network_of(dropout=0.5)
    image = torch.rand(1, 1, 8, 8, 8)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


def test_levels_of_channels_decide_the_depth() -> None:
    for channels in [(4, 8), (4, 8, 8, 8)]:
        network = network_of(channels=channels)
        n = 2 ** (len(channels) - 1)
        assert network(torch.rand(2, 1, 2 * n, 2 * n, 2 * n)).shape[2:] == (2 * n,) * 3
        with pytest.raises(RuntimeError):
            network(torch.rand(1, 1, 2 * n + 1, 2 * n, 2 * n))
