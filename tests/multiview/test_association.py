"""Who is the same person at one moment: the threshold for a new person by hand, and rounds against known identities."""

import numpy as np

from tests.multiview.rings import ring
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.multiview.association import Detections, Rig, associate

JOINTS = 8


def side_by_side() -> Cameras:
    """Two cameras one metre apart that look the same way: rows of pixels are epipolar lines."""
    matrix = np.array([[1000.0, 0, 640], [0, 1000, 480], [0, 0, 1]])
    return Cameras(
        tuple(
            Camera(f"cam{view}", matrix, np.zeros(5), np.eye(3), np.array([shift, 0, 0.0]), (1280, 960))
            for view, shift in enumerate((0.5, -0.5))
        )
    )


def pair(off: float) -> int:
    """How many people are begun by two detections `off` tolerances above and below their common epipolar lines."""
    cameras, tolerance = side_by_side(), 10.0
    xyz = np.random.default_rng(0).uniform(-0.5, 0.5, (JOINTS, 3)) + np.array([0, 0, 4])
    ideal = np.stack([camera.project(xyz) for camera in cameras])
    ideal[0, :, 1] += off * tolerance
    ideal[1, :, 1] -= off * tolerance
    rows = np.zeros(2, np.int64)
    detections = Detections(np.arange(2), rows, ideal, np.ones((2, JOINTS)), np.full(2, tolerance))
    return len(associate(Rig(cameras), detections, np.zeros((0, JOINTS, 3))))


def test_a_pair_of_views_begins_a_person_if_its_agreement_is_a_half() -> None:
    # both depths are equal, so the joint lies half way: each view is `off` tolerances away, and exp(−off² / 2) is a
    # half at off = √(2 ln 2)
    half = np.sqrt(2 * np.log(2))
    assert pair(half - 0.03) == 1
    assert pair(half + 0.03) == 0


def crowd(people: int, views: int, seed: int) -> tuple[Rig, Detections, np.ndarray]:
    """People close together in a ring of cameras, with noise on every joint and whole poses, and who each detection is
    (D,). A third of the detections is missed."""
    random, cameras = np.random.default_rng(seed), ring(views, distortion=(0.0,) * 5)
    body = random.uniform(-0.25, 0.25, (people, JOINTS, 3)) + np.linspace(1.7, 0.1, JOINTS)[:, None] * [0, 0, 1.0]
    standing = np.concatenate([random.uniform(-0.35, 0.35, (people, 1, 2)), np.zeros((people, 1, 1))], axis=2)
    columns: list[tuple[int, int, np.ndarray, float, int]] = []
    for view, camera in enumerate(cameras):
        for row, person in enumerate(random.permutation(people)):
            if random.random() < 0.3:
                continue
            xy = camera.project((body + standing)[person]) + random.normal(0, 16, (JOINTS, 2))
            xy += random.normal(0, 24, (1, 2))
            columns.append((view, row, xy, 0.1 * np.sqrt(np.ptp(xy, axis=0).prod()), person))
    view, row, ideal, tolerance, identity = map(np.array, zip(*columns, strict=True))
    detections = Detections(view, row, ideal, np.ones((len(view), JOINTS)), tolerance)
    return Rig(cameras), detections, identity


def test_who_is_let_go_by_the_first_assignment_begins_a_person_in_the_next_round() -> None:
    rig, detections, identity = crowd(people=4, views=5, seed=219)
    members = associate(rig, detections, np.zeros((0, JOINTS, 3)))
    assert sorted(members[members >= 0].tolist()) == list(range(len(detections)))
    for group in members:
        assert len(np.unique(identity[group[group >= 0]])) == 1
