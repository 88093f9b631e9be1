"""Tracks over made-up clips: identities, gaps, clips, orders of frames, refused input."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tracking.cases import same_partition, walking
from trustpose.images import Images
from trustpose.poses import Poses, Poses3D
from trustpose.tracking import Tracker, box_distance, metre_distance, oks_distance, order_frames, track

BLANK = np.zeros((200, 320, 3), np.uint8)
PASSING = walking([0, 600, 300], [8, -8, 0], 60)  # the first two pass each other, and the one who stands


@pytest.mark.parametrize("matching", ["greedy", "hungarian"])
def test_three_people_are_three_tracks_whatever_the_order_of_rows(matching) -> None:
    walk = walking([0, 300, 600], [4, 4, 4], 30)
    tracked = track(walk, matching=matching)
    assert sorted(set(tracked.track_id.tolist())) == [1, 2, 3]
    assert same_partition(tracked.track_id, walk.annotation_id)
    order = np.random.default_rng(1).permutation(len(walk))
    shuffled = track(walk[order], matching=matching)
    assert same_partition(shuffled.track_id, walk.annotation_id[order])
    np.testing.assert_array_equal(tracked.xy, walk.xy)


def test_the_distance_is_one_argument() -> None:
    def by_who_it_is(past: Poses, poses: Poses) -> np.ndarray:
        return np.abs(np.rint(past.xy[:, None, 0, 0] - poses.xy[:, 0, 0]) % 1)  # 0: all are the same

    assert same_partition(track(PASSING[:3], distance=by_who_it_is).track_id, PASSING.annotation_id[:3])
    with pytest.raises(ValueError, match=r"distance: expected an array \(3, 3\)"):
        track(PASSING[:6], distance=lambda _, now: np.zeros((1, len(now))))


def test_by_default_nineteen_twentieths_are_near_enough() -> None:
    """Boxes 100 pixels wide that share 10 pixels of their width overlap by 10 / 190, those that share 9 by 9 / 191."""
    still = walking([0], [0], 2)
    for shared, tracks in ((10, 1), (9, 2)):
        box = np.array([[0.0, 0, 100, 50], [100 - shared, 0, 200 - shared, 50]])
        tracked = track(replace(still, box=box), distance=box_distance)
        assert len(np.unique(tracked.track_id)) == tracks, shared


def test_a_gap_ends_a_track_after_memory_frames() -> None:
    still = walking([0], [0], 30)
    for gap, tracks in ((5, 1), (6, 1), (7, 2)):
        rows = (still.image_id < 10) | (still.image_id >= 10 + gap - 1)
        assert len(np.unique(track(still[rows], memory=6).track_id)) == tracks, gap


def test_by_default_a_track_outlives_thirty_frames() -> None:
    still = walking([0], [0], 40)
    for gap, tracks in ((30, 1), (31, 2)):
        rows = (still.image_id < 5) | (still.image_id >= 5 + gap - 1)
        assert len(np.unique(track(still[rows]).track_id)) == tracks, gap


def test_the_poses_that_are_followed_are_those_of_the_frame_before() -> None:
    tracker, people = Tracker(), walking([0, 300], [0, 0], 2)
    assert tracker.follow(0, BLANK) is None
    tracker(people[:2])
    tracker(people[2:3])
    seen = tracker.follow(2, BLANK)
    assert seen is not None
    np.testing.assert_array_equal(seen.xy, people.xy[2:3])
    assert len(tracker.follow(3, BLANK) or ()) == 0  # nobody was found in frame 2


def test_every_fifth_frame_is_the_next_one() -> None:
    still = walking([0], [0], 30)
    sparse = replace(still, image_id=still.image_id * 5 + 2)
    assert len(np.unique(track(sparse, memory=1).track_id)) == 1


def test_history_bridges_one_bad_frame_where_the_last_pose_alone_does_not() -> None:
    still = walking([0], [0], 12)
    still.xy[5] += 200
    assert track(still).track_id.tolist() == [1] * 5 + [2] + [1] * 6
    mean = track(still, history=3, earlier="decayed", max_distance=0.9)
    assert mean.track_id[6] == mean.track_id[4] == 1
    moved = replace(still, xy=still.xy + np.linspace(0, 60, 12)[:, None, None])
    assert track(moved, history=4).track_id[6] == 1


def test_weak_poses_continue_tracks_but_begin_none() -> None:
    scores = np.array([0.2, 0.9, 0.2, 0.2])
    poses = replace(walking([0], [0], 4), pose_score=scores)
    assert track(poses, start_score=0.5).track_id.tolist() == [-1, 1, 1, 1]


def _doubled(suppressed: bool) -> tuple[Poses, np.ndarray]:
    """A person on whom the detector finds two boxes in frames 4 to 7, the second as large as the one of the frame
    before, so that it is nearer; which rows are the second's."""
    person = walking([0], [2], 12)
    small, large = (person.keypoint_box() + np.array(margin) for margin in ((-5, -5, 5, 5), (-45, -25, 45, 25)))
    frame = np.arange(12)
    first = replace(person, box=np.where((frame < 4)[:, None], large, small), box_score=np.full(12, 0.8))
    first = replace(first, pose_quality=np.full(12, 0.9))
    second = replace(first, box=large, box_score=np.full(12, 0.5))[np.arange(4, 8)]
    poses = Poses.concatenate([first, second])
    if suppressed:
        score = poses.ranking_score * np.where(np.arange(16) < 12, 1, 0.1)
        poses = replace(poses, suppressed_score=score)
    return poses, np.arange(16) >= 12


