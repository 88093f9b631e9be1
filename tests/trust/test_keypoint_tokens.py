"""What `KeypointTokens` reads of heatmaps, against numpy's ways to it, pixel by pixel and cell by cell."""

import itertools

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.networks.random_weights import randomise
from tests.trust.small import network
from trustpose.trust import keypoint_tokens as module
from trustpose.trust.export import export_onnx
from trustpose.trust.heads import TrustHead
from trustpose.trust.keypoint_tokens import KeypointTokens
from trustpose.trust.network import TrustNetwork, attach

REACH = module.REACH
SHAPES = {"features": (3, 16, 12), "backbone": (5, 8, 6)}


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
        places = random.uniform(size=(2, 3, 2, 1, 1)) * [[[height]], [[width]]]
        maps = np.exp(-((x - places[:, :, 1]) ** 2 + (y - places[:, :, 0]) ** 2) / 8) + maps / 50
    return torch.from_numpy(maps.astype(np.float32))


def peaks_of(maps: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, rows and heights (B, K); of equal pixels numpy takes the first in reading order."""
    flat = maps.numpy().reshape(*maps.shape[:2], -1)
    y, x = np.unravel_index(flat.argmax(axis=2), maps.shape[2:])
    return x, y, flat.max(axis=2)


def as_found(*arrays: np.ndarray) -> list[torch.Tensor]:
    """(B, K) as `peaks` gives them, (B, K, 1)."""
    return [torch.from_numpy(array)[..., None] for array in arrays]


@given(heatmaps())
def test_peaks_are_numpys_argmax(maps):
    for found, expected in zip(module.peaks(maps), peaks_of(maps), strict=True):
        assert np.array_equal(found[..., 0].numpy(), expected)


@given(heatmaps())
def test_around_is_a_slice_that_stays_within_the_map(maps):
    x, y, _ = peaks_of(maps)
    if min(maps.shape[2:]) < 2 * REACH + 1:
        with pytest.raises(ValueError, match="heatmaps: expected 7 × 7 pixels or more"):
            module.around(maps, *as_found(x, y))
        return
    found = module.around(maps, *as_found(x, y)).numpy()
    rows, columns = (np.arange(length) for length in maps.shape[2:])
    for b, k in np.ndindex(x.shape):
        # as many pixels as a window has, those nearest to the peak
        down = np.sort(rows[np.argsort(abs(rows - y[b, k]), kind="stable")][: 2 * REACH + 1])
        right = np.sort(columns[np.argsort(abs(columns - x[b, k]), kind="stable")][: 2 * REACH + 1])
        assert np.array_equal(found[b, k], maps[b, k].numpy()[np.ix_(down, right)].ravel())


@given(heatmaps())
def test_at_peaks_is_what_all_maps_say_at_each_ones_peak(maps):
    x, y, height = peaks_of(maps)
    found = module.at_peaks(maps, *as_found(x, y), maps.shape[2:]).numpy()
    for b, k, other in np.ndindex(*x.shape, maps.shape[1]):
        assert found[b, k, other] == maps[b, other, y[b, k], x[b, k]]
    assert np.array_equal(found.diagonal(axis1=1, axis2=2), height)


def numbers_by_hand(one: np.ndarray, x: int, y: int) -> list[float]:
    """The ten numbers of one map (h, w), cell by cell and pixel by pixel."""
    rows, columns = one.shape
    cells = list(itertools.product(range(0, rows, 4), range(0, columns, 4)))
    far = [(top, left) for top, left in cells if max(abs(top // 4 - y // 4), abs(left // 4 - x // 4)) > 1]
    highest = [one[top : top + 4, left : left + 4].max() for top, left in far]
    elsewhere = [np.nan] * 3  # nothing to be found
    if far:
        top, left = far[int(np.argmax(highest))]
        elsewhere = [(left + 2) / columns, (top + 2) / rows, max(highest)]
    sums = np.zeros(4)
    for row, column in np.ndindex(one.shape):
        u, w = (column + 0.5) / columns, (row + 0.5) / rows
        sums += one[row, column] * np.array([1, u, w, u * u + w * w]) / rows
    return [(x + 0.5) / columns, (y + 0.5) / rows, one[y, x], *elsewhere, *sums]


@given(heatmaps())
@settings(max_examples=40)
def test_numbers_are_those_of_loops_over_cells_and_pixels(maps):
    found = module.numbers(maps, *module.peaks(maps)).numpy()
    x, y, _ = peaks_of(maps)
    assert found.shape[2] == module.NUMBERS and np.isfinite(found).all()
    for b, k in np.ndindex(x.shape):
        expected = np.array(numbers_by_hand(maps[b, k].numpy().astype(np.float64), int(x[b, k]), int(y[b, k])))
        is_said = ~np.isnan(expected)
        np.testing.assert_allclose(found[b, k][is_said], expected[is_said], rtol=2e-4, atol=2e-5)
        assert is_said.all() or found[b, k, 5] < -4  # far below any heatmap's pixel


def test_a_second_peak_is_found_where_it_is():
    y, x = np.mgrid[:64, :48]
    bumps = [np.exp(-((x - at) ** 2 + (y - row) ** 2) / 8) for at, row in ((10, 20), (40, 52))]
    maps = torch.from_numpy((bumps[0] + 0.7 * bumps[1]).astype(np.float32))[None, None]
    found = module.numbers(maps, *module.peaks(maps))[0, 0].numpy()
    assert found[:3] == pytest.approx([10.5 / 48, 20.5 / 64, 1], abs=1e-5)
    assert found[3:5] * [48, 64] == pytest.approx([40.5, 52.5], abs=2)  # cells of 4 pixels
    assert found[5] == pytest.approx(0.7, abs=1e-5)
    total = found[6]
    assert total * 64 == pytest.approx(1.7 * 8 * np.pi, rel=1e-3)  # the integral of two Gaussians
    assert found[7:9] / total * [48, 64] == pytest.approx([10.5 + 30 * 0.7 / 1.7, 20.5 + 32 * 0.7 / 1.7], abs=1e-2)


def tiny_head(size: tuple[int, int] = (64, 48), **options) -> tuple[KeypointTokens, tuple[torch.Tensor, ...]]:
    """A head of random weights in evaluation; maps of six people, heatmaps of `size`, and their boxes."""
    sizes = {"others": (SHAPES["backbone"],), "token": 16, "layers": 1, "heads": 2}
    head = randomise(KeypointTokens(*SHAPES["features"], keypoints=7, **(sizes | options))).eval()
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(6, *shape, generator=generator) for shape in (*SHAPES.values(), (7, *size))]
    return head, (*maps, torch.rand(6, 2, generator=generator))


@pytest.mark.parametrize("size", [(64, 48), (16, 12), (18, 13)])
def test_maps_are_sampled_where_the_peak_lies_in_each(size):
    head, (features, backbone, maps, box) = tiny_head(size)
    tokens, mean = head.digest((features, backbone, maps, box))
    x, y, _ = peaks_of(maps)
    person, at = np.arange(6)[:, None], 0
    for read in (features.numpy(), backbone.numpy()):
        rows, columns = read.shape[2:]
        row, column = ((y + 0.5) / size[0] * rows).astype(int), ((x + 0.5) / size[1] * columns).astype(int)
        assert np.array_equal(tokens[:, :, at : at + read.shape[1]].numpy(), read[person, :, row, column])
        at += read.shape[1]
    if size == features.shape[2:]:
        assert np.array_equal(tokens[:, :, :3].numpy(), features.numpy()[person, :, y, x])
    torch.testing.assert_close(mean, backbone.flatten(2).mean(dim=2))
    assert torch.equal(tokens[:, :, -2:], box[:, None].expand(-1, 7, -1))
    assert tokens.shape[2] == 3 + 5 + 7 + (2 * REACH + 1) ** 2 + module.NUMBERS + 2 == head.normalise.num_features


@pytest.mark.parametrize("options", [{}, {"box": False}, {"layers": 0}, {"token": 8, "heads": 4}])
def test_what_a_head_says_of_one_person_is_its_own(options):
    head, maps = tiny_head(**options)
    maps = maps if head.reads_box else maps[:-1]
    together = head(*maps).filled()
    others = head(*(torch.cat([one[2:3], one[2:3] * 3 - 1, one[:1] / 2]) for one in maps)).filled()
    for name, values in together.items():
        torch.testing.assert_close(others[name][0], values[2], atol=1e-6, rtol=0)
        assert values.std(dim=0).mean() > 1e-3, "it says the same of everybody"


def test_the_fields_agree_with_each_other():
    head, maps = tiny_head()
    trust, raw = head(*maps), head.raw(*maps)
    assert trust.quality is not None and trust.visibility is not None and trust.pose_quality is not None
    torch.testing.assert_close(trust.visibility.sum(dim=2), torch.ones(6, 7))
    labelled = trust.visibility[..., 1:].sum(dim=2)
    torch.testing.assert_close(trust.quality, labelled * raw.opks.sigmoid())
    with torch.no_grad():  # without the pose's own token, expected OKS is the mean of OPKS over labelled keypoints
        for parameter in (head.per_pose.weight, head.per_pose.bias):
            parameter.zero_()
        head.calibration_oks.copy_(torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(head(*maps).pose_quality, trust.quality.sum(dim=1) / labelled.sum(dim=1))


def test_a_digest_of_half_precision_says_nearly_the_same():
    head, maps = tiny_head()
    digest = head.digest(maps)
    whole, half = (
        head.trust(head.answer(tuple(one))).filled() for one in (digest, [one.half().float() for one in digest])
    )
    for name, values in whole.items():
        assert 0 < (values - half[name]).abs().max() < 1e-2


@pytest.mark.parametrize("height", [64, 88])  # heatmaps of 16 and 22 rows: cells that are whole, and some that are not
def test_onnxruntime_says_the_same(tmp_path, height):
    made: TrustNetwork = attach("keypoint-tokens", network(), height, 64, token=16)
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


def test_sizes_that_cannot_be_are_named():
    with pytest.raises(ValueError, match="channels: expected 1 or more"):
        tiny_head()[0].__class__(0, 4, 4, others=((1, 2, 2),))
    head, maps = tiny_head()
    with pytest.raises(ValueError, match=r"backbone: expected \(B, 5, 8, 6\), got \(6, 5, 8, 5\)"):
        head(maps[0], maps[1][..., :5], *maps[2:])
    assert isinstance(head, TrustHead)


@pytest.mark.parametrize("option", ["token", "heads"])
def test_sizes_below_1_are_refused(option):
    with pytest.raises(ValueError, match=f"{option}: expected 1 or more, got 0"):
        module.KeypointTokens(4, 16, 12, others=((6, 4, 3),), **{option: 0})
