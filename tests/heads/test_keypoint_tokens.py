"""The maps that `KeypointTokens` reads, against numpy, and its predictions."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.heads.small import network
from tests.networks.random_weights import randomise
from trustpose.export.onnx import export_onnx as export_network
from trustpose.export.trust_folder import export_onnx
from trustpose.heads.heads import TrustHead
from trustpose.heads.keypoint_tokens import KeypointTokens
from trustpose.heads.network import TrustNetwork, attach
from trustpose.heads.peaks import REACH, around, at_peaks, peaks

ENCODED = (5, 8, 6)


@st.composite
def heatmaps(draw, least: int = 1, most: int = 23) -> torch.Tensor:
    """Noise, bumps, or a few values that many pixels share; of sizes that cells of 4 divide and others."""
    height, width = draw(st.integers(least, most)), draw(st.integers(least, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    maps = random.normal(size=(2, 3, height, width))
    kind = draw(st.sampled_from(["noise", "steps", "flat", "bump"]))
    if kind == "steps":
        maps = np.rint(maps)
    if kind == "flat":
        maps = np.full_like(maps, draw(st.sampled_from([0.0, 0.5])))
    if kind == "bump":
        y, x = np.mgrid[:height, :width]
        positions = random.uniform(size=(2, 3, 2, 1, 1)) * [[[height]], [[width]]]
        maps = np.exp(-((x - positions[:, :, 1]) ** 2 + (y - positions[:, :, 0]) ** 2) / 8) + maps / 50
    return torch.from_numpy(maps.astype(np.float32))


def peaks_of(maps: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, rows and heights (B, K); of equal pixels numpy takes the first in reading order."""
    flat = maps.numpy().reshape(*maps.shape[:2], -1)
    y, x = np.unravel_index(flat.argmax(axis=2), maps.shape[2:])
    return x, y, flat.max(axis=2)


def as_found(x: np.ndarray, y: np.ndarray, maps: torch.Tensor) -> torch.Tensor:
    """Places (B, K) as `peaks` gives them."""
    return torch.from_numpy(y * maps.shape[3] + x)


@given(heatmaps())
def test_peaks_are_numpys_argmax(maps):
    x, y, height = peaks_of(maps)
    peak, found = peaks(maps)
    assert np.array_equal(peak.numpy(), as_found(x, y, maps).numpy())
    assert np.array_equal(found[..., 0].numpy(), height)


@given(heatmaps())
def test_around_is_a_slice_that_stays_within_the_map(maps):
    x, y, _ = peaks_of(maps)
    if min(maps.shape[2:]) < 2 * REACH + 1:
        with pytest.raises(ValueError, match="heatmaps: expected 7 × 7 pixels or more"):
            around(maps, as_found(x, y, maps))
        return
    values = around(maps, as_found(x, y, maps)).numpy()
    rows, columns = (np.arange(length) for length in maps.shape[2:])
    for b, k in np.ndindex(x.shape):
        # as many pixels as a window has, those nearest to the peak
        down = np.sort(rows[np.argsort(abs(rows - y[b, k]), kind="stable")][: 2 * REACH + 1])
        right = np.sort(columns[np.argsort(abs(columns - x[b, k]), kind="stable")][: 2 * REACH + 1])
        assert np.array_equal(values[b, k], maps[b, k].numpy()[np.ix_(down, right)].ravel())


@given(heatmaps())
def test_at_peaks_of_the_heatmaps_reads_all_maps_at_each_peak(maps):
    x, y, height = peaks_of(maps)
    values = at_peaks(maps.permute(0, 2, 3, 1), as_found(x, y, maps), maps.shape[2:]).numpy()
    for b, k, other in np.ndindex(*x.shape, maps.shape[1]):
        assert values[b, k, other] == maps[b, other, y[b, k], x[b, k]]
    assert np.array_equal(values.diagonal(axis1=1, axis2=2), height)


def tiny_head(size: tuple[int, int] = (64, 48), **options) -> tuple[KeypointTokens, tuple[torch.Tensor, ...]]:
    """A head of random weights in evaluation; maps of six people, heatmaps of `size`, and their boxes."""
    head = randomise(KeypointTokens(*ENCODED, keypoints=7, **({"token": 16, "hidden": 24} | options))).eval()
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(6, *shape, generator=generator) for shape in (ENCODED, (7, *size))]
    return head, (*maps, torch.rand(6, 2, generator=generator))


