"""The records: shapes are checked, slices are views, iteration and concatenation keep rows together."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.metrics.matching import pair_with_people
from trustpose.poses import Poses, Truth, Visibility, box_size
from trustpose.skeletons import COCO_17, LSP_14


def some_poses(n: int = 5, k: int = 3) -> Poses:
    random = np.random.default_rng(0)
    return Poses(
        xy=random.random((n, k, 2)),
        score=random.random((n, k)),
        visibility=np.full((n, k, 3), 1 / 3),
        box=random.random((n, 4)),
        image_id=np.array([7, 3, 7, 3, 9])[:n],
    )


def test_a_slice_is_a_view_and_a_row_is_a_record() -> None:
    poses = some_poses()
    part = poses[1:3]
    assert len(part) == 2
    assert np.shares_memory(part.xy, poses.xy)
    assert np.shares_memory(part.score, poses.score)
    assert part.pose_score is None
    assert len(poses[-1]) == 1
    np.testing.assert_array_equal(poses[-1].xy[0], poses.xy[-1])
    with pytest.raises(IndexError):
        poses[5]


def test_by_image_walks_images_in_order_and_people_in_theirs() -> None:
    poses = some_poses()
    walked = list(poses.by_image())
    assert [image for image, _ in walked] == [3, 7, 9]
    np.testing.assert_array_equal(walked[0][1].xy, poses.xy[[1, 3]])
    np.testing.assert_array_equal(walked[1][1].xy, poses.xy[[0, 2]])
    assert np.shares_memory(walked[2][1].xy, poses.xy)
    with pytest.raises(ValueError, match="image_id is None"):
        next(Poses(xy=np.zeros((1, 2, 2))).by_image())
    assert list(some_poses()[:0].by_image()) == []


def test_concatenate_joins_rows_and_refuses_half_filled_columns() -> None:
    poses = some_poses()
    joined = Poses.concatenate([poses[:2], poses[2:]])
    np.testing.assert_array_equal(joined.xy, poses.xy)
    assert joined.quality is None
    with pytest.raises(ValueError, match=r"Poses\.score: filled in 1 of 2 parts"):
        Poses.concatenate(
            [poses, Poses(xy=poses.xy, visibility=poses.visibility, box=poses.box, image_id=poses.image_id)]
        )


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("score", np.zeros((2, 2)), r"Poses\.score: expected shape \(2, 3\), got \(2, 2\)"),
        ("visibility", np.zeros((2, 3)), r"Poses\.visibility: expected shape \(2, 3, 3\)"),
        ("image_id", np.zeros(2), r"Poses\.image_id: expected int numbers, got dtype float64"),
        ("box", np.array([["a"] * 4] * 2), r"Poses\.box: expected float numbers"),
    ],
)
def test_a_wrong_column_is_named(monkeypatch: pytest.MonkeyPatch, column: str, value: np.ndarray, message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users, who do not run its checks
    with pytest.raises(ValueError, match=message):
        Poses(xy=np.zeros((2, 3, 2)), **{column: value})  # type: ignore[arg-type]


def test_truth_counts_labels_and_has_areas_by_name() -> None:
    truth = Truth(
        xy=np.zeros((2, 3, 2)),
        v=np.array([[0, 1, 2], [0, 0, 0]]),
        area=np.array([5.0, 6.0]),
        box=np.array([[0.1, 0.2, 0.1 + 10.2, 0.2 + 20.2], [0.0, 0, 1, 1]]),
    )
    assert truth.num_keypoints.tolist() == [2, 0]
    assert truth.iscrowd.tolist() == [False, False]
    assert truth.area_by("segment").tolist() == [5.0, 6.0]
    assert truth.area_by("box").tolist() == [10.2 * 20.2, 1.0]
    assert truth.area_by("box*0.53").tolist() == [10.2 * 20.2 * 0.53, 0.53]
    with pytest.raises(ValueError, match=r"needs Truth\.area"):
        Truth(xy=truth.xy, v=truth.v).area_by("segment")
    with pytest.raises(ValueError, match=r"Truth\.v: expected 0"):
        Truth(xy=truth.xy, v=truth.v + 1)
    assert [v.name for v in Visibility] == ["ABSENT", "OCCLUDED", "VISIBLE"]


def test_areas_have_a_source() -> None:
    truth = Truth(xy=np.zeros((3, 2, 2)), v=np.ones((3, 2), int), area=np.array([5.0, 6.0, 7.0]), box=np.ones((3, 4)))
    assert truth.area_by("segment").tolist() == truth.area_by("file").tolist() == [5.0, 6.0, 7.0]
    mixed = replace(truth, area_source=np.array(["segment", "box*0.53", "box*0.53"], dtype=object))
    np.testing.assert_array_equal(mixed.area_by("segment"), [5.0, np.nan, np.nan])
    assert mixed.area_by("file").tolist() == [5.0, 6.0, 7.0]
    assert mixed.is_segment.tolist() == [True, False, False]
    with pytest.raises(ValueError, match=r"'segment': 2 of 3 rows have none, Truth\.area is 2 box\*0\.53, 1 segment"):
        mixed.area_of_all("segment")
    with pytest.raises(ValueError, match=r"area 'segment': no row has one, Truth\.area is 2 box\*0\.53"):
        mixed[1:].area_by("segment")


@given(st.lists(st.tuples(*[st.integers(-(10**6), 10**6), st.integers(0, 10**6)] * 2), min_size=1), st.integers(0, 6))
def test_box_sizes_survive_the_far_corner(boxes: list[tuple[int, int, int, int]], decimals: int) -> None:
    written = np.array(
        [[x / 10**decimals, y / 10**decimals, w / 10**decimals, h / 10**decimals] for x, w, y, h in boxes]
    )
    box = np.c_[written[:, :2], written[:, :2] + written[:, 2:]]
    np.testing.assert_array_equal(box_size(box), written[:, 2:])


def test_poses_are_ranked_by_one_rule() -> None:
    """Expected OKS, or else the estimator's own score, times the box's; a score that is both counts once."""
    poses = Poses(xy=np.zeros((3, 2, 2)), pose_score=np.array([0.5, 0.8, -3.0]))
    assert poses.ranking_score.tolist() == [0.5, 0.8, -3.0]
    boxed = replace(poses, box_score=np.array([0.1, 0.8, np.nan]))
    assert boxed.ranking_score.tolist() == [0.5 * 0.1, 0.8, -3.0]
    changed_boxed = replace(boxed, pose_quality=np.array([0.9, np.nan, 0.7]))
    assert changed_boxed.ranking_score.tolist() == [0.9 * 0.1, 0.8, 0.7]
    assert replace(changed_boxed, pose_score=None, box_score=None)[[0, 2]].ranking_score.tolist() == [0.9, 0.7]
    present = replace(changed_boxed, presence=np.array([0.5, np.nan, 0.5]))
    assert present.ranking_score.tolist() == [0.9 * 0.5, 0.8, 0.7 * 0.5]  # of trust and presence, or as without them
    assert replace(changed_boxed, suppressed_score=np.array([0.0, 0.1, 0.2])).ranking_score.tolist() == [0.0, 0.1, 0.2]
    assert [boxed[row].ranking_score[0] for row in range(3)] == boxed.ranking_score.tolist()
    with pytest.raises(ValueError, match="neither pose_quality nor pose_score to rank by"):
        _ = replace(poses, pose_score=None).ranking_score


def test_missing_keypoints_are_in_no_box() -> None:
    xy = np.array([[[10.0, 20], [30, 25], [0, 0]], [[0, 0], [0, 0], [0, 0]], [[5, 5], [7, 9], [6, 4]]])
    missing = np.array([[False, False, True], [True, True, True], [False, False, False]])
    poses = Poses(xy=xy, missing=missing)
    expected = [[10.0, 20, 30, 25], [np.nan] * 4, [5, 4, 7, 9]]
    np.testing.assert_array_equal(poses.keypoint_box(), expected)
    np.testing.assert_array_equal(Poses(xy=xy.astype(np.float32), missing=missing).keypoint_box(), expected)
    assert Poses(xy=xy).keypoint_box()[0].tolist() == [0, 0, 30, 25]
    box = np.array([[1.0, 2, 3, 4], [np.nan] * 4, [np.nan] * 4])
    np.testing.assert_array_equal(Poses(xy=xy, missing=missing, box=box).person_box(), [box[0], *expected[1:]])
    with pytest.raises(IndexError):
        poses[3]
    assert poses[[2, 0]].missing is not None and poses[[2, 0]].missing.tolist() == missing[[2, 0]].tolist()


def test_a_part_without_missing_keypoints_joins_one_with_some() -> None:
    poses = Poses(xy=np.zeros((1, 2, 2)), missing=np.array([[True, False]]))
    joined = Poses.concatenate([Poses(xy=np.ones((2, 2, 2))), poses])
    assert joined.missing is not None and joined.missing.tolist() == [[False] * 2, [False] * 2, [True, False]]
    assert Poses.concatenate([Poses(xy=np.ones((2, 2, 2)))] * 2).missing is None


def test_conversion_by_joint_name() -> None:
    poses = Poses(xy=np.arange(34.0).reshape(1, 17, 2), score=np.arange(17.0)[None])
    with pytest.raises(ValueError, match="'coco17' lacks neck, head_top of 'lsp14'"):
        COCO_17.index_in(LSP_14)
    converted = poses.take_keypoints(COCO_17.index_in(LSP_14, missing="mark"))
    assert converted.xy.shape == (1, 14, 2)
    for name in ("left_wrist", "right_ankle"):
        index, second_index = LSP_14.keypoints.index(name), COCO_17.keypoints.index(name)
        assert converted.score[0, index] == second_index
    assert np.isnan(converted.xy[0, LSP_14.keypoints.index("neck")]).all()
    lacking = [name in ("neck", "head_top") for name in LSP_14.keypoints]
    assert converted.missing is not None and converted.missing.tolist() == [lacking]
    shoulder = COCO_17.keypoints.index("left_shoulder")
    dropped = Poses(xy=poses.xy, missing=np.arange(17)[None] == shoulder)
    converted = dropped.take_keypoints(COCO_17.index_in(LSP_14, missing="mark"))
    expected = [lacks or name == "left_shoulder" for name, lacks in zip(LSP_14.keypoints, lacking, strict=True)]
    assert converted.missing is not None and converted.missing.tolist() == [expected]
    assert poses.take_keypoints(COCO_17.flip_index).missing is None
    truth = Truth(xy=poses.xy, v=np.full((1, 17), 2)).take_keypoints(COCO_17.index_in(LSP_14, missing="mark"))
    assert truth.num_keypoints.tolist() == [12]
    assert truth.v[0, LSP_14.keypoints.index("neck")] == 0


def test_records_have_a_skeleton_and_do_not_mix() -> None:
    coco = Poses(xy=np.arange(34.0).reshape(1, 17, 2), skeleton=COCO_17)
    lsp = coco.to_skeleton(LSP_14, missing="mark")
    assert coco[:0].skeleton is COCO_17 and lsp.skeleton is LSP_14
    assert Poses.concatenate([coco, coco]).skeleton is COCO_17
    unknown = Poses(xy=coco.xy)
    assert Poses.concatenate([coco, unknown]).skeleton is None  # unknown in one part: not guessed
    assert Poses.concatenate([coco, unknown[:0]]).skeleton is COCO_17
    with pytest.raises(ValueError, match=r"different skeletons, 'coco17' \(17 keypoints\) and 'lsp14' \(14\)"):
        Poses.concatenate([coco, lsp])
    changed_coco_17 = replace(COCO_17, name="mine", keypoints=(*COCO_17.keypoints[:16], "tail"))
    with pytest.raises(ValueError, match=r"'coco17' .* and 'mine' .*: keypoint 16 is 'right_ankle' and 'tail'"):
        Poses.concatenate([coco, Poses(xy=coco.xy, skeleton=changed_coco_17)])
    with pytest.raises(ValueError, match=r"Poses\.skeleton: 'lsp14' has 14 keypoints, Poses\.xy has 17"):
        Poses(xy=coco.xy, skeleton=LSP_14)
    with pytest.raises(ValueError, match="lacks neck, head_top"):
        coco.to_skeleton(LSP_14)
    with pytest.raises(ValueError, match=r"Poses\.skeleton is None"):
        unknown.to_skeleton(LSP_14)
    assert set(coco.columns()) == {*vars(coco)} - {"skeleton", "photos", "error_model"}


def test_results_and_people_of_different_skeletons_are_not_paired() -> None:
    ids = np.array([1])
    poses = Poses(xy=np.zeros((1, 14, 2)), image_id=ids, skeleton=LSP_14)
    truth = Truth(xy=np.zeros((1, 14, 2)), v=np.ones((1, 14), int), image_id=ids, box=np.zeros((1, 4)))
    assert pair_with_people(poses, truth).tolist() == [-1]
    named = replace(truth, skeleton=replace(LSP_14, name="mine", keypoints=("tail", *LSP_14.keypoints[1:])))
    with pytest.raises(ValueError, match=r"Poses and Truth have different skeletons, 'lsp14' .* and 'mine'"):
        pair_with_people(poses, named)


def test_supervision_there_and_back() -> None:
    pytest.importorskip("supervision", reason="the extra `supervision` is not installed")
    poses = some_poses()
    poses = Poses(xy=poses.xy.astype(np.float32), score=poses.score.astype(np.float32), image_id=poses.image_id)
    back = Poses.from_supervision(poses.to_supervision())
    np.testing.assert_array_equal(back.xy, poses.xy)
    np.testing.assert_array_equal(back.score, poses.score)
    np.testing.assert_array_equal(back.image_id, poses.image_id)
    assert back.quality is None and back.missing is None


def test_supervision_gets_missing_keypoints() -> None:
    pytest.importorskip("supervision", reason="the extra `supervision` is not installed")
    missing = np.array([[True, False, False]] * 2)
    key_points = Poses(xy=np.ones((2, 3, 2), dtype=np.float32), missing=missing).to_supervision()
    if hasattr(key_points, "visible"):  # since 0.29
        np.testing.assert_array_equal(key_points.visible, ~missing)
    back = Poses.from_supervision(key_points[1:])
    assert back.missing is not None and back.missing.tolist() == [[True, False, False]]
