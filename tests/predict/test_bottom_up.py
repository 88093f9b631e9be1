"""Bottom-up networks, from photo files to COCO results: `tp.load` and `trustpose predict`."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.predict.tiny_fields import (
    boxes_of,
    made_up_people,
    write_boxed,
    write_centres,
    write_composites,
    write_disks,
    write_fields,
    write_tags,
)
from trustpose.cli import app, main
from trustpose.files import InputError
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.spec import ModelSpec
from trustpose.predict.bottom_up import BottomUpNetwork
from trustpose.predict.detectors import load_detector
from trustpose.predict.load import load
from trustpose.predict.single_stage import SingleStagePredictor
from trustpose.skeletons import COCO_17

WRIST = 9


@pytest.fixture(scope="module")
def people():
    return made_up_people(3)


@pytest.fixture(scope="module")
def network(tmp_path_factory, people):
    return write_fields(tmp_path_factory.mktemp("fields"), *people)


def test_people_are_where_the_fields_say(network, people):
    """The photo is twice as large as the input and wider than its proportions: 512 × 300 pixels on 256 × 150."""
    xy, labelled = people
    poses = load(network)(np.zeros((300, 512, 3), np.uint8))
    assert len(poses) == 3 and poses.missing is not None and poses.pose_score is not None and poses.score is not None
    order = np.argsort(poses.xy[:, 0, 0])
    np.testing.assert_array_equal(~poses.missing[order], labelled)
    np.testing.assert_allclose(poses.xy[order][labelled], 2 * xy[labelled], atol=0.3)
    assert (poses.xy[poses.missing] == 0).all() and (poses.score[poses.missing] == 0).all()
    assert (np.diff(poses.pose_score) <= 0).all() and poses.pose_score.min() > 1.5  # parts and links, each about 1
    assert poses.box is None and poses.box_score is None and poses.pose_quality is None and poses.quality is None


def test_thresholds_and_ways_of_grouping(tmp_path, people):
    xy, labelled = people
    few = labelled.copy()
    few[1, 3:] = False  # nose and eyes: three joints
    assert len(load(write_fields(tmp_path / "few", xy, few))(np.zeros((192, 256, 3), np.uint8))) == 2
    path = write_fields(tmp_path / "fewer", xy, few, min_parts=3, matching="optimal", order="scores")
    predictor = load(path)
    assert len(predictor(np.zeros((192, 256, 3), np.uint8))) == 3
    assert predictor.options.min_box_score is None and predictor.min_score == 0.4
    assert len(load(path, min_box_score=100.0)(np.zeros((192, 256, 3), np.uint8))) == 0
    assert len(load(path, min_box_score=0.0)(np.zeros((192, 256, 3), np.uint8))) == 3


def test_a_background_is_left_out_and_wrong_shapes_are_named(tmp_path, people):
    path = write_fields(tmp_path, *people, background=True)
    with pytest.raises(InputError, match=r"gave heatmaps \(1, 17, 48, 64\), expected \(1, 18, 48, 64\)"):
        load(path)(np.zeros((192, 256, 3), np.uint8))
    path = write_fields(tmp_path, *people, limbs=[[0, 1], [5, 7]])
    with pytest.raises(InputError, match=r"gave fields \(1, 38, 48, 64\), expected \(1, 4, 48, 64\)"):
        load(path)(np.zeros((192, 256, 3), np.uint8))


def test_predict_writes_people_without_expected_oks(network, people, tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((192, 256, 3), np.uint8))
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["predict", str(photo), "--model", str(network), "--out", str(out)])
    assert result.exit_code == 0, result.output
    rows = json.loads((out / "results.json").read_text())
    assert len(rows) == 3 and all(row.get("pose_quality") is None and "bbox" not in row for row in rows)
    keypoints = np.array([row["keypoints"] for row in rows]).reshape(3, 17, 3)
    first = keypoints[keypoints[:, 0, 0].argmin()]
    np.testing.assert_array_equal(first[WRIST], 0)
    xy, labelled = people
    np.testing.assert_allclose(first[labelled[0], :2], xy[0][labelled[0]], atol=0.15)


def test_a_flip_test_averages_maps(network, people, tmp_path):
    """The networks see the same people in every photo. Those of the first stand as they do in a mirror, too; those of
    the second do not, so that half of each peak is left, there and at its mirror image."""
    xy, labelled = people
    flip = COCO_17.flip_index
    in_mirror = (np.array([255, 0]) - xy[:1] * (1, -1))[:, flip]
    both = np.concatenate([xy[:1], in_mirror]), np.concatenate([labelled[:1], labelled[:1, flip]])
    photo = np.zeros((192, 256, 3), np.uint8)
    for write in (write_fields, write_tags, write_centres, write_composites, write_disks):
        path = write(tmp_path, *both)
        one, flipped = load(path)(photo), load(path, flip=True)(photo)
        assert len(one) == len(flipped) == 2, write
        order, other = (np.argsort(poses.xy[:, 0, 0]) for poses in (one, flipped))
        is_seen = one.score[order] > 0  # disks lead to hidden keypoints as well, anywhere
        np.testing.assert_allclose(flipped.xy[other][is_seen], one.xy[order][is_seen], atol=0.6)
        np.testing.assert_allclose(flipped.score[other], one.score[order], atol=0.1)
    halved = load(network, flip=True, min_box_score=0.0)(photo)
    assert halved.score is not None and 0.3 < halved.score.max() < 0.6


def test_people_come_with_masks(tmp_path, people):
    path = write_disks(tmp_path / "masks", *people, with_masks=True)
    photo = np.zeros((384, 512, 3), np.uint8)  # twice the input
    for flip in (False, True):
        network = BottomUpNetwork(ModelSpec.read(path), flip=flip)
        poses, masks = network.masks(photo)
        assert masks.shape == (len(poses), 384, 512) and masks.dtype == bool
        if not flip:
            np.testing.assert_allclose(poses.xy, network(photo).xy)
    poses, masks = BottomUpNetwork(ModelSpec.read(path)).masks(photo)
    order = np.argsort(poses.xy[:, 0, 0])
    xy, labelled = people
    for mask, (x0, y0, x1, y1) in zip(masks[order], boxes_of(xy, labelled) * 2, strict=True):
        expected = np.zeros_like(mask)
        expected[max(int(y0), 0) : int(y1), max(int(x0), 0) : int(x1)] = True
        assert (mask & expected).sum() > 0.8 * (mask | expected).sum()
    with pytest.raises(InputError, match=r"disks.onnx: gives no masks"):
        BottomUpNetwork(ModelSpec.read(write_disks(tmp_path, *people))).masks(photo)


def test_it_is_no_detector(network):
    with pytest.raises(InputError, match="is not a detector"):
        load("default", detector=network)


def test_grouping_can_be_chosen_for_fields_only(tmp_path, network, people, capsys):
    """Optimal links differ from greedy ones where the best link of all takes the only end of another."""
    for grouping in ("greedy", "optimal"):
        found = load(network, grouping=grouping)
        assert isinstance(found, SingleStagePredictor) and isinstance(found.network, BottomUpNetwork)
        assert isinstance(found.network.output, FieldOutput)
        assert found.network.output.grouping.matching == grouping and len(found(np.zeros((192, 256, 3), np.uint8))) == 3
    with pytest.raises(InputError, match="grouping: expected one of greedy, optimal, got 'deepcut'"):
        load(network, grouping="deepcut")
    for other in (write_tags(tmp_path, *people), "default", "mediapipe"):
        with pytest.raises(InputError, match=r"leave (it )?out"):
            load(other, grouping="optimal")
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((192, 256, 3), np.uint8))
    command = ["predict", str(photo), "--model", str(network), "--no-draw", "--grouping"]
    assert CliRunner().invoke(app, [*command, "optimal", "--out", str(tmp_path / "out")]).exit_code == 0
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())) == 3
    with pytest.raises(SystemExit) as done:
        main([*command, "best", "--out", str(tmp_path / "none")])
    assert done.value.code == 2 and "grouping: expected one of greedy, optimal" in capsys.readouterr().err


@pytest.mark.parametrize("coarser", [1, 2])
def test_people_are_where_heatmaps_and_tags_say(tmp_path, people, coarser):
    """Tags may be of another size."""
    xy, labelled = people
    path = write_tags(tmp_path, xy, labelled, coarser, **({"tag_stride": 8} if coarser == 2 else {}))
    poses = load(path)(np.zeros((300, 512, 3), np.uint8))
    assert len(poses) == 3 and poses.missing is not None and poses.pose_score is not None and poses.box is None
    order = np.argsort(poses.xy[:, 0, 0])
    np.testing.assert_array_equal(~poses.missing[order], labelled)
    np.testing.assert_allclose(poses.xy[order][labelled], 2 * xy[labelled], atol=0.3)
    assert (poses.xy[poses.missing] == 0).all() and (poses.score[poses.missing] == 0).all()
    assert (np.diff(poses.pose_score) <= 0).all() and 0.7 < poses.pose_score.min() < poses.pose_score.max() <= 1


def test_low_peaks_are_filled_in_by_tag(tmp_path, people):
    """Many peaks are no candidates; their tags find the places, and the score is the map's, low for the wrist."""
    xy, labelled = people
    for fill in (True, False):
        folder = tmp_path / str(fill)
        path = write_tags(folder, xy, labelled, fill=fill, min_peak=0.97)
        found = load(path)(np.zeros((192, 256, 3), np.uint8))
        assert found.missing is not None and found.score is not None and len(found) == 3
        order = np.argsort(np.where(found.missing, np.inf, found.xy[..., 0]).min(axis=1))
        there, score = ~found.missing[order], found.score[order]
        assert there[labelled].all() == fill
        if fill:
            assert (score[~labelled] < 0.2).all()  # beside another person's wrist, where no tag is
            assert (score[labelled] < 0.97).any() and (score[labelled] > 0.7).all()
            np.testing.assert_allclose(found.xy[order][labelled], xy[labelled], atol=2.0)  # half a cell
    assert len(load(path, min_box_score=2.0)(np.zeros((192, 256, 3), np.uint8))) == 0