@pytest.mark.parametrize("suppressed", [True, False])
def test_a_second_box_on_a_person_begins_no_track(suppressed: bool) -> None:
    """As on the athlete of Pose2Sim's balancing trial: the track went on with the second box, and a new one began on
    the first, which stayed when the second box was gone."""
    poses, is_second = _doubled(suppressed)
    track_id = track(poses, matching="hungarian").track_id
    assert set(track_id.tolist()) == {1, -1}
    assert all((track_id[poses.image_id == frame] == 1).sum() == 1 for frame in range(12))
    if suppressed:  # suppression says which of the two is the double
        assert (track_id[is_second] == -1).all() and (track_id[~is_second] == 1).all()


def test_two_boxes_of_the_first_frame_are_one_track_and_two_people_are_two() -> None:
    poses, _ = _doubled(False)
    later = poses[poses.image_id >= 4]
    assert set(track(later).track_id.tolist()) == {1, -1}
    walk = walking([0, 40], [0, 0], 5)  # OKS of the two is below 0.7
    assert set(track(walk).track_id.tolist()) == {1, 2}
    nameless = replace(later, skeleton=None)
    assert set(track(nameless, distance=box_distance).track_id.tolist()) == {1, 2}  # boxes: IoU is below 0.7


def test_a_track_that_was_lost_goes_on_at_no_doubtful_pose() -> None:
    """The person leaves; some frames later the detector finds a bit of background where they were."""
    person = replace(walking([0], [3], 10), pose_quality=np.full(10, 0.9))
    background = replace(person[9:], xy=person.xy[9:] + 20, pose_quality=np.array([0.1]), image_id=np.array([14]))
    back = replace(person[9:], image_id=np.array([16]))
    track_id = track(Poses.concatenate([person, background, back])).track_id
    assert track_id.tolist() == [1] * 10 + [-1] + [1]
    doubtful_at_once = replace(background, image_id=np.array([10]))
    assert track(Poses.concatenate([person, doubtful_at_once])).track_id.tolist() == [1] * 11


def test_a_false_alarm_from_before_takes_no_track_away() -> None:
    """As in real videos: a doubtful box about half of a person, seen once, begins a track. Frames later the person has
    moved towards it, and another doubtful box is found where the person was. Two middling links were worth more than
    one good one, and the person became the false alarm's track."""
    person = walking([0], [0], 8)
    person.xy[7] += (22, 0)
    doubtful = walking([26], [0], 8)[np.array([2])]
    walk = walking([-14], [0], 8)[np.array([7])]
    weak = [replace(one, pose_score=np.full(1, 0.2)) for one in (doubtful, walk)]
    poses = Poses.concatenate([person, *weak])
    rows = np.argsort(poses.image_id, kind="stable")
    for matching in ("hungarian", "greedy"):
        track_id = track(poses, matching=matching).track_id
        assert track_id[:8].tolist() == [1] * 8, matching
    assert track(poses[rows], weigh=False).track_id[rows.argsort()][7] == 2  # the case is one that needs it


def test_presence_says_how_sure_a_pose_is() -> None:
    """The case of the false alarm above, whose boxes have a detector's high scores, and no presence."""
    person = walking([0], [0], 8)
    person.xy[7] += (22, 0)
    doubtful, walk = walking([26], [0], 8)[np.array([2])], walking([-14], [0], 8)[np.array([7])]
    poses = Poses.concatenate([person, doubtful, walk])
    poses = replace(poses, pose_quality=np.full(10, 0.9), box=poses.keypoint_box(), box_score=np.full(10, 0.8))
    poses = replace(poses, presence=np.where(np.arange(10) < 8, 0.95, 0.05))
    assert track(poses, start_score=None).track_id[:8].tolist() == [1] * 8
    blind = replace(poses, presence=np.full(10, np.nan))  # then their boxes count, all alike
    assert track(blind, start_score=None).track_id[7] == 2


