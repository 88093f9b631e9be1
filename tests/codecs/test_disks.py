"""Disks: encoded as the paper's definitions say, one cell at a time; votes, peaks and vectors read back from them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from trustpose.codecs.disks import DiskCodec, DiskFields, Votes, directed
from trustpose.geometry.crops import Grid

LIMBS = ((0, 1), (1, 2))
K, WIDTH, HEIGHT = 3, 20, 15
CODEC = DiskCodec(LIMBS, Grid((8.0, 8.0), 3.5), 20.0)


def people(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    xy, labelled = random.uniform(-20, 180, (count, K, 2)), random.random((count, K)) < 0.8
    xy[~labelled] = np.nan
    return xy, labelled


def people_apart(seed: int, count: int) -> np.ndarray:
    """People of 60 pixels, 160 pixels from one to the next, so that no disks of two touch."""
    random = np.random.default_rng(seed)
    corner = np.array([[50.0 + 160 * number, 50] for number in range(count)]).reshape(-1, 1, 2)
    return corner + random.uniform(0, 60, (count, K, 2))


def fields_of(codec: DiskCodec, xy: np.ndarray, width: int, height: int) -> DiskFields:
    targets = codec.encode(xy, np.ones(xy.shape[:2], bool), width, height)
    votes = codec.votes(targets.disks, targets.short)
    return DiskFields(codec, targets.disks, targets.short, targets.middle, votes)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_each_cell_in_a_disk_points_to_the_nearest_persons_keypoints(seed: int, count: int) -> None:
    xy, labelled = people(seed, count)
    targets = CODEC.encode(xy, labelled, WIDTH, HEIGHT)
    short, middle = targets.short.reshape(K, 2, HEIGHT, WIDTH), targets.middle.reshape(-1, 2, HEIGHT, WIDTH)
    for joint, row, column in np.ndindex(K, HEIGHT, WIDTH):
        x = np.array([column, row]) * 8 + 3.5
        distance = np.where(labelled[:, joint], np.linalg.norm(xy[:, joint] - x, axis=1), np.inf)
        limbs = [(number, end) for number, (start, end) in enumerate(directed(LIMBS)) if start == joint]
        if not (distance <= 20).any():
            assert not targets.disks[joint, row, column] and not short[joint, :, row, column].any()
            assert not any(targets.taught[number, row, column] for number, _ in limbs)
            continue
        nearest = distance.argmin()
        assert targets.disks[joint, row, column] == 1
        np.testing.assert_allclose(short[joint, :, row, column], xy[nearest, joint] - x, atol=1e-4)
        for number, end in limbs:
            assert targets.taught[number, row, column] == labelled[nearest, end]
            expected = xy[nearest, end] - x if labelled[nearest, end] else np.zeros(2)
            np.testing.assert_allclose(middle[number, :, row, column], expected, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3))
def test_each_pixel_of_a_person_points_to_all_of_the_persons_keypoints(seed: int, count: int) -> None:
    xy, labelled = people(seed, count)
    masks = np.random.default_rng(seed).random((count, HEIGHT, WIDTH)) < 0.3
    targets = CODEC.encode_people(xy, labelled, masks)
    long = targets.long.reshape(K, 2, HEIGHT, WIDTH)
    np.testing.assert_array_equal(targets.person[0], masks.any(axis=0))
    for joint, row, column in np.ndindex(K, HEIGHT, WIDTH):
        owners = np.flatnonzero(masks[:, row, column])
        is_taught = len(owners) > 0 and labelled[owners[0], joint]
        assert targets.taught[joint, row, column] == is_taught
        expected = xy[owners[0], joint] - (np.array([column, row]) * 8 + 3.5) if is_taught else np.zeros(2)
        np.testing.assert_allclose(long[joint, :, row, column], expected, atol=1e-4)


def test_votes_add_up_to_equation_1() -> None:
    random = np.random.default_rng(0)
    votes = Votes(np.array([0, 0, 0, 1]), random.uniform(-3, 43, (4, 2)), np.array([0.5, 0.2, 1.0, 0.3]))
    maps = CODEC.hough(votes, 2, 40, 30)
    for joint, row, column in np.ndindex(*maps.shape):
        apart = np.abs(votes.xy / 2 - (column, row))
        kernel = np.maximum(1 - apart, 0).prod(axis=1)
        expected = (votes.weight * kernel * (votes.joint == joint)).sum()
        np.testing.assert_allclose(maps[joint, row, column], expected, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3))
def test_the_highest_peaks_are_the_keypoints_and_a_perfect_disk_votes_1(seed: int, count: int) -> None:
    xy = people_apart(seed, count)
    fields = fields_of(DiskCodec(LIMBS, Grid((4.0, 4.0), 1.5), 30.0), xy, 128, 40)
    seeds = fields.codec.seeds(fields.codec.hough(fields.votes, K, 512, 160), 0.01)
    assert len(seeds.joint) == count * K
    np.testing.assert_allclose(seeds.height, np.sort(seeds.height)[::-1])
    for joint in range(K):
        peaks = seeds.xy[seeds.joint == joint]
        np.testing.assert_allclose(peaks[peaks[:, 0].argsort()], xy[:, joint], atol=1e-3)
        weight = fields.votes.weight[fields.votes.joint == joint].sum()
        np.testing.assert_allclose(weight, count, rtol=0.03)  # cells in a disk of 177 cells


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_a_limb_leads_to_its_other_end_though_its_offset_is_wrong(seed: int) -> None:
    """Short-range offsets refine it where it ends in the disk."""
    xy = people_apart(seed, 3)
    fields = fields_of(DiskCodec(LIMBS, Grid((4.0, 4.0), 1.5), 30.0), xy, 128, 40)
    fields.middle[:] += np.random.default_rng(seed).uniform(-14, 14, (len(fields.middle), 1, 1))
    for number, (start, end) in enumerate(directed(LIMBS)):
        led = fields.across(np.full(3, number), xy[:, start])
        np.testing.assert_allclose(led, xy[:, end], atol=1e-2)
    joint = np.repeat(np.arange(K), 3)
    np.testing.assert_allclose(fields.probability(joint, xy.transpose(1, 0, 2).reshape(-1, 2)), 1)
    assert not fields.probability(np.array([0, 0]), np.array([[-9.0, 5], [30, 900]])).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_between_cells_maps_are_read_as_scipy_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    maps = random.random((K, HEIGHT, WIDTH)).astype(np.float32)
    fields = DiskFields(
        CODEC, maps, np.zeros((6, HEIGHT, WIDTH)), np.zeros((8, HEIGHT, WIDTH)), Votes(*[np.zeros(0)] * 3)
    )
    joint, xy = random.integers(0, K, 50), random.uniform(0, 115, (50, 2))
    cells = (xy - 3.5) / 8
    expected = map_coordinates(maps, np.stack([joint, cells[:, 1], cells[:, 0]]), order=1, mode="nearest")
    np.testing.assert_allclose(fields.probability(joint, xy), expected, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(1, 6), st.floats(1, 6))
def test_localisation_is_the_integral_over_votes(spread: float, deviation: float) -> None:
    """Of votes with a Gaussian of two dimensions it is deviation² / (deviation² + spread²)."""
    random = np.random.default_rng(0)
    count = 40_000
    xy = random.normal((50, 50), spread, (count, 2))
    maps = np.zeros((6, 2, 2))
    codec = DiskCodec(LIMBS, Grid((8.0, 8.0)), 60.0)
    fields = DiskFields(codec, maps[:3], maps, maps, Votes(np.full(count, 1), xy, np.full(count, 0.01)))
    expected = deviation**2 / (deviation**2 + spread**2)
    positions = np.array([[50.0, 50], [500, 500]])
    np.testing.assert_allclose(fields.localisation(1, positions, np.full(2, deviation)), [expected, 0], rtol=0.03)
    assert not fields.localisation(2, positions, np.full(2, deviation)).any()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_embedding_of_a_persons_pixels_is_the_persons_keypoints(seed: int) -> None:
    """Long-range offsets need only end in the disk."""
    codec = DiskCodec(LIMBS, Grid((4.0, 4.0), 1.5), 30.0)
    xy = people_apart(seed, 3)
    fields = fields_of(codec, xy, 128, 40)
    masks = np.zeros((3, 40, 128), bool)
    for number in range(3):
        masks[number, 2:38, 40 * number + 2 : 40 * number + 34] = True
    targets = codec.encode_people(xy, np.ones((3, K), bool), masks)
    row, column, embedding = fields.embedding(targets.person[0] * 0.6, targets.long, 0.5)
    assert len(row) == masks.sum()
    np.testing.assert_allclose(embedding, xy[masks[:, row, column].argmax(axis=0)], atol=0.01)