@pytest.mark.parametrize("size", [(64, 48), (16, 12), (18, 13)])
def test_the_encoder_is_read_where_the_peak_lies_in_it(size):
    head, (encoded, maps, box) = tiny_head(size)
    tokens, mean = head.pool((encoded, maps, box))
    x, y, height = peaks_of(maps)
    channels, rows, columns = ENCODED
    row, column = ((y + 0.5) / size[0] * rows).astype(int), ((x + 0.5) / size[1] * columns).astype(int)
    assert np.array_equal(tokens[..., :channels].numpy(), encoded.numpy()[np.arange(6)[:, None], :, row, column])
    assert torch.equal(tokens[..., channels:-3], around(maps, as_found(x, y, maps)))
    assert np.array_equal(tokens[..., -3].numpy(), height)
    assert tokens.shape[2] == channels + (2 * REACH + 1) ** 2 + 1 + 2
    torch.testing.assert_close(mean, encoded.flatten(2).mean(dim=2))
    assert torch.equal(tokens[..., -2:], box[:, None].expand(-1, 7, -1))


@pytest.mark.parametrize("options", [{}, {"box": False}, {"token": 8}, {"hidden": 1}])
def test_a_heads_output_depends_on_its_own_person_only(options):
    head, maps = tiny_head(**options)
    maps = maps if head.reads_box else maps[:-1]
    together = head(*maps).filled()
    others = head(*(torch.cat([one[2:3], one[2:3] * 3 - 1, one[:1] / 2]) for one in maps)).filled()
    for name, values in together.items():
        torch.testing.assert_close(others[name][0], values[2], atol=1e-6, rtol=0)
        assert values.std(dim=0).mean() > 1e-3, "its output is the same for all people"


def test_the_fields_agree_with_each_other():
    head, maps = tiny_head()
    trust, raw = head(*maps), head.raw(*maps)
    assert trust.quality is not None and trust.visibility is not None and trust.pose_quality is not None
    torch.testing.assert_close(trust.visibility.sum(dim=2), torch.ones(6, 7))
    labelled = trust.visibility[..., 1:].sum(dim=2)
    torch.testing.assert_close(trust.quality, labelled * raw.opks.sigmoid())
    shares = torch.zeros(6, 7)
    with torch.no_grad():  # shares as given, no calibration: expected OKS is that mean of expected OPKS
        head.from_token.weight[4] = 0
        head.from_body.weight.view(7, 5, -1)[:, 4] = 0
        head.from_body.bias.view(7, 5)[:, 4] = shares[0] = torch.linspace(-2, 2, 7)
        for name in ("opks", "oks"):
            getattr(head, f"calibration_{name}").copy_(torch.tensor([1.0, 0.0]))
    expected = (torch.linspace(-2, 2, 7).softmax(dim=0) * head.raw(*maps).opks.sigmoid()).sum(dim=1)
    torch.testing.assert_close(head(*maps).pose_quality, expected)


