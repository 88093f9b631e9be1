"""Capsule people: what the camera sees lies on the surface, the charts mirror, and distances along the surface."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.codecs.surface import mirror_points
from trustpose.datasets.capsule_person import (
    BONES,
    CapsulePose,
    capsule_mesh,
    capsule_mirror,
    charts,
    random_pose,
    render,
    rest_pose,
)
from trustpose.geometry.surface_mesh import COARSE_PARTS, MEAN_DISTANCES
from trustpose.skeletons.surface_parts import MASK_OF_PART, MASK_PARTS

NAMES = [bone.name for bone in BONES]
SWAPPED = [NAMES.index(name.replace("left", "x").replace("right", "left").replace("x", "right")) for name in NAMES]


def _on_surface(pose: CapsulePose, bone: int, random: np.random.Generator) -> np.ndarray:
    """Return random points on a capsule."""
    axis = pose.end[bone] - pose.start[bone]
    direction = random.normal(size=(50, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    end = np.where(direction @ axis > 0, 1.0, 0.0)  # of the half sphere there
    return pose.start[bone] + end[:, None] * axis + BONES[bone].radius * direction


@settings(max_examples=5)
@given(st.integers(0, 10**6))
def test_charts_belong_to_their_capsule_and_mirror(seed: int) -> None:
    random = np.random.default_rng(seed)
    pose = random_pose(random)
    across = np.diag([-1.0, 1, 1])
    mirrored = CapsulePose(
        (pose.start @ across)[SWAPPED], (pose.end @ across)[SWAPPED], (across @ pose.rotation @ across)[SWAPPED]
    )
    for bone, name in enumerate(NAMES):
        xyz = _on_surface(pose, bone, random)
        part, uv = charts(bone, pose, xyz)
        assert {MASK_PARTS[number - 1] for number in MASK_OF_PART[part]} == {name}
        expected_part, expected_uv = mirror_points(part, uv, capsule_mirror())
        mirrored_part, mirrored_uv = charts(SWAPPED[bone], mirrored, xyz @ across)
        np.testing.assert_array_equal(mirrored_part, expected_part)
        away = np.abs(mirrored_uv - expected_uv)
        assert np.minimum(away, 1 - away).max() < 1.1 / 255  # the step of the tables; U may be 0 or 1 at the seam


def test_a_photo_shows_the_labelled_surface() -> None:
    photo, again = render(np.random.default_rng(3)), render(np.random.default_rng(3))
    np.testing.assert_array_equal(photo.pixels, again.pixels)
    surface = photo.surface
    x0, y0, x1, y1 = photo.box.astype(int)
    assert (surface.part[y0:y1, x0:x1] > 0).any(axis=0).all() and not surface.part[:y0].any()
    assert surface.part[:, x1:].sum() == 0 and surface.uv.min() >= 0 and surface.uv.max() <= 1
    assert 0.02 < (surface.part > 0).mean() < 0.5
    assert len(np.unique(surface.part)) > 8


def test_distances_along_the_surface() -> None:
    mesh = capsule_mesh()
    count = len(mesh.part)
    rows = np.arange(count)
    random = np.random.default_rng(0)
    first, second = random.integers(0, count, (2, 500))
    distance = mesh.distance(first, second)
    np.testing.assert_array_equal(distance, mesh.distance(second, first))
    assert mesh.distance(rows, rows).max() == 0 and np.isfinite(distance).all()
    middle = (rest_pose().start + rest_pose().end)[:, 1] / 2
    height = np.repeat(middle, count // len(BONES))
    assert (distance >= np.abs(height[first] - height[second]) - 0.6).all()  # no shorter than straight, but for lengths
    hands = [np.flatnonzero(mesh.part == number)[0] for number in (3, 4)]
    feet = [np.flatnonzero(mesh.part == number)[0] for number in (5, 6)]
    assert 1.2 < mesh.distance(np.array(hands[:1]), np.array(hands[1:]))[0] < 2.2  # along both arms
    assert 1.5 < mesh.distance(np.array(feet[:1]), np.array(feet[1:]))[0] < 2.6
    for part in range(1, 25):  # of the same order as those of SMPL's parts that the evaluation uses
        of_part = np.flatnonzero(mesh.part == part)
        a, b = np.meshgrid(of_part, of_part)
        mean = mesh.distance(a.ravel(), b.ravel()).mean()
        assert 0.3 < mean / MEAN_DISTANCES[COARSE_PARTS[part]] < 3
