"""Drawing: expected parts are drawn, others are not; any position and photo works."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.report.draw import draw_poses
from trustpose.report.scene import LEFT_EDGE, PARTS, PEOPLE, UNKNOWN, person_labels, sides, trust_colours
from trustpose.skeletons import AP10K_17, COCO_17, LSP_14

ABSENT, OCCLUDED, VISIBLE = (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)


def _person(height=480, **columns):
    """One person, joints on a 4 × 5 grid 60 px apart, in a photo of middle grey."""
    positions = np.stack(np.divmod(np.arange(17), 4)[::-1], axis=1) * 60.0 + (60, 60)
    poses = Poses(xy=positions[None], box=np.array([[30.0, 30, 270, 330]]), **columns)
    return np.full((height, 400, 3), 128, np.uint8), poses


def _at(image, xy):
    return image[round(xy[1]), round(xy[0])]


def test_without_trust_parts_are_coloured_and_the_photo_is_left_alone():
    image, poses = _person(score=np.full((1, 17), 1e-6))
    drawn = draw_poses(image, poses, COCO_17, legend=False)
    np.testing.assert_array_equal(drawn, draw_poses(image, poses, COCO_17, legend=False, style="parts"))
    for xy, name in zip(poses.xy[0], COCO_17.keypoints, strict=True):
        side = ("left", "right", "nose").index(name.split("_")[0])
        is_low = any(part in name for part in ("hip", "knee", "ankle"))
        np.testing.assert_array_equal(_at(drawn, xy), PARTS[side, int(is_low)])
    assert (image == 128).all() and drawn.shape == image.shape


def test_unknown_trust_is_grey_not_low():
    quality = np.ones((1, 17))
    quality[0, 5] = np.nan
    image, poses = _person(quality=quality)
    drawn = draw_poses(image, poses, COCO_17, legend=False)
    np.testing.assert_array_equal(_at(drawn, poses.xy[0, 5]), UNKNOWN)
    x, y = poses.xy[0, 5].astype(int)
    around = drawn[y - 40 : y + 40, x - 40 : x + 40].reshape(-1, 3)
    assert (around == UNKNOWN).all(axis=1).sum() > 250, "its limbs too"
    assert not (around == trust_colours(np.zeros(1))).all(axis=1).any()


@pytest.mark.parametrize("skeleton", [COCO_17, AP10K_17])
@pytest.mark.parametrize("style", ["trust", "parts", "people"])
def test_left_and_right_look_different(style, skeleton):
    """A mirrored joint of equal trust looks different, and so does each limb; joints in the middle have no white."""
    image, poses = _person(quality=np.ones((1, 17)))
    drawn = draw_poses(image, poses, skeleton, legend=False, style=style)
    for left, right in skeleton.flip_pairs:
        around = [drawn[y - 12 : y + 13, x - 12 : x + 13] for x, y in poses.xy[0, [left, right]].astype(int)]
        if style == "parts":
            assert around[0][12, 12].tolist() in PARTS[0].tolist()
            assert around[1][12, 12].tolist() in PARTS[1].tolist()
        else:
            np.testing.assert_array_equal(around[0][12, 12], around[1][12, 12])
    if style != "parts":
        only = {side: np.where((sides(skeleton) == side)[:, None], poses.xy, np.nan) for side in (0, 1, 2)}
        has_white = {
            side: (draw_poses(image, replace(poses, xy=xy), skeleton, legend=False, style=style) == LEFT_EDGE)
            .all(axis=2).any()
            for side, xy in only.items()
        }  # fmt: skip
        assert has_white == {0: True, 1: False, 2: False}


def test_people_have_colours_and_neighbours_differ():
    _, first = _person()
    xy = np.concatenate([first.xy * 0.2 + (80 * (index % 5), 100 * (index // 5)) for index in range(20)])
    image = np.full((480, 400, 3), 128, np.uint8)
    drawn = draw_poses(image, Poses(xy=xy), COCO_17, style="people", legend=False)
    colours = np.array([_at(drawn, person[0]) for person in xy])
    palette = {tuple(colour) for colour in PEOPLE.tolist()}
    assert {tuple(colour) for colour in colours.tolist()} == palette
    for index in range(20):
        beside = [value for value in (index + 1, index + 5) if value < 20 and (value != index + 1 or value % 5)]
        assert all((colours[index] != colours[other]).any() for other in beside)
    tracks = np.array([9, 2])
    two = Poses(xy=xy[[0, 4]], track_id=tracks)
    drawn = draw_poses(image, two, COCO_17, style="people", legend=False)
    np.testing.assert_array_equal([_at(drawn, person[0]) for person in two.xy], PEOPLE[tracks % len(PEOPLE)])
    with pytest.raises(InputError, match="style: expected trust, parts or people, got 'rainbow'"):
        draw_poses(image, two, COCO_17, style="rainbow")


def test_every_limb_of_the_skeleton_is_drawn():
    image, poses = _person()
    drawn = draw_poses(image, poses, COCO_17, legend=False)
    for a, b in COCO_17.edges:
        assert (_at(drawn, poses.xy[0, [a, b]].mean(axis=0)) != 128).any(), (a, b)


def test_with_trust_each_joint_has_its_colour():
    quality = np.linspace(0, 1, 17)[None]
    image, poses = _person(quality=quality)
    drawn = draw_poses(image, poses, COCO_17, legend=False)
    for xy, colour in zip(poses.xy[0], trust_colours(quality[0]), strict=True):
        np.testing.assert_array_equal(_at(drawn, xy), colour)


def test_absent_is_not_drawn_and_occluded_is_hollow():
    visibility = np.array([[VISIBLE] * 17])
    visibility[0, 9] = ABSENT  # the left wrist, an end of one limb
    visibility[0, 10] = OCCLUDED
    image, poses = _person(quality=np.ones((1, 17)), visibility=visibility)
    drawn = draw_poses(image, poses, COCO_17, legend=False)
    nowhere = poses.xy.copy()
    nowhere[0, 9] = np.nan
    without = draw_poses(image, replace(poses, xy=nowhere), COCO_17, legend=False)
    np.testing.assert_array_equal(drawn, without)
    assert (drawn != draw_poses(image, replace(poses, visibility=None), COCO_17, legend=False)).any()
    np.testing.assert_array_equal(_at(drawn, poses.xy[0, 10]), (128, 128, 128))  # the photo is seen through the ring
    x, y = poses.xy[0, 10].astype(int)
    around = drawn[y - 15 : y + 15, x - 15 : x + 15].reshape(-1, 3)
    assert (around == trust_colours(np.array([1.0]))[0]).all(axis=1).any()


def test_a_decided_label_is_drawn_instead_of_the_likeliest_class():
    label = np.full((1, 17), 2)
    label[0, 9], label[0, 10] = 0, 1
    visibility = np.array([[VISIBLE] * 17])
    as_decided = visibility.copy()
    as_decided[0, 9], as_decided[0, 10] = ABSENT, OCCLUDED
    image, poses = _person(visibility=visibility, visibility_label=label)
    drawn, undecided = (
        draw_poses(image, replace(poses, visibility_label=one), COCO_17) for one in (label, np.full((1, 17), -1))
    )
    same = replace(poses, visibility=as_decided, visibility_label=None)
    np.testing.assert_array_equal(drawn, draw_poses(image, same, COCO_17))
    np.testing.assert_array_equal(undecided, draw_poses(image, replace(poses, visibility_label=None), COCO_17))


def test_missing_joints_are_not_drawn_and_widen_no_line():
    image, poses = _person()
    poses = replace(poses, box=None)
    nowhere = poses.xy.copy()
    nowhere[0, [0, 9]] = np.nan
    dropped = poses.xy.copy()
    dropped[0, [0, 9]] = 0
    missing = np.isin(np.arange(17), [0, 9])[None]
    drawn = draw_poses(image, replace(poses, xy=dropped, missing=missing), COCO_17)
    np.testing.assert_array_equal(drawn, draw_poses(image, replace(poses, xy=nowhere), COCO_17))
    assert (drawn[:20, :20] == 128).all()
    assert (draw_poses(image, replace(poses, xy=dropped), COCO_17)[:20, :20] != 128).any()


def test_unknown_visibility_is_drawn():
    image, poses = _person(visibility=np.full((1, 17, 3), np.nan))
    drawn = draw_poses(image, poses, COCO_17, legend=False)
    np.testing.assert_array_equal(_at(drawn, poses.xy[0, 0]), PARTS[2, 0])


def test_min_score_hides_in_the_drawing_only():
    score = np.ones((1, 17))
    score[0, 16] = 0.1
    image, poses = _person(score=score)
    np.testing.assert_array_equal(_at(draw_poses(image, poses, COCO_17, min_score=0.2), poses.xy[0, 16]), (128,) * 3)
    with pytest.raises(ValueError, match="min_score"):
        draw_poses(image, _person()[1], COCO_17, min_score=0.2)


def test_legend_only_where_there_are_people():
    image, poses = _person()
    assert (draw_poses(image, poses, COCO_17)[-12:, :12] != 128).any()
    np.testing.assert_array_equal(draw_poses(image, poses[:0], COCO_17), image)


def test_lines_grow_with_the_person():
    def painted(scale):
        image = np.full((480 * scale, 400 * scale, 3), 128, np.uint8)
        _, poses = _person()
        large = Poses(xy=poses.xy * scale, box=poses.box * scale)
        return (draw_poses(image, large, COCO_17, legend=False) != 128).any(axis=2).mean()

    assert painted(8) == pytest.approx(painted(1), rel=0.35)


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.lists(
        st.tuples(*[st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(-50, 100))] * 2),
        min_size=17,
        max_size=17,
    ),
    st.booleans(),
)
def test_any_photo_and_any_coordinates(height, width, xy, has_trust):
    image = np.zeros((height, width, 3), np.uint8)
    columns = {"quality": np.full((1, 17), 0.5), "visibility": np.array([[OCCLUDED] * 17])} if has_trust else {}
    drawn = draw_poses(image, Poses(xy=np.array([xy], dtype=np.float64), **columns), COCO_17)
    assert drawn.shape == image.shape and not image.any()


def test_a_skeleton_of_another_length_is_refused():
    image, poses = _person()
    with pytest.raises(ValueError, match="lsp14"):
        draw_poses(image, poses, LSP_14)


def test_poses_that_know_their_skeleton_are_drawn_by_it():
    image, poses = _person()
    changed_poses = replace(poses, skeleton=COCO_17)
    np.testing.assert_array_equal(draw_poses(image, changed_poses), draw_poses(image, poses, COCO_17))
    with pytest.raises(ValueError, match="the poses have none"):
        draw_poses(image, poses)
    mine = replace(COCO_17, name="mine", keypoints=("tip", *COCO_17.keypoints[1:]))
    with pytest.raises(ValueError, match=r"different ones, 'coco17' .* and 'mine'"):
        draw_poses(image, changed_poses, mine)


def test_the_number_and_colour_of_each_track_and_none_without():
    """Of three people of a frame, the first and the last have a track."""
    _, one = _person()
    xy = np.concatenate([one.xy * 0.4 + (140 * index + 10, 60) for index in range(3)])
    image = np.full((300, 420, 3), 128, np.uint8)
    plain, tracked = Poses(xy=xy), Poses(xy=xy, track_id=np.array([12, -1, 3]))
    is_new = draw_poses(image, tracked, COCO_17, legend=False, is_frame=True) != draw_poses(
        image, plain, COCO_17, legend=False, is_frame=True
    )
    assert [is_new[:, 140 * index : 140 * index + 140].any() for index in range(3)] == [True, False, True]
    coloured = draw_poses(image, tracked, COCO_17, legend=False, style="people")
    first, middle, last = (_at(coloured, person[1]).tolist() for person in xy)
    assert first == PEOPLE[12 % len(PEOPLE)].tolist() and last == PEOPLE[3].tolist() and middle not in (first, last)


def test_places_of_colours_can_be_given():
    _, one = _person()
    drawn = draw_poses(_person()[0], one, COCO_17, style="people", legend=False, colour_indices=np.array([4]))
    np.testing.assert_array_equal(_at(drawn, one.xy[0, 0]), PEOPLE[4])


def test_a_doubtful_presence_stands_beside_the_number():
    poses = Poses(xy=np.zeros((3, 2, 2)), presence=np.array([0.95, 0.556, np.nan]))
    assert person_labels(poses) == ["0", "1 56%", "2"]
    assert person_labels(replace(poses, track_id=np.array([7, -1, 9]))) == ["7", "", "9"]
    assert person_labels(replace(poses, presence=None)) == ["0", "1", "2"]
