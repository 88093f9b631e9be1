"""Part affinity fields: encoded and read as the paper's equations say, one pixel and one sample at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.codecs import Candidates, Grid
from trustpose.codecs.fields import FieldCodec
from trustpose.models.outputs.fields import FieldOutput

LIMBS = ((0, 1), (1, 2), (0, 2))
K = 3


def _people(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    xy, labelled = rng.uniform(-20, 180, (count, K, 2)), rng.random((count, K)) < 0.8
    xy[~labelled] = np.nan
    return xy, labelled


def _candidates(seed: int, inputs: int) -> Candidates:
    """Zero to three candidates of each joint in each of the inputs."""
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 4, (inputs, K))
    image, joint = (np.repeat(index.reshape(-1), count.reshape(-1)) for index in np.indices((inputs, K)))
    return Candidates(rng.uniform(-5, 170, (len(image), 2)), rng.random(len(image)), image, joint, (inputs, K))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 4), st.sampled_from([1.0, 2.5]))
def test_fields_are_those_of_equations_8_and_9(seed: int, count: int, reach: float) -> None:
    xy, labelled = _people(seed, count)
    fields = FieldCodec(LIMBS, Grid((8.0, 8.0), 3.5), reach).encode(xy, labelled, 20, 15)
    assert fields.shape == (6, 15, 20) and fields.dtype == np.float32
    expected = np.zeros((len(LIMBS), 2, 15, 20))
    for limb, (start, end) in enumerate(LIMBS):
        for y, x in np.ndindex(15, 20):
            on: list[np.ndarray] = []
            for person in range(count):
                if not (labelled[person, start] and labelled[person, end]):
                    continue
                first, last = ((xy[person, index] - 3.5) / 8 for index in (start, end))
                length = np.linalg.norm(last - first)
                v = (last - first) / length
                from_first = np.array([x, y]) - first
                if 0 <= v @ from_first <= length and abs(np.array([-v[1], v[0]]) @ from_first) <= reach:
                    on.append(v)
            if on:
                expected[limb, :, y, x] = np.mean(on, axis=0)
    np.testing.assert_allclose(fields.reshape(expected.shape), expected, atol=1e-6)


def test_overlapping_people_are_averaged_and_opposite_ones_cancel() -> None:
    line = np.array([[0.0, 40], [80, 40]])
    codec = FieldCodec(((0, 1),), Grid((8.0, 8.0)))
    both = codec.encode(np.stack([line, line]), np.ones((2, 2), bool), 12, 10)
    np.testing.assert_array_equal(both, codec.encode(line[None], np.ones((1, 2), bool), 12, 10))
    assert both[0, 5, :11].tolist() == [1] * 11 and both[0, 5, 11] == 0 and both[0].sum() == 33
    opposite = codec.encode(np.stack([line, line[::-1]]), np.ones((2, 2), bool), 12, 10)
    assert not opposite.any()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([None, 60.0]))
def test_links_are_those_of_equation_10(seed: int, nearest: bool, longest: float | None) -> None:
    candidates = _candidates(seed, 2)
    fields = np.random.default_rng(seed).normal(0.4, 0.5, (2, 6, 15, 20)).astype(np.float32)
    codec = FieldCodec(LIMBS, Grid((8.0, 8.0), 3.5), min_share=0.4, nearest=nearest)
    links = codec.links(candidates, fields, longest)
    expected: dict[tuple[int, int], float] = {}
    for a, b in np.ndindex(len(candidates), len(candidates)):
        ends, image = (candidates.joint[a], candidates.joint[b]), candidates.input[a]
        if ends not in LIMBS or candidates.input[b] != image:
            continue
        limb = LIMBS.index(ends)
        d = candidates.xy[b] - candidates.xy[a]
        length = np.linalg.norm(d)
        values = []
        for u in np.arange(10) / 9:
            x, y = ((1 - u) * candidates.xy[a] + u * candidates.xy[b] - 3.5) / 8
            values.append(_read(fields[image, 2 * limb : 2 * limb + 2], x, y, nearest) @ d / length)
        score = np.mean(values) + (min(longest / 2 / length - 1, 0) if longest else 0)
        if sum(value > 0.05 for value in values) > 4 and score > 0:
            expected[a, b] = score
    assert links.links is not None and links.link_score is not None
    assert {tuple(pair) for pair in links.links.tolist()} == set(expected)
    wanted = [expected[first, second] for first, second in links.links.tolist()]
    np.testing.assert_allclose(links.link_score, wanted, atol=1e-9)
    limbs = codec.limb_of(links)
    np.testing.assert_array_equal(links.joint[links.links], np.array(LIMBS)[limbs].reshape(-1, 2))
    order = links.input[links.links[:, 0]] * 3 + limbs
    assert (np.diff(order) >= 0).all()


def _read(field: np.ndarray, x: float, y: float, nearest: bool) -> np.ndarray:
    """A vector, by OpenCV-like interpolation of the map with its edge repeated."""
    x, y = min(max(x, 0), 19), min(max(y, 0), 14)
    if nearest:
        return field[:, round(y), round(x)]
    down, across = (np.maximum(0, 1 - np.abs(at - np.arange(length))) for at, length in ((y, 15), (x, 20)))
    return down @ field @ across


def test_a_perfect_field_gives_1_along_its_limb_and_nothing_across() -> None:
    xy = np.array([[[20.0, 20], [120, 60]], [[20, 100], [120, 30]]])
    codec = FieldCodec(((0, 1),), Grid((4.0, 4.0)), width=2.0)
    fields = codec.encode(xy, np.ones((2, 2), bool), 40, 40)[None]
    rows = xy.transpose(1, 0, 2).reshape(-1, 2)  # by joint
    candidates = Candidates(rows, np.ones(4), np.zeros(4, np.int64), np.array([0, 0, 1, 1]), (1, 2))
    links = codec.links(candidates, fields)
    assert links.links is not None and links.link_score is not None
    assert links.links.tolist() == [[0, 2], [1, 3]]
    assert links.link_score.min() > 0.85  # they cross: the mean of both stands there
    alone = codec.links(candidates, codec.encode(xy[:1], np.ones((1, 2), bool), 40, 40)[None])
    assert alone.links is not None and alone.links.tolist() == [[0, 2]]
    np.testing.assert_allclose(alone.link_score, 1, atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    codec, candidates = FieldCodec(LIMBS, Grid((8.0, 8.0))), _candidates(0, 1)
    with pytest.raises(ValueError, match="expected 6 maps for 3 limbs, got 4"):
        codec.links(candidates, np.zeros((1, 4, 5, 5), np.float32))
    with pytest.raises(ValueError, match="expected links"):
        codec.limb_of(candidates)
    links = codec.links(candidates, np.ones((1, 6, 5, 5), np.float32))
    with pytest.raises(ValueError, match="between joints"):
        FieldCodec(((2, 0),), Grid((8.0, 8.0))).limb_of(links)


LIMB = ((0, 1),)
BY_DEFAULT = {
    "codec": FieldCodec(LIMB, Grid((1.0, 1.0))),
    "output of a model": FieldOutput(2, 1.0, LIMB).field_codec(10, 3),
}


@pytest.mark.parametrize("codec", BY_DEFAULT.values(), ids=BY_DEFAULT.keys())
def test_by_default_more_than_eight_of_ten_samples_must_exceed_a_twentieth(codec: FieldCodec) -> None:
    """The constants of the authors' demonstration code and its ports: a threshold of 0.05, a share of 0.8."""
    ends = np.array([[0.0, 1], [9, 1]])  # ten samples, each in the middle of a cell
    candidates = Candidates(ends, np.ones(2), np.zeros(2, np.int64), np.array([0, 1]), (1, 2))

    def has_link(value: float, samples: int) -> bool:
        fields = np.zeros((1, 2, 3, 10), np.float32)
        fields[0, 0, 1, :samples] = value
        return len(codec.links(candidates, fields).links) == 1

    assert has_link(0.06, 10) and not has_link(0.04, 10)
    assert has_link(1.0, 9) and not has_link(1.0, 8)
