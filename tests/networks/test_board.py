"""Networks of the MPII leaderboard: shapes, sizes of the public code, a step that lowers the loss, and what is new."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.networks.without_data import without_data
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.heads.network import run
from trustpose.networks.attention_hourglass import Attention
from trustpose.networks.coupled_unets import Blocks, coupled_unets
from trustpose.networks.guided_hourglass import gradients
from trustpose.networks.pyramid_hourglass import KINDS, Pyramid, fractional_max_pool, pyramid_hourglass
from trustpose.networks.quantised_convolution import Bits, QuantisedConv2d, quantise, quantise_weight
from trustpose.networks.small import SMALL
from trustpose.networks.spatial_context import PoseGraph, connections, spatial_context
from trustpose.networks.structure_aware import structure_aware
from trustpose.networks.zoo import build
from trustpose.skeletons import MPII_16
from trustpose.training.learner import _answer, heatmap_loss

# Number of parameters with MPII's 16 keypoints of the authors' code: docs/parity.md says how it was run.
PUBLIC = {
    "pyranet-2": 7_286_464,
    "pyranet-8": 28_131_832,
    "attention-hourglass-8": 58_312_088,
    "cu-net-2": 1_923_200,
    "cu-net-8": 10_281_344,
}
STAGES = {
    "pyranet-2": 2,
    "attention-hourglass-2": 2,
    "cu-net-2": 2,
    "spatial-context-2": 2,
    "structure-aware-2": 3,
    "cfa-r50-3": 4,
    "guided-hourglass-2": 2,
}
BOARD = ("small-pyranet-2", "small-attention-hourglass-2", "small-cu-net-2", "small-cu-net-2-quantised")
BOARD += ("small-spatial-context-2", "small-structure-aware-2", "small-cfa-2", "small-guided-hourglass-2")


@pytest.mark.parametrize("name", STAGES)
def test_shapes(name):
    with without_data(), torch.no_grad():
        network = build(name, 16).eval()
        outputs = network(torch.zeros(1, 3, 256, 192))
    assert [tuple(maps.shape) for maps in outputs.heatmaps] == [(1, 16, 64, 48)] * STAGES[name]
    assert outputs.features.shape == (1, network.feature_channels, 64, 48)


@pytest.mark.parametrize("name", [name for name in BOARD if "quantised" not in name])
def test_heads_read_the_last_encoders_map(name):
    network = SMALL[name](keypoints=14).eval()
    with torch.no_grad():
        outputs, (encoded, features) = run(network, torch.randn(1, 3, 64, 64), ("backbone", "features"))
    assert encoded.shape[2:] == (2, 2) and features is outputs.features


@pytest.mark.parametrize("name", PUBLIC)
def test_as_many_parameters_as_the_public_code(name):
    with without_data():
        assert sum(parameter.numel() for parameter in build(name, 16).parameters()) == PUBLIC[name]


@pytest.mark.parametrize("name", BOARD)
def test_one_step_lowers_the_loss(name):
    torch.manual_seed(0)
    network = SMALL[name](keypoints=14)
    is_quantised = name.endswith("quantised")  # whose single steps change signs, and need not lower the loss
    optimiser = (torch.optim.Adam if is_quantised else torch.optim.SGD)(
        network.parameters(), 2e-3 if is_quantised else 0.05
    )
    image, xy = torch.randn(2, 3, 64, 64), torch.rand(2, 14, 2) * 64
    target = torch.from_numpy(HeatmapCodec(16, 16, 4.0, sigma=1.0).encode(xy.numpy()))
    losses = []
    for _ in range(10 if is_quantised else 2):
        torch.manual_seed(0)  # of pooling regions
        loss = heatmap_loss(_answer(network(image))["heatmaps"], target, torch.ones(2, 14), torch.tensor(2.0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    idle = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not idle


def test_pooling_positions_are_torchs_at_the_middle_of_the_draw():
    torch.manual_seed(0)
    for side in (4, 8, 13, 64):
        x = torch.randn(2, 3, side, side + 1)
        for level in range(1, 5):
            pooled = fractional_max_pool(x, 2 ** (-level / 4), is_random=False)
            middle = torch.full((2, 3, 2), 0.5)
            assert torch.equal(pooled, F.fractional_max_pool2d(x, 2, pooled.shape[2:], _random_samples=middle))
    assert pooled.shape[2:] == (32, 32)


def test_pyramids_of_each_kind():
    torch.manual_seed(0)
    x = torch.randn(2, 6, 16, 16)
    count = {}
    for kind in KINDS:
        pyramid = Pyramid(6, width=5, outputs=4, kind=kind, levels=3, follows_relu=False).eval()
        assert pyramid(x).shape == (2, 4, 16, 16)
        count[kind] = sum(parameter.numel() for parameter in pyramid.parameters())
    inputs, wider = 6 * 5 + 5 + 2 * 5, 2 * 5 * (4 + 2)
    assert count["A"] - count["B"] == 2 * inputs and count["C"] - count["B"] == wider and count["D"] == count["B"]
    level = Pyramid(6, width=5, outputs=4, kind="B", levels=3, follows_relu=False)
    std = torch.stack([layer.weight.std() for layer in (level.levels[0], level.after[2])])
    torch.testing.assert_close(std, (2 / torch.tensor([45.0, 3 * 5.0])).sqrt(), rtol=0.3, atol=0)


def test_messages_go_along_the_skeletons_edges():
    torch.manual_seed(0)
    graph = PoseGraph(6, 4, ((0, 1), (1, 2)), state=3, steps=1).eval()
    nn.init.normal_(graph.last.weight)
    x = torch.randn(1, 6, 5, 5)
    first = graph.initial(x).reshape(1, 4, 3, 5, 5)
    with torch.no_grad():
        base = graph(x)
        for joint, reached in ((0, {0, 1}), (1, {0, 1, 2}), (3, {3})):
            changed = graph.initial.bias.clone()
            graph.initial.bias[3 * joint : 3 * joint + 3] += 1
            moved = (graph(x) - base).abs().amax(dim=(0, 2, 3))
            graph.initial.bias.copy_(changed)
            assert {number for number in range(4) if moved[number] > 1e-5} == reached
    assert first.shape == (1, 4, 3, 5, 5)
    assert connections(16) == MPII_16.edges and connections(3) == ((0, 1), (1, 2))


def test_predictions_guide_the_next_stage():
    torch.manual_seed(0)
    network = spatial_context(2, 4, channels=8, depth=1, has_graph=False).eval()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        before = network(image).heatmaps[1]
        network.stacks[1].prior.bias += 1
        after = network(image).heatmaps[1]
    head = network.stacks[1].head.weight.sum(dim=1)  # of features that are higher by 1
    torch.testing.assert_close(after - before, head.expand(1, 4, 1, 1).expand_as(before), atol=1e-5, rtol=0)


def test_every_resolution_is_predicted_and_the_last_network_reads_all():
    with torch.no_grad():
        outputs = structure_aware(2, 4, channels=8, depth=2).eval()(torch.randn(1, 3, 64, 64))
    sides = [maps.shape[2] for maps in outputs.extra["beliefs"]]
    assert sides == [4, 8, 16, 4, 8, 16, 16]
    assert [maps.shape[2] for maps in outputs.heatmaps] == [16, 16, 16]


def test_stages_are_averaged_in_evaluation():
    torch.manual_seed(0)
    network = SMALL["small-cfa-2"](keypoints=3)
    image = torch.randn(2, 3, 64, 64)
    assert len(network(image).heatmaps) == 2
    network.eval()
    with torch.no_grad():
        first, second, mean = network(image).heatmaps
    torch.testing.assert_close(mean, (first + second) / 2)


def test_gradients_point_where_it_gets_brighter():
    ramp = torch.arange(16.0).expand(1, 3, 16, 16)
    across = gradients(ramp)
    assert across.shape == (1, 8, 4, 4)
    diagonal = 2**-0.5
    torch.testing.assert_close(across[0, :, 1, 1], torch.tensor([1, diagonal, 0, 0, 0, 0, 0, diagonal]))
    torch.testing.assert_close(gradients(ramp.mT.flip(2))[0, :, 1, 1].argmax(), torch.tensor(6))  # up


def test_projections_alone_are_supervised_in_training():
    network = SMALL["small-guided-hourglass-2"](keypoints=3)
    image = torch.randn(2, 3, 64, 64)
    assert len(network(image).extra["beliefs"]) == 3
    assert not network.eval()(image).extra


def test_mean_field_steps_share_their_kernel():
    torch.manual_seed(0)
    attention, x = Attention(4, 3), torch.randn(2, 4, 6, 5)
    score = F.conv2d(x, attention.score.weight, attention.score.bias, padding=1)
    belief = score
    for _ in range(3):
        smooth = F.conv2d(belief, attention.smooth.weight, attention.smooth.bias, padding=1)
        belief = 1 / (1 + torch.exp(-(smooth + score)))
    torch.testing.assert_close(attention(x), x * belief)
    attention.smooth.weight.data.zero_()
    with torch.no_grad():  # without neighbours each pixel's attention is its score's alone
        torch.testing.assert_close(attention(x), x * torch.sigmoid(score + attention.smooth.bias))


def test_blocks_read_the_outputs_of_as_many_unets_as_their_order():
    torch.manual_seed(0)
    for order in (0, 1, 2):
        blocks = Blocks(6, 6, 3, order, (2, 2), None).eval()
        memory: list[torch.Tensor] = []
        for number in range(3):
            blocks(torch.randn(1, 6, 4, 4), number, memory)
            assert len(memory) == min(number + 1, order)
    with pytest.raises(ValueError, match="order: expected 0 to 1, got 2"):
        coupled_unets(2, order=2)


def test_quantised_values_are_multiples_within_the_range():
    x = torch.tensor([-3.0, -0.3, 0.0, 0.3, 0.99, 3.0])
    assert quantise(x, 3).tolist() == [-0.75, -0.25, 0, 0.25, 0.75, 0.75]
    torch.manual_seed(0)
    weight = torch.randn(3, 4, 2, 2) * 0.2
    binary = quantise_weight(weight, Bits(1, 8, 8))
    centred = weight - weight.mean(dim=1, keepdim=True)
    assert torch.equal(binary.sign(), centred.sign())
    scale = centred.abs().mean(dim=(1, 2, 3))
    assert all(kernels.unique().numel() == 1 for kernels in binary.abs())
    torch.testing.assert_close(binary.abs().amax(dim=(1, 2, 3)), scale, atol=1 / 256, rtol=0)
    ternary = quantise_weight(weight, Bits(2, 8, 8))
    assert set(ternary.unique().tolist()) == {-1, 0, 1}
    assert torch.equal(ternary != 0, centred.abs() > 0.7 * scale[:, None, None, None])


def test_gradients_of_quantised_convolutions_have_eight_bits():
    torch.manual_seed(0)
    layer = QuantisedConv2d(4, 3, 3, Bits(1, 8, 8))
    x = (torch.randn(2, 4, 5, 5) * 2).requires_grad_()
    layer(x).square().sum().backward()
    gradient = layer.weight.grad
    unit = torch.exp2(gradient.abs().max().log2().ceil()) / 128
    torch.testing.assert_close(gradient / unit, (gradient / unit).round())
    assert gradient.unique().numel() > 10
    assert torch.equal(x.grad == 0, x.abs() >= 1)  # clipped inputs learn nothing
    layer.eval()
    evaluated = layer(x)
    layer.train()
    assert torch.equal(layer(x), evaluated)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pyramid_hourglass(0), "stacks: expected 1 or more, got 0"),
        (lambda: pyramid_hourglass(1, levels=0), "levels: expected 1 or more, got 0"),
    ],
)
def test_invalid_builds_are_reported(make, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        make()
