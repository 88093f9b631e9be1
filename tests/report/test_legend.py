"""The legend: on at most a twentieth of the picture, away from people, with the right entries; numbers of people."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.test_draw import ABSENT, OCCLUDED, VISIBLE
from trustpose.poses import Poses
from trustpose.report import draw
from trustpose.report.describe import read_out
from trustpose.report.draw import MAX_SHARE, draw_poses
from trustpose.report.scene import Plates, text_mask
from trustpose.skeletons import COCO_17


def _people(count, width, height, **columns):
    rng = np.random.default_rng(3)
    xy = rng.uniform((0, 0), (width, height), (count, 17, 2))
    return np.full((height, width, 3), 90, np.uint8), Poses(xy=xy, skeleton=COCO_17, **columns)


def _everything(count):
    """Everything that a legend can list: trust, unknown trust, rings, joints left out."""
    quality = np.full((count, 17), 0.4)
    quality[:, 3] = np.nan
    visibility = np.tile([VISIBLE] * 10 + [OCCLUDED] * 4 + [ABSENT] * 3, (count, 1, 1)).astype(float)
    return {"quality": quality, "visibility": visibility, "score": np.ones((count, 17))}


def _difference(image, poses, **options):
    with_it, without = (draw_poses(image, poses, legend=has, **options) for has in (True, False))
    return (with_it != without).any(axis=2)


@pytest.mark.parametrize("style", ["trust", "parts", "people"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(640, 480), (480, 640), (200, 150), (64, 48), (1920, 1080), (100, 2000), (2000, 100), (30, 30)],
)
def test_it_covers_at_most_a_twentieth(width, height, style):
    image, poses = _people(3, width, height, **_everything(3))
    covered = np.argwhere(_difference(image, poses, style=style, min_score=0.5))
    if len(covered):
        rows, columns = np.ptp(covered, axis=0) + 1
        assert rows * columns <= 0.05 * width * height
    assert len(covered) or min(width, height) < 200, "a usual picture has a legend"
    assert MAX_SHARE == 0.05


def test_it_covers_no_person():
    image = np.full((300, 400, 3), 90, np.uint8)
    corners = {"lower left": (0, 200), "lower right": (300, 200), "upper left": (0, 0), "upper right": (300, 0)}
    for free, corner in corners.items():
        others = [np.array(corner) for name, corner in corners.items() if name != free]
        grid = np.stack(np.meshgrid(np.linspace(2, 98, 6), np.linspace(2, 98, 6)), axis=-1).reshape(-1, 2)[:17]
        grid = np.concatenate([grid[:8], 100 - grid[:9]])
        poses = Poses(xy=np.stack([grid + other for other in others]), skeleton=COCO_17)
        where = np.argwhere(_difference(image, poses))[:, ::-1]
        assert ((where >= corner) & (where < np.add(corner, (200, 100)))).all(axis=1).mean() > 0.5, free
        stays = np.argwhere(_difference(image, poses, is_frame=True))
        assert stays[:, 0].max() == 299 and stays[:, 1].min() == 0, "in a video always lower left"


@pytest.fixture
def legends(monkeypatch):
    """The words of the legends that are drawn."""
    words = []
    real = draw.draw_legend

    def note(drawn, entries, joints, *, stays):
        words.append([entry.words for entry in entries])
        real(drawn, entries, joints, stays=stays)

    monkeypatch.setattr(draw, "draw_legend", note)
    return words


def test_the_legend_lists_what_is_drawn(legends):
    image, poses = _people(3, 640, 480, **_everything(3))
    draw_poses(image, poses)
    draw_poses(image, replace(poses, visibility=None, quality=np.ones((3, 17))))
    draw_poses(image, replace(poses, quality=None), min_score=0.5)
    draw_poses(image, replace(poses, visibility=None), style="parts", min_score=2.0)
    draw_poses(image, replace(poses, visibility=None, quality=np.ones((3, 17))), style="people", is_frame=True)
    assert legends == [
        ["trust", "unknown", "left", "occluded", "error", "9 not visible"],
        ["trust", "left"],
        ["no trust", "left", "right", "occluded", "9 left out (score < 0.5)"],
        ["left", "right", "51 left out (score < 2)"],
        ["left", "error"],
    ]


def test_all_joints_left_out_are_counted(legends):
    image, poses = _people(2, 640, 480)
    missing = np.zeros((2, 17), bool)
    missing[0, :4] = True
    xy = poses.xy.copy()
    xy[1, 2] = np.nan
    draw_poses(image, replace(poses, xy=xy, missing=missing))
    assert legends == [["no trust", "left", "right", "5 left out"]]


def test_joints_left_out_as_not_visible_are_labelled_not_visible(legends):
    image, poses = _people(2, 640, 480)
    visibility = np.tile([0.0, 0, 1], (2, 17, 1))
    visibility[0, :3] = (1, 0, 0)
    draw_poses(image, replace(poses, visibility=visibility))
    missing = np.zeros((2, 17), bool)
    missing[0, :3] = True
    draw_poses(image, replace(poses, visibility=visibility, missing=missing))
    missing[1, 5] = True
    draw_poses(image, replace(poses, visibility=visibility, missing=missing))
    draw_poses(image, replace(poses, visibility=visibility, score=np.ones((2, 17))), min_score=0.5)
    assert [words[-1] for words in legends] == [
        "3 not visible",
        "3 not visible",
        "4 left out",
        "3 left out (score < 0.5)",
    ]


def test_poses_without_a_visible_joint_are_counted_apart(legends):
    image, poses = _people(2, 640, 480)
    visibility = np.tile([0.0, 0, 1], (2, 17, 1))
    visibility[0] = (1, 0, 0)
    draw_poses(image, replace(poses, visibility=visibility))
    visibility[1, 0] = (1, 0, 0)
    draw_poses(image, replace(poses, visibility=visibility))
    assert [words[-1] for words in legends] == ["1 pose not drawn"] * 2 and legends[1][-2] == "1 not visible"


@pytest.fixture
def numbered(monkeypatch):
    """The numbers that are drawn, with their person's joints."""
    found = []
    real = Plates.put

    def put(self, number, own, *rest):
        found.append((number, own))
        real(self, number, own, *rest)

    monkeypatch.setattr(Plates, "put", put)
    return found