def test_without_scores_and_with_scores_of_another_scale() -> None:
    bare = replace(PASSING, score=None, pose_score=None)
    track_id = track(bare).track_id
    np.testing.assert_array_equal(track_id, track(PASSING).track_id)  # all scores alike
    np.testing.assert_array_equal(track_id, track(replace(PASSING, pose_score=np.full(len(PASSING), -3.0))).track_id)


def test_by_default_doubtful_poses_with_trust_begin_no_track() -> None:
    quality = np.array([0.2, 0.31, 0.1, 0.2])
    poses = replace(walking([0], [0], 4), pose_quality=quality)
    assert track(poses).track_id.tolist() == [-1, 1, 1, 1]
    assert track(poses, start_score=None).track_id.tolist() == [1, 1, 1, 1]
    assert track(replace(poses, pose_quality=None, pose_score=quality)).track_id.tolist() == [1, 1, 1, 1]


def _two_clips() -> tuple[Poses, Images]:
    """Two clips of the same person at the same place, their frames mixed."""
    walk, second_walk = walking([0], [3], 8), walking([0], [3], 8, first_frame=8)
    clip = ["a"] * 8 + ["b"] * 8
    images = Images(np.arange(16), clip=clip, time=np.r_[np.arange(8), np.arange(8)] / 25)
    return Poses.concatenate([second_walk, walk]), images


def test_clips_never_mix() -> None:
    poses, images = _two_clips()
    tracked = track(poses, images)
    assert same_partition(tracked.track_id, (poses.image_id >= 8).astype(int))
    folders = [f"{'a' if i < 8 else 'b'}/{i % 8:03d}.jpg" for i in range(16)]
    np.testing.assert_array_equal(track(poses, Images(np.arange(16), folders)).track_id, tracked.track_id)
    cameras = Images(np.arange(16), camera=["left"] * 8 + ["right"] * 8)
    np.testing.assert_array_equal(track(poses, cameras).track_id, tracked.track_id)
    assert len(np.unique(track(poses).track_id)) == 1  # without them it is one clip


def test_categories_are_apart() -> None:
    poses = walking([0], [0], 8)
    tracked = track(poses, groups=np.arange(8) % 2 + 1)
    assert same_partition(tracked.track_id, np.arange(8) % 2)


def test_frames_go_by_time_then_by_number_in_the_name_then_by_id() -> None:
    ids = np.array([30, 10, 20])
    assert order_frames(ids).image_id.tolist() == [10, 20, 30]
    names = ["f12.jpg", "f13.jpg", "f15.jpg"]
    by_name = order_frames(ids, Images(ids, names))
    assert (by_name.image_id.tolist(), by_name.step.tolist()) == ([30, 10, 20], [0, 1, 3])
    by_time = order_frames(ids, Images(ids, names, time=np.array([0.2, 0.3, 0.1])))
    assert (by_time.image_id.tolist(), by_time.step.tolist()) == ([20, 30, 10], [0, 1, 2])
    assert order_frames(ids, Images(ids, ["x.jpg", "y.jpg", "z.jpg"])).image_id.tolist() == [10, 20, 30]


@pytest.mark.parametrize("sizes", [[1] * 60, [7, 1, 40, 12], [60]])
def test_batches_are_as_all_at_once(sizes: list[int]) -> None:
    tracker, ids, frame = Tracker(), [], 0
    for size in sizes:
        ids.append(tracker(PASSING[(PASSING.image_id >= frame) & (PASSING.image_id < frame + size)]).track_id)
        frame += size
    np.testing.assert_array_equal(np.concatenate(ids), track(PASSING).track_id)


def _turn(last: np.ndarray, current: np.ndarray) -> np.ndarray:  # noqa: ARG001
    return np.full((*current.shape[:2], 2), [120.0, 0.0], np.float32)