def by_hand(head: KeypointTokens, pooled: tuple[torch.Tensor, ...], person: int) -> list[torch.Tensor]:
    """Logits of visibility (K, 3) and OPKS (K,), and OKS, of one person, layer by layer and keypoint by keypoint."""
    weights = {name: value.double() for name, value in head.state_dict().items()}
    tokens, mean = (one[person].double() for one in pooled)

    def normal(name: str, values: torch.Tensor) -> torch.Tensor:
        mean, variance, scale, shift = (
            weights[f"{name}.norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (values - mean) / (variance + 1e-5).sqrt() * scale + shift

    each = [
        (weights["token.weight"] @ normal("token", token) + weights["token.bias"][k]).clamp(min=0)
        for k, token in enumerate(tokens)
    ]
    whole = weights["whole.weight"] @ normal("whole", mean) + weights["whole.bias"]
    body = (weights["body.weight"] @ torch.cat(each) + whole).clamp(min=0)
    rest = (weights["from_body.weight"] @ body + weights["from_body.bias"]).view(len(each), 5)
    predicted = torch.stack([weights["from_token.weight"] @ one for one in each]) + rest  # (K, 5)
    visibility, opks, oks = (weights[f"calibration_{name}"] for name in ("visibility", "opks", "oks"))
    share = predicted[:, 4].exp() / predicted[:, 4].exp().sum()
    expected = (share / (1 + (-(predicted[:, 3] * oks[0] + oks[1])).exp())).sum()
    return [predicted[:, :3] * visibility[0] + visibility[1:], predicted[:, 3] * opks[0] + opks[1], expected]


def test_its_layers_are_those_of_a_head_that_folds_nothing():
    head, maps = tiny_head()
    pooled = head.pool(maps)
    raw = head.logits(pooled)
    for person in range(6):
        given = raw.visibility[person], raw.opks[person], raw.oks[person]
        for one, expected in zip(given, by_hand(head, pooled, person), strict=True):
            torch.testing.assert_close(one, expected.float(), atol=1e-5, rtol=1e-4)


def test_training_and_evaluation_are_the_same_on_the_statistics_of_the_batch():
    head, maps = tiny_head(dropout=0.0)
    pooled = head.pool(maps)
    for norm in (head.token.norm, head.whole.norm):
        norm.momentum = 1.0
    trained = head.train().logits(pooled)
    with torch.no_grad():  # running variances are of samples, a batch's own is of the population
        for norm, rows in ((head.token.norm, 6 * 7), (head.whole.norm, 6)):
            assert norm.running_var is not None
            norm.running_var *= (rows - 1) / rows
    evaluated = head.eval().logits(pooled)
    for name in ("visibility", "opks", "oks"):
        torch.testing.assert_close(getattr(trained, name), getattr(evaluated, name), atol=1e-4, rtol=1e-3)


def test_gradients_reach_a_network_that_is_not_cut_off():
    head, (encoded, maps, box) = tiny_head(detach=False)
    leaves = [encoded.requires_grad_(), maps.requires_grad_()]
    head(*leaves, box).quality.sum().backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in leaves)


def test_pooled_maps_of_half_precision_give_nearly_the_same():
    head, maps = tiny_head()
    pooled = head.pool(maps)
    whole, half = (
        head.trust(head.logits(tuple(one))).filled() for one in (pooled, [one.half().float() for one in pooled])
    )
    for name, values in whole.items():
        assert 0 < (values - half[name]).abs().max() < 1e-2


@pytest.mark.parametrize("height", [64, 88])  # heatmaps of 16 and 22 rows: cells that are whole, and some that are not
def test_onnxruntime_gives_the_same(tmp_path, height):
    made: TrustNetwork = attach("keypoint-tokens", network("tiny"), height, 64, token=16)
    randomise(made.head)
    image, box = torch.randn(2, 3, height, 64), torch.rand(2, 2)
    with torch.no_grad():
        outputs, trust = made.eval()(image, box)
    export_onnx(made, tmp_path / "made.onnx", height, 64)
    session = onnxruntime.InferenceSession(tmp_path / "made.onnx", providers=["CPUExecutionProvider"])
    given_names = {entry.name: array.numpy() for entry, array in zip(session.get_inputs(), (image, box), strict=True)}
    found = dict(zip([entry.name for entry in session.get_outputs()], session.run(None, given_names), strict=True))
    np.testing.assert_allclose(found["heatmaps"], outputs.heatmaps[-1].numpy(), atol=1e-4)
    for name, values in trust.filled().items():
        np.testing.assert_allclose(found[name], values.numpy(), atol=1e-4)


def operators(path: Path) -> int:
    """How many onnxruntime runs of a file, after its own optimisation."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimised.onnx"))
    options.log_severity_level = 4  # it warns that the file is for this machine
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return len(onnx.load(options.optimized_model_filepath).graph.node)


def test_it_adds_few_operators(tmp_path):
    made: TrustNetwork = attach("keypoint-tokens", network("tiny"), 64, 64)
    export_network(made.network, tmp_path / "network.onnx", 64, 64)
    export_onnx(made, tmp_path / "both.onnx", 64, 64)
    added = operators(tmp_path / "both.onnx") - operators(tmp_path / "network.onnx")
    assert 20 < added <= 40, added


def test_sizes_that_cannot_be_are_named():
    with pytest.raises(ValueError, match="channels: expected 1 or more"):
        KeypointTokens(0, 4, 4)
    head, maps = tiny_head()
    with pytest.raises(ValueError, match=r"backbone: expected \(B, 5, 8, 6\), got \(6, 5, 8, 5\)"):
        head(maps[0][..., :5], *maps[1:])
    assert isinstance(head, TrustHead)


@pytest.mark.parametrize("option", ["token", "hidden"])
def test_sizes_below_1_are_refused(option):
    with pytest.raises(ValueError, match=f"{option}: expected 1 or more, got 0"):
        KeypointTokens(4, 16, 12, **{option: 0})