def test_numbers_are_those_of_the_text(numbered):
    quality, visibility = np.full((3, 17), 0.9), np.tile([VISIBLE], (3, 17, 1)).astype(float)
    pose_quality = np.array([0.2, 0.9, 0.5])
    image, poses = _people(3, 640, 480, quality=quality, visibility=visibility, pose_quality=pose_quality)
    draw_poses(image, poses)
    assert [label for label, _ in numbered] == ["0", "1", "2"]
    for number, (_, own) in enumerate(numbered):
        np.testing.assert_allclose(own, poses.xy[number], atol=1 / 16)
        assert f"Person {number} has an expected OKS of {pose_quality[number]:.2f}" in read_out(poses)
    numbered.clear()
    draw_poses(image, replace(poses, track_id=np.array([7, 3, 5])), is_frame=True)
    assert [label for label, _ in numbered] == ["3", "5", "7"]
    assert "Person 7 has an expected OKS of 0.20" in read_out(replace(poses, track_id=np.array([7, 3, 5])))
    numbered.clear()
    draw_poses(image, poses, is_frame=True)  # row numbers change from frame to frame
    draw_poses(image, poses[:1])  # one person needs none
    assert not numbered


def test_plates_hide_neither_joints_nor_each_other():
    drawn = np.zeros((400, 400, 3), np.uint8)
    joints = np.array([[200.0, 100], [200, 200], [180, 150], [220, 150]])
    plates = Plates(drawn, joints)
    for number in range(6):
        plates.put(str(number), joints, 5.0, 20, (0, 255, 0))
    painted = (drawn != 0).any(axis=2)
    one = round(1.5 * 20 / 2) * (text_mask("0", 20).shape[1])
    assert painted.sum() > 6 * one, "none lies on another"
    assert not painted[tuple(joints.astype(int).T[::-1])].any()


def test_a_plate_stays_in_the_picture():
    drawn = np.zeros((60, 60, 3), np.uint8)
    Plates(drawn, np.array([[5.0, 1.0]])).put("8", np.array([[5.0, 1.0]]), 3.0, 12, None)
    assert (drawn > 200).any() and not drawn[:, 40:].any()