def test_people_are_where_centres_say(tmp_path, people):
    xy, labelled = people
    path = write_centres(tmp_path, xy, labelled)
    poses = load(path)(np.zeros((300, 512, 3), np.uint8))
    assert len(poses) == 3 and poses.missing is None and poses.box is not None and poses.box_score is not None
    order = np.argsort(poses.box[:, 0])
    np.testing.assert_allclose(poses.box[order], 2 * boxes_of(xy, labelled), atol=0.01)
    np.testing.assert_allclose(poses.xy[order][labelled], 2 * xy[labelled], atol=0.3)
    np.testing.assert_array_equal(poses.pose_score, np.ones(3))
    np.testing.assert_array_equal(poses.box_score, np.ones(3))
    assert len(load(path, min_box_score=1.1)(np.zeros((192, 256, 3), np.uint8))) == 0
    boxes = load_detector(path)(np.zeros((300, 512, 3), np.uint8))
    np.testing.assert_array_equal(boxes.xyxy, poses.box.clip(0, [512, 300, 512, 300]))


def test_keypoints_go_to_the_boxes_that_they_are_in(tmp_path, people):
    xy, labelled = people
    poses = load(write_boxed(tmp_path, xy, labelled))(np.zeros((300, 512, 3), np.uint8))
    order = np.argsort(poses.box[:, 0])
    np.testing.assert_allclose(poses.box[order], 2 * boxes_of(xy, labelled), atol=0.01)
    np.testing.assert_array_equal(poses.missing[order], ~labelled)
    np.testing.assert_allclose(poses.xy[order][labelled], 2 * xy[labelled], atol=0.3)


def test_wrong_shapes_of_tags_and_centres_are_named(tmp_path, people):
    path = write_tags(tmp_path, *people, tag_stride=8)
    with pytest.raises(InputError, match=r"gave tags \(1, 17, 48, 64\), expected \(1, 17, 24, 32\)"):
        load(path)(np.zeros((192, 256, 3), np.uint8))
    path = write_centres(tmp_path, *people, stride=8)
    with pytest.raises(InputError, match=r"gave centre \(1, 1, 48, 64\), expected \(1, 1, 24, 32\)"):
        load(path)(np.zeros((192, 256, 3), np.uint8))
