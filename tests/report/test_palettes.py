"""Palettes under simulated colour blindness; sides of joints and limbs."""

from itertools import combinations

import numpy as np
import pytest

from trustpose.report.scene import (
    CENTRE,
    EDGE,
    LEFT,
    LEFT_EDGE,
    PARTS,
    PEOPLE,
    RIGHT,
    limb_sides,
    part_colours,
    people_colours,
    sides,
    trust_colours,
)
from trustpose.skeletons import AP10K_17, COCO_17, MPII_16

# The three dichromacies in linear RGB: Viénot, Brettel & Mollon 1999 (protanopia, deuteranopia) and Machado, Oliveira &
# Fernandes 2009 (tritanopia).
SEEN_WITH = {
    "all cones": np.eye(3),
    "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # of linear sRGB, D65


def _lab(colours, matrix):
    """CIELAB of sRGB colours as a person with this colour vision sees them."""
    xyz = np.clip((np.array(colours) / 255.0) ** 2.2 @ np.array(matrix).T, 0, 1) @ XYZ.T / (0.9505, 1, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("sight", SEEN_WITH)
def test_colours_are_distinguishable(sight):
    """ΔE*ab (CIE 1976) of any two; 2.3 is just noticeable."""
    palettes = {
        "trust": (trust_colours(np.linspace(0, 1, 5)), 10),
        "low, middle and high trust": (trust_colours(np.array([0.0, 0.5, 1.0])), 35),
        "parts": (PARTS.reshape(-1, 3)[:5], 24),
        "people": (PEOPLE, 15),
        "edges": (np.array([EDGE, LEFT_EDGE]), 80),
    }
    for name, (palette, least) in palettes.items():
        lab = _lab(palette, SEEN_WITH[sight])
        assert min(np.linalg.norm(lab[a] - lab[b]) for a, b in combinations(range(len(lab)), 2)) > least, name
    left, right = PARTS[LEFT].tolist(), PARTS[RIGHT].tolist()
    lab = _lab([*left, *right], SEEN_WITH[sight])
    assert min(np.linalg.norm(lab[a] - lab[b]) for a in (0, 1) for b in (2, 3)) > 40, "left and right"


@pytest.mark.parametrize("sight", SEEN_WITH)
def test_colours_stand_out_from_their_dark_edge(sight):
    """Relative luminance contrast (WCAG 2) of at least 3 : 1, which is asked of graphics."""
    every = np.concatenate([trust_colours(np.linspace(0, 1, 50)), PEOPLE, PARTS.reshape(-1, 3), [EDGE]])
    seen = np.clip((every / 255.0) ** 2.2 @ np.array(SEEN_WITH[sight]).T, 0, 1) @ XYZ[1]
    assert ((seen[:-1] + 0.05) / (seen[-1] + 0.05)).min() > 3


def test_sides():
    for skeleton in (COCO_17, MPII_16, AP10K_17):
        word = {"left": LEFT, "right": RIGHT}
        expected = [word.get(name.split("_")[0], CENTRE) for name in skeleton.keypoints]
        np.testing.assert_array_equal(sides(skeleton), expected)
    by_limb = dict(zip(COCO_17.edges, limb_sides(COCO_17).tolist(), strict=True))
    name = COCO_17.keypoints.index
    wanted = {("left_hip", "left_knee"): LEFT, ("right_elbow", "right_wrist"): RIGHT, ("left_hip", "right_hip"): CENTRE}
    found = {
        ends: next(side for (a, b), side in by_limb.items() if {a, b} == {name(end) for end in ends}) for ends in wanted
    }
    assert found == wanted
    colours = zip(AP10K_17.keypoints, part_colours(AP10K_17)[0].tolist(), strict=True)
    low = {joint for joint, colour in colours if colour in PARTS[:2, 1].tolist()}
    assert low == {f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "back_paw")}


def test_trust_colours_of_anything():
    np.testing.assert_array_equal(trust_colours(np.array([-1.0, 0, 1, 7])), [(213, 94, 0)] * 2 + [(0, 114, 178)] * 2)
    np.testing.assert_array_equal(trust_colours(np.array([0.125])), [(226, 137, 20)])
    assert trust_colours(np.full((2, 3), np.nan)).shape == (2, 3, 3)


def test_the_first_people_all_differ():
    positions = people_colours(np.random.default_rng(0).uniform(0, 99, (len(PEOPLE), 2)))
    assert len(np.unique(positions)) == len(PEOPLE)
