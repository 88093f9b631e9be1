"""Mutated JSON of every kind that declared records read: a result, or one line that names the file."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.value_mutations import changed_value, with_other_numbers
from tests.io import samples
from tests.io.reading import PEOPLE, read
from tests.io.test_label_tools import label_studio, via
from tests.io.test_tensorflow_samples import MP, landmarks, tfjs_poses
from trustpose.calibration.applied_record import in_sample_notes
from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.files import InputError
from trustpose.io.companions import errors_path, read_errors, results_sha256
from trustpose.io.poses3d import read_poses3d, write_poses3d
from trustpose.poses import ErrorModel, Poses3D
from trustpose.skeletons import COCO_17, OCHUMAN_19, OPENPOSE_BODY_25

MPII_PERSON = {"image": "7.jpg", "joints": [[3.0, 4.0]] * 16, "joints_vis": [1] * 16, "center": [5, 6], "scale": 0.5}
AIC_PHOTO = {
    "image_id": "a",
    "keypoint_annotations": {"human1": [3, 4, 1] * 14},
    "human_annotations": {"human1": [1, 2, 30, 40]},
}
OCHUMAN_PERSON = {"bbox": [1, 2, 31, 62], "keypoints": [5, 6, 2] * 19, "segms": None}
OCHUMAN_PHOTO = {"file_name": "7.jpg", "width": 300, "height": 200, "annotations": [OCHUMAN_PERSON]}
OCHUMAN = {
    "keypoint_names": list(OCHUMAN_19.keypoints),
    "keypoint_visible": {},
    "images": [OCHUMAN_PHOTO, OCHUMAN_PHOTO | {"file_name": "8.jpg"}],
}
RELATION = {"type": "relation", "from_id": "a", "to_id": "b"}
MUTATIONS = 60  # of each kind
READERS: dict[str, tuple[Any, Callable[[Path], Any]]] = {
    "mmpose": (samples.mmpose_instances(PEOPLE), read),
    "mmpose frames": ([{"frame_id": 3, "instances": samples.mmpose_instances(PEOPLE)}], read),
    "ultralytics": (samples.ultralytics_detections(PEOPLE), read),
    "openpose": (samples.openpose_frame(samples.people(skeleton=OPENPOSE_BODY_25)), read),
    "alphapose": (samples.alphapose_results(PEOPLE, "1.jpg"), read),
    "tensorflow.js": (tfjs_poses(), read),
    "mediapipe": (MP, read),
    "mediapipe, one person": ({"landmark": landmarks(0)}, read),
    "label studio": (label_studio(), read_ground_truth),
    "label studio, relations": (
        [
            {
                "data": {"image": "7.jpg"},
                "annotations": [{"result": [*label_studio()[0]["annotations"][1]["result"], RELATION]}],
            }
        ],
        read_ground_truth,
    ),
    "via": (via(), read_ground_truth),
    "via project": ({"_via_img_metadata": via()}, read_ground_truth),
    "mpii": ([MPII_PERSON] * 2, read_ground_truth),
    "ai challenger": ([AIC_PHOTO] * 2, read_ground_truth),
    "ochuman": (OCHUMAN, read_ground_truth),
    "poses3d": (None, read_poses3d),
    "errors": (None, lambda path: read_errors(path.with_name("results.json"))),
    "calibrator record": (None, lambda path: in_sample_notes(path.with_name("results.json"), "0" * 64)),
}


def valid(reader: str, folder: Path) -> tuple[Path, Any]:
    """The path that a reader reads, and a valid value of its JSON."""
    if reader == "poses3d":
        count = len(COCO_17)
        xyz = np.random.default_rng(0).normal(size=(3, count, 3))
        xyz[1, 4] = np.nan
        covariance = np.tile(np.eye(3), (3, count, 1, 1))
        poses = Poses3D(xyz, frame=np.arange(3), time=np.arange(3) / 30, covariance=covariance, skeleton=COCO_17)
        (path,) = write_poses3d(folder / "people.json", poses)
        return path, json.loads(path.read_bytes())
    results = folder / "results.json"
    results.write_text("[]")
    if reader == "errors":
        model = ErrorModel((0.5, 0.9), (("nose",),), ((0.5,),), (((0.1, 0.2), (0.3, 0.4)),), 5, 9)
        return errors_path(results), {
            "results": "results.json",
            "sha256": results_sha256(results),
            "errors": model.to_json(),
        }
    if reader == "calibrator record":
        file = {"file": "results.json", "sha256": results_sha256(results)}
        fitted = {"ground_truth": file | {"used": 3}, "results": file | {"used": 3}}
        record = {"results": file, "source": file, "calibrator": file | {"estimator": None}, "fitted": fitted}
        return folder / "results.json.calibrator.json", record | {"fitted_photos": 3}
    return folder / "7.json", READERS[reader][0]


def outcome(reader: str, path: Path, value: Any) -> str:
    """What reading a value gives: "read", or the message; anything but one line that names the file fails."""
    path.write_bytes(json.dumps(value).encode("utf-8", "surrogatepass"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            READERS[reader][1](path)
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error), error
        return str(error)
    return "read"


@pytest.mark.parametrize("reader", READERS)
def test_mutated_json_is_read_or_refused_in_one_line(reader: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path, value = valid(reader, tmp_path_factory.mktemp("json"))
    assert outcome(reader, path, value) == "read"

    @settings(max_examples=MUTATIONS, deadline=None, database=None)
    @given(st.integers(0, 2**32 - 1), st.booleans())
    def mutate(seed: int, are_numbers: bool) -> None:
        random = np.random.default_rng(seed)
        outcome(reader, path, with_other_numbers(value, random) if are_numbers else changed_value(value, random))

    mutate()
