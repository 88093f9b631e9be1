"""Identities of people over views and time: made-up people with known identities, and a real trial."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.multiview.rings import ring
from trustpose.io.pose_files import Photos, assemble, find_files, read_pose_files
from trustpose.multiview.frames import match_frames, own_frame
from trustpose.multiview.people import MIN_FRAMES, group_people, triangulate
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17
from trustpose.tracking import metre_distance

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "multiview" / "pose2sim"
FRAMES = 30


def walkers(seed: int = 0) -> np.ndarray:
    """Three people (3, F, 17, 3) who walk through each other's paths in a few square metres."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-0.25, 0.25, (3, 1, 17, 3)) + np.linspace(1.7, 0.1, 17)[:, None] * np.array([0, 0, 1.0])
    angle = np.array([0.0, 2.1, 4.2])[:, None] + np.linspace(0, 1.2, FRAMES)
    position = np.stack([1.2 * np.cos(angle), 0.8 * np.sin(angle), np.zeros_like(angle)], axis=-1)
    position[0] = np.linspace([-1.5, 0.1, 0], [1.5, -0.1, 0], FRAMES)  # one walks between the others
    return body + position[:, :, None]


def seen_by(cameras, xyz: np.ndarray, seed: int = 1, missed: float = 0.0, strangers: int = 0) -> tuple[list, list]:
    """Each camera's poses, people in another order in every frame, and the identity of each row (-1: none)."""
    rng, views, owners = np.random.default_rng(seed), [], []
    for camera in cameras:
        xy, score, frame, owner = [], [], [], []
        for moment in range(xyz.shape[1]):
            people = [index for index in rng.permutation(len(xyz)) if rng.random() >= missed] + [-1] * strangers
            for person in people:
                body = xyz[person, moment] if person >= 0 else xyz[0, moment] + rng.uniform(-1.5, 1.5, 3) * [1, 1, 0]
                projected = camera.project(body)  # a stranger stands elsewhere in every view
                xy.append(projected + rng.normal(0, 4, (17, 2)))
                score.append(rng.uniform(0.3, 1, 17))
                frame.append(moment)
                owner.append(person)
        columns = {"score": np.array(score), "quality": np.array(score), "image_id": np.array(frame)}
        views.append(Poses(xy=np.array(xy), skeleton=COCO_17, **columns))
        owners.append(np.array(owner))
    return views, owners


@pytest.mark.parametrize(("missed", "strangers"), [(0.0, 0), (0.15, 1)])
def test_people_keep_their_identity(missed, strangers):
    cameras, xyz = ring(4), walkers()
    views, owners = seen_by(cameras, xyz, missed=missed, strangers=strangers)
    moments = match_frames(views)
    group = group_people(views, cameras, moments, [view.quality for view in views])
    its = np.array(
        [[owners[view][row] if row >= 0 else -2 for view, row in enumerate(rows)] for rows in group.rows]
    )  # (N, V)
    for track_id in np.unique(group.track_id):
        people = its[group.track_id == track_id]
        if len(people) >= MIN_FRAMES:
            wrong = (people != -2) & (people != np.median(people[people != -2]))
            # a stranger of the same build may stand where a missed person is expected
            assert wrong.mean() <= (0.03 if strangers else 0), "one track, one person"
    assert (np.unique(group.track_id, return_counts=True)[1] >= MIN_FRAMES).sum() == 3
    seen = np.zeros((3, FRAMES), dtype=np.int64)  # in how many views each person is
    for view, owner in zip(views, owners, strict=True):
        np.add.at(seen, (owner[owner >= 0], view.image_id[owner >= 0]), 1)
    assert len(group.moment) >= 0.97 * (seen >= 2).sum()


def test_places_of_three_people():
    cameras, xyz = ring(5), walkers()
    views, _ = seen_by(cameras, xyz)
    poses3d = triangulate(views, cameras)
    assert poses3d.track_id is not None and poses3d.frame is not None and poses3d.covariance is not None
    assert len(poses3d) == 3 * FRAMES and poses3d.skeleton == COCO_17
    nearest = (
        np.linalg.norm(poses3d.xyz[:, None] - xyz[:, poses3d.frame].swapaxes(0, 1), axis=-1).mean(axis=2).min(axis=1)
    )
    assert np.median(nearest) < 0.02
    one = triangulate(views, cameras, people=1, weight="scores", method="weighted")
    assert len(one) == FRAMES and len(np.unique(one.track_id)) == 1 and one.covariance is None


def test_a_person_who_was_lost_keeps_the_number():
    cameras, xyz = ring(4), walkers()
    views, _ = seen_by(cameras, xyz)
    gone = [view[(view.image_id < 10) | (view.image_id >= 16)] for view in views]
    poses3d = triangulate(gone, cameras)
    assert set(np.unique(poses3d.track_id).tolist()) == {1, 2, 3}


