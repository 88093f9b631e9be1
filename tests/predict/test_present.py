"""People left out below `min_presence`, and doubles; what the bundled model returns for a real photo."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import trustpose as tp
from trustpose.codecs import Outputs
from trustpose.models.outputs.trust import TrustArrays
from trustpose.models.runtime.backends import Runtime
from trustpose.poses import Poses
from trustpose.predict.base_predictor import present_people
from trustpose.predict.boxes import Boxes
from trustpose.skeletons import COCO_17


def _poses(presence: list[float], shift: list[float]) -> Poses:
    """People side by side: 100 pixels high, moved by `shift`."""
    random = np.random.default_rng(0)
    xy = random.uniform(0, 100, (17, 2)) + np.array(shift)[:, None, None]
    return Poses(
        xy=xy,
        box=np.stack([np.array([at, at, at + 100, at + 100]) for at in shift]).astype(float),
        presence=np.array(presence),
        pose_quality=np.full(len(shift), 0.8),
        image_id=np.ones(len(shift), np.int64),
        skeleton=COCO_17,
    )


def test_people_below_the_threshold_and_doubles_are_left_out() -> None:
    poses = _poses([0.6, 0.9, 0.3, np.nan], [0, 2, 300, 600])
    assert present_people(poses, 0.5).presence.tolist()[:1] == [0.9]
    assert len(present_people(poses, 0.5)) == 2  # not known: kept
    assert len(present_people(poses, 0.1)) == 3
    assert present_people(poses, 0) is poses


def test_two_people_near_each_other_are_kept() -> None:
    assert len(present_people(_poses([0.6, 0.9], [0, 30]), 0.5)) == 2


def test_keypoints_stay_as_they_are() -> None:
    poses = _poses([0.6, 0.9, 0.3], [0, 200, 400])
    np.testing.assert_array_equal(present_people(poses, 0.5).xy, poses.xy[:2])


def test_a_double_has_an_oks_above_seven_tenths_over_the_area_of_the_box() -> None:
    shift = np.linspace(0, 30, 3001)
    variance = (2 * COCO_17.sigmas) ** 2
    oks = np.exp(-2 * shift[:, None] ** 2 / (2 * 100**2 * variance)).mean(
        axis=1
    )  # boxes of 100 × 100, moved in x and y
    for similarity, people in ((0.72, 1), (0.68, 2)):
        distance = float(np.interp(-similarity, -oks, shift))
        assert len(present_people(_poses([0.6, 0.9], [0, distance]), 0.5)) == people


def test_the_double_that_ranks_lower_is_left_out_and_the_threshold_itself_is_enough() -> None:
    poses = replace(_poses([0.6, 0.9, 0.5], [0, 2, 300]), pose_quality=np.array([0.9, 0.3, 0.8]))
    assert present_people(poses, 0.5).presence.tolist() == [0.6, 0.5]


@pytest.fixture(scope="module")
def photo(data_dir: Path) -> Path:
    return data_dir / "coco" / "dev" / "000000006771.jpg"


def test_the_bundled_model_leaves_out_who_is_hardly_there(photo: Path) -> None:
    everybody, shown = tp.load("default", min_presence=0)(photo), tp.load("default")(photo)
    threshold = tp.load("default").min_presence
    assert 0.3 < threshold < 0.7
    assert (shown.presence >= threshold).all() and len(shown) < len(everybody)
    assert len(tp.load("default", min_presence=1.0)(photo)) == 0


def test_presence_is_for_detected_boxes_alone(photo: Path) -> None:
    predictor = tp.load("default", min_presence=0)
    box = predictor(photo).box[:2]
    poses = predictor(photo, boxes=box)
    detected = predictor(photo, boxes=Boxes(box, np.zeros(len(box), np.int64), np.full(len(box), 0.6)))
    assert poses.presence is None
    assert ((detected.presence > 0) & (detected.presence < 1)).all()
    np.testing.assert_array_equal(poses.xy, detected.xy)


class _CountingRuntime:
    """A network that counts the crops it runs on."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.spec, self.crops = runtime, runtime.spec, 0
        self.reads_positions = runtime.reads_positions

    def with_trust(self, pixels: np.ndarray, *further: np.ndarray | None) -> tuple[Outputs, TrustArrays]:
        self.crops += len(pixels)
        return self.runtime.with_trust(pixels, *further)


def test_the_network_runs_once_for_each_box_whose_person_may_be_shown(photo: Path) -> None:
    everybody = tp.load("default", min_presence=0)(photo)
    predictor = tp.load("default")
    least = predictor.spec.trust.presence.least_box_score
    counting = predictor.runtime = _CountingRuntime(predictor.runtime)
    shown, left_out = next((each.poses, each.left_out) for each in predictor.stream(photo))
    assert counting.crops == (everybody.box_score >= least).sum() < len(everybody)
    assert len(shown) + left_out == len(everybody)
    is_shown = everybody.presence >= predictor.min_presence
    np.testing.assert_array_equal(shown.xy, everybody.xy[is_shown])
    np.testing.assert_allclose(shown.presence, everybody.presence[is_shown], atol=0.02)


@pytest.mark.parametrize("options", [{"min_presence": 0.2}, {"min_box_score": 0.1}, {"suppression": "oks-nms"}])
def test_no_box_is_skipped_that_an_option_needs(photo: Path, options: dict[str, Any]) -> None:
    predictor = tp.load("default", **options)
    counting = predictor.runtime = _CountingRuntime(predictor.runtime)
    predictor(photo)
    assert counting.crops == len(predictor.detector(cv2.imread(str(photo))[..., ::-1]))
