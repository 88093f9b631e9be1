"""COCO's labels as arrays: positions in pixels, and files that are something else."""

import numpy as np
import pytest

from trustpose.datasets.label_arrays import read_label_arrays
from trustpose.files import InputError


def _arrays() -> dict[str, np.ndarray]:
    keypoints = np.zeros((3, 17, 3), np.float32)
    keypoints[:, 4] = [0.5, 0.25, 2]
    keypoints[2, 5] = [0.1, 0.2, 1]
    return {
        "image_id": np.array([7, 7, 9], np.int32),
        "bbox_cxcywh_norm": np.array([[0.5, 0.5, 0.2, 0.4]] * 3, np.float32),
        "kpts_norm": keypoints,
        "wh": np.array([[200, 100], [200, 100], [0, 0]], np.int16),
    }


def test_people_in_pixels(tmp_path):
    np.savez(tmp_path / "labels.npz", **_arrays())
    file = read_label_arrays(tmp_path / "labels.npz")
    truth = file.truth
    assert truth.xy[:, 4].tolist() == [[100, 25], [100, 25], [320, 120]]
    assert truth.v.sum(axis=1).tolist() == [2, 2, 3] and truth.num_keypoints.tolist() == [1, 1, 2]
    assert np.allclose(truth.box, [[80, 30, 120, 70], [80, 30, 120, 70], [256, 144, 384, 336]], atol=1e-4)
    assert np.allclose(truth.area, [0.53 * 1600] * 2 + [0.53 * 128 * 192], rtol=1e-6)
    assert file.images.id.tolist() == [7, 9] and file.images.width.tolist() == [200, 640]
    assert "1 people are on photos of unknown size" in file.notes[0]


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("kpts_norm", np.zeros((3, 16, 3)), "array 'kpts_norm': expected"),
        ("wh", np.zeros((2, 2)), "array 'wh': expected"),
        ("bbox_cxcywh_norm", np.full((3, 4), np.nan), "expected finite numbers"),
        ("image_id", np.zeros(0), "array 'image_id': expected"),
        ("kpts_norm", np.full((3, 17, 3), 5.0), r"Truth\.v: expected 0"),
    ],
)
def test_other_arrays_are_refused(tmp_path, name, array, message):
    np.savez(tmp_path / "labels.npz", **(_arrays() | {name: array}))
    with pytest.raises(InputError, match=message):
        read_label_arrays(tmp_path / "labels.npz")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "labels.npz").write_text("{}")
    with pytest.raises(InputError, match="is not an NPZ file of COCO's keypoint labels"):
        read_label_arrays(tmp_path / "labels.npz")
