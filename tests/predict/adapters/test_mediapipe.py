"""MediaPipe itself, with networks of constants in its .task file and, where it is there, with Google's."""

import os
from pathlib import Path
from queue import Queue
from threading import Lock
from types import SimpleNamespace

import numpy as np
import pytest

from tests.predict.adapters.people import labelled_photo
from tests.predict.adapters.tiny_task import SIDE, write_task
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.geometry.oks import oks
from trustpose.predict.adapters.mediapipe import MODELS, PADDING, MediaPipePose, _close_with, find_model
from trustpose.predict.load import load
from trustpose.skeletons import BLAZEPOSE_33, COCO_17

pytest.importorskip("mediapipe", reason=not_installed("mediapipe", "mediapipe"))

RNG = np.random.default_rng(0)
LANDMARKS = np.concatenate(
    [RNG.uniform(0.2, 0.8, (33, 2)), RNG.normal(0, 0.1, (33, 1)), RNG.uniform(0.1, 0.9, (33, 2))], 1
)
PHOTO = RNG.integers(0, 256, (200, 300, 3), dtype=np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _libraries(tmp_path_factory):
    """MediaPipe opens OpenGL's libraries even where it computes without a GPU."""
    try:
        MediaPipePose(write_task(tmp_path_factory.mktemp("task") / "tiny.task", LANDMARKS))
    except InputError as error:
        if "lacks a library" in str(error):
            pytest.skip(str(error))
        raise


def _expected(width, height, x0=0.0, y0=0.0):
    """Where the landmarks are in a photo of that size: the square around its middle, as large as its longer side."""
    return (LANDMARKS[:, :2] - 0.5) * SIDE * max(width, height) + (width / 2 + x0, height / 2 + y0)


@pytest.mark.parametrize("score", ["visibility", "presence"])
def test_its_own_numbers_stay_as_they_are(tmp_path, score):
    predictor = load(f"mediapipe:{write_task(tmp_path / 'tiny.task', LANDMARKS)}", score=score)
    poses = predictor(PHOTO)
    assert predictor.skeleton == BLAZEPOSE_33 and len(poses) == 1
    np.testing.assert_allclose(poses.xy[0], _expected(300, 200), atol=1e-3)
    np.testing.assert_allclose(poses.score[0], LANDMARKS[:, 3 if score == "visibility" else 4], atol=1e-6)
    np.testing.assert_allclose(poses.pose_score, poses.score.mean(axis=1))
    assert poses.visibility is None and poses.box is None and poses.image_id.tolist() == [0]
    everything = predictor.estimator.landmarks(PHOTO)
    np.testing.assert_allclose(everything.visibility[0], LANDMARKS[:, 3], atol=1e-6)
    np.testing.assert_allclose(everything.presence[0], LANDMARKS[:, 4], atol=1e-6)
    np.testing.assert_allclose(everything.z[0], LANDMARKS[:, 2], atol=1e-6)
    np.testing.assert_allclose(everything.world[0], np.repeat(np.arange(33), 3).reshape(33, 3), atol=1e-4)


def test_boxes_are_enlarged_and_cut_off_at_the_edges(tmp_path):
    predictor = load(f"mediapipe:{write_task(tmp_path / 'tiny.task', LANDMARKS)}")
    boxes = np.array([[100.0, 60, 180, 140], [0, 0, 80, 80]])
    poses = predictor(PHOTO, boxes=boxes)
    grown = 80 * PADDING
    np.testing.assert_allclose(poses.xy[0], _expected(grown, grown, 90, 50), atol=1e-3)
    np.testing.assert_allclose(poses.xy[1], _expected(90, 90), atol=1e-3)
    np.testing.assert_array_equal(poses.box, boxes)
    assert poses.box_score is None
    speck = predictor(PHOTO, boxes=np.array([[50.0, 50, 50.5, 50.5]]))
    assert len(speck) == 1 and (np.abs(speck.xy - 50) < 2).all()


def test_thresholds_are_arguments(tmp_path):
    unsure = write_task(tmp_path / "unsure.task", LANDMARKS, presence=0.3, detection=0.3)
    box = np.array([[100.0, 60, 180, 140]])
    assert len(load(f"mediapipe:{unsure}")(PHOTO)) == 0
    assert len(load(f"mediapipe:{unsure}")(PHOTO, boxes=box)) == 1
    assert len(load(f"mediapipe:{unsure}", min_pose_presence=0.5)(PHOTO, boxes=box)) == 0
    assert len(load(f"mediapipe:{unsure}", min_detection=0.2, min_pose_presence=0.2)(PHOTO)) == 1


def test_only_the_keypoints_of_coco(tmp_path):
    name = f"mediapipe:{write_task(tmp_path / 'tiny.task', LANDMARKS)}"
    whole, part = load(name)(PHOTO), load(name, skeleton="coco17")(PHOTO)
    for index, keypoint in enumerate(COCO_17.keypoints):
        there = BLAZEPOSE_33.keypoints.index(keypoint)
        np.testing.assert_array_equal(part.xy[:, index], whole.xy[:, there])
        np.testing.assert_array_equal(part.score[:, index], whole.score[:, there])
    np.testing.assert_array_equal(part.pose_score, whole.pose_score)
    with pytest.raises(InputError, match="its skeleton blazepose33 lacks head, neck of crowdpose14"):
        load(name, skeleton="crowdpose14")
    with pytest.raises(InputError, match="skeleton: expected one of"):
        load(name, skeleton="coco")


def test_models_that_are_none(tmp_path, monkeypatch):
    (tmp_path / "text.task").write_text("not a model")
    with pytest.raises(InputError, match=r"text\.task: is not a model for MediaPipe's pose landmarker"):
        load(f"mediapipe:{tmp_path / 'text.task'}")
    with pytest.raises(InputError, match="no such file"):
        load(f"mediapipe:{tmp_path / 'none.task'}")
    monkeypatch.setenv("TRUSTPOSE_MODELS", str(tmp_path))
    with pytest.raises(
        InputError, match=r"needs Google's model pose_landmarker_full\.task .* or named: mediapipe:FILE"
    ):
        load("mediapipe")
    with pytest.raises(InputError, match="score: expected visibility or presence, got 'both'"):
        load(f"mediapipe:{write_task(tmp_path / 'tiny.task', LANDMARKS)}", score="both")
    path = write_task(tmp_path / MODELS[2], LANDMARKS)
    assert find_model() == path and len(load("mediapipe")(PHOTO)) == 1


def test_it_is_closed_where_the_thread_that_deletes_it_holds_the_pools_lock(tmp_path):
    """As the garbage collector may, which runs anywhere: closing in that thread would wait for itself for ever."""
    waited, lock = Queue(), Lock()
    estimator = MediaPipePose(write_task(tmp_path / "tiny.task", LANDMARKS))
    landmarker = SimpleNamespace(close=lambda: waited.put(lock.acquire(timeout=20)))
    _close_with(estimator, landmarker)
    with lock:
        del estimator
    assert waited.get(timeout=20)


def test_real_people(data_dir):
    """Google's network on a photo with a labelled person who fills it: OKS of someone found, not of chance."""
    folder = Path(os.environ.get("TRUSTPOSE_MODELS") or data_dir / "networks")
    model = next((folder / name for name in MODELS if (folder / name).is_file()), None)
    if model is None:
        pytest.skip(f"Google's {MODELS[0]} is not in {folder}; TRUSTPOSE_MODELS names another folder")
    path, truth = labelled_photo(data_dir)
    poses = load(f"mediapipe:{model}", skeleton="coco17")(path, boxes=truth.box)
    assert len(poses) == 1
    similarity = oks(poses.xy, truth.xy, truth.v > 0, truth.area_by("file"), COCO_17.sigmas)
    assert similarity[0] > 0.7