@pytest.mark.parametrize("distance", [oks_distance, box_distance])
def test_flow_moves_what_is_remembered(distance) -> None:
    """The camera turns by more than a person's width a frame: only moved poses are near."""
    turning = walking([0, 300], [120, 120], 10)
    boxed = replace(turning, box=turning.keypoint_box() if distance is box_distance else None)
    for batches in ([20], [6, 14], [2] * 10):
        tracker, ids, row, photos = Tracker(distance=distance, flow_function=_turn), [], 0, iter(range(10))
        for count in batches:
            batch = boxed[row : row + count]
            frames = [(next(photos), BLANK) for _ in range(count // 2)]
            ids.append(tracker(batch, frames).track_id)
            row += count
        assert same_partition(np.concatenate(ids), turning.annotation_id)
    assert not same_partition(track(turning, distance=distance).track_id, turning.annotation_id)


def test_flow_needs_every_frame_in_order() -> None:
    people = walking([0], [0], 4)
    for photos, message in (
        ([(0, BLANK), (1, BLANK)], "image_id: there is no frame 2, the last one is 1"),
        ([(0, BLANK), (2, BLANK), (3, BLANK)], "image_id: there is no frame 1, the last one is 2"),
    ):
        with pytest.raises(ValueError, match=message):
            Tracker()(people, photos)
    with pytest.raises(ValueError, match="frame 0 comes after frame 3, expected frames in order"):
        Tracker()(people[[3, 0]])


def test_frames_without_poses_and_no_poses_at_all() -> None:
    assert len(track(PASSING[:0]).track_id) == 0
    tracker = Tracker()
    tracker(PASSING[:3])
    assert len(tracker(PASSING[:0]).track_id) == 0
    assert tracker(PASSING[3:6]).track_id.tolist() == [1, 2, 3]


def test_wrong_arguments_are_named() -> None:
    twice = Images(np.array([1, 2]), ["f7.jpg", "g7.jpg"], clip=["a", "a"])
    with pytest.raises(ValueError, match="images 1 and 2 are both frame 7 of clip 'a'; are these"):
        track(replace(PASSING[:2], image_id=np.array([1, 2])), twice)
    with pytest.raises(ValueError, match="image_id: 0 is not among the 2 images"):
        track(PASSING[:3], twice)
    with pytest.raises(ValueError, match=r"Poses\.image_id is None"):
        track(replace(PASSING, image_id=None))
    for options, message in (
        ({"memory": 0}, "memory: expected at least 1, got 0"),
        ({"max_distance": 1.5}, "max_distance: expected a distance from 0 to 1, got 1.5"),
        ({"earlier": "last"}, "earlier: expected one of nearest, decayed"),
        ({"matching": "best"}, "matching: expected one of"),
    ):
        with pytest.raises(ValueError, match=message):
            track(PASSING, **options)


def test_time_grows_with_the_rows_and_not_faster() -> None:
    from time import process_time

    seconds = []
    for frames in (60, 480):
        poses = walking([0, 300], [0, 0], frames)
        seconds.append(min(_seconds(poses, process_time) for _ in range(2)))
    assert seconds[1] < 16 * seconds[0]  # eight times the rows


def _seconds(poses: Poses, clock) -> float:
    started = clock()
    track(poses)
    return clock() - started


def test_people_in_3d_are_followed_by_the_same_tracker() -> None:
    """Two people walk through each other's place, 30 cm to the side, and one is unseen for five frames."""
    body = np.random.default_rng(0).normal(0, 0.3, (17, 3))
    frame = np.arange(40)
    paths = np.stack([np.c_[frame * 0.05, 0 * frame, 0 * frame], np.c_[2 - frame * 0.05, 0 * frame + 0.3, 0 * frame]])
    xyz = body + paths.swapaxes(0, 1)[:, :, None]  # (F, 2, 17, 3)
    xyz[3, 0, :9] = np.nan
    owner, moment = np.tile([0, 1], 40), np.repeat(frame, 2)
    is_seen = (owner == 0) | (moment < 20) | (moment >= 25)
    people = Poses3D(xyz.reshape(80, 17, 3)[is_seen], frame=moment[is_seen])
    tracker = Tracker(distance=metre_distance, max_distance=0.5, memory=15, start_score=None, weigh=False)
    tracked = tracker(people)
    assert tracked.track_id is not None and same_partition(tracked.track_id, owner[is_seen])


def test_metres_are_the_median_over_common_joints() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(0, 1, (2, 5, 6, 3))
    for xyz in (first, second):
        xyz[random.random(xyz.shape[:2]) < 0.3] = np.nan
    first[0] = np.nan
    expected = np.nanmedian(np.linalg.norm(first[1:, None] - second, axis=-1), axis=2)
    distance = metre_distance(Poses3D(first), Poses3D(second))
    np.testing.assert_allclose(distance[1:], expected)
    assert np.isinf(distance[0]).all()