def test_moments():
    def view(*frames: int) -> Poses:
        return Poses(xy=np.zeros((len(frames), 2, 2)), image_id=np.array(frames, dtype=np.int64))

    same = match_frames([view(3, 4, 4, 6), view(4, 5)])
    assert same.frame.tolist() == [3, 4, 5, 6]
    assert [rows.tolist() for rows in same.rows[0]] == [[0], [1, 2], [], [3]]
    assert same.frames_of.tolist() == [[3, 4, -1, 6], [-1, 4, 5, -1]]
    # twice the rate, and a camera that started 0.2 s earlier: frame n shows the first camera's n/2 − 5
    fast = match_frames([view(0, 1, 2), view(10, 11, 12, 13, 14)], fps=[25.0, 50.0], offset=[0.0, -0.2])
    assert fast.frame.tolist() == [0, 1, 2]
    assert fast.frames_of[1].tolist() == [10, 12, 14]
    assert [own_frame(1, frame, [25.0, 50.0], [0.0, -0.2]) for frame in range(3)] == [10, 12, 14]
    with pytest.raises(ValueError, match="offset: expected one number for each of 2 cameras, got 1"):
        match_frames([view(0), view(0)], fps=[25.0, 25.0], offset=[0.0])


def trial(name: str) -> list[Poses]:
    folders = sorted((DATA / name / "pose").iterdir())
    pose_files = [read_pose_files(find_files([folder]))[1] for folder in folders]
    return [assemble(parts, Photos(None, None), tool="openpose").poses for parts in pose_files]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs multiview/pose2sim of TRUSTPOSE_DATA")
def test_two_people_of_a_real_trial():
    """The second person was added to the balancing trial: whose detections are its, in all 100 frames and all views?"""
    from trustpose.io.cameras import read_cameras

    cameras, both, alone = read_cameras(DATA / "Calib.qca.txt"), trial("two_people"), trial("balancing")
    group = group_people(both, cameras, match_frames(both), [view.score for view in both])
    kinds: dict[int, set[bool]] = {}
    for moment, rows, person in zip(group.moment, group.rows, group.track_id, strict=True):
        for view, row in enumerate(rows):
            if row >= 0:
                before = alone[view].xy[alone[view].image_id == moment]
                is_old = bool((np.abs(before - both[view].xy[row]).max(axis=(1, 2)) < 1e-3).any())
                kinds.setdefault(int(person), set()).add(is_old)
    numbers, counts = np.unique(group.track_id, return_counts=True)
    assert numbers.tolist() == [1, 2, 3] and counts.tolist() == [100, 100, 100]
    assert sorted(map(sorted, kinds.values())) == [[False], [True], [True]]  # a bystander is in the balancing trial too
    in_all = [(group.rows[group.track_id == number] >= 0).mean() for number in numbers]
    assert sorted(in_all)[1:] == pytest.approx([0.995, 1.0], abs=0.001)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs multiview/pose2sim of TRUSTPOSE_DATA")
def test_a_person_whom_pairs_of_cameras_place_apart_is_one():
    """Without three of ten detections, two pairs of cameras put the same person 8 cm apart, and followed both."""
    from trustpose.io.cameras import read_cameras

    cameras, random = read_cameras(DATA / "Calib.qca.txt"), np.random.default_rng(0)
    views = [view[random.random(len(view)) >= 0.3] for view in trial("two_people")]
    world = triangulate(views, cameras, weight="scores", min_frames=1)
    assert world.track_id is not None and world.frame is not None
    assert len(np.unique(world.track_id)) == 3
    for frame in np.unique(world.frame):
        people = world[world.frame == frame]
        apart = metre_distance(people, people)[np.triu_indices(len(people), 1)]
        assert (apart > 0.5).all()


def test_tracks_of_the_cameras_say_who_comes_back():
    """All cameras lose everybody for longer than people are followed in 3D, and their tracks say who is who."""
    cameras, xyz = ring(4), walkers()
    views, owners = seen_by(cameras, xyz)
    away = [(view.image_id < 10) | (view.image_id >= 12) for view in views]
    frame = [np.where(view.image_id < 12, view.image_id, view.image_id + 100) for view in views]
    cut = [replace(view, image_id=number)[rows] for view, number, rows in zip(views, frame, away, strict=True)]
    tracked = [replace(view, track_id=owner[rows]) for view, owner, rows in zip(cut, owners, away, strict=True)]
    assert len(np.unique(triangulate(cut, cameras).track_id)) == 6
    assert len(np.unique(triangulate(tracked, cameras).track_id)) == 3
