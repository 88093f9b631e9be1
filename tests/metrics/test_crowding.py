"""The crowd index against CrowdPose's own file, and the counts of joints in boxes against a plain loop."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from trustpose.metrics.crowding import crowd_index, interference
from trustpose.poses import Truth

FILE = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[3] / "shared" / "data"), "crowdpose")


@pytest.fixture(scope="module")
def crowdpose() -> tuple[Truth, np.ndarray, np.ndarray]:
    """All of CrowdPose's validation people, the ids of its photos, and their index as published."""
    path = FILE / "crowdpose_val.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    file = json.loads(path.read_text())
    people = file["annotations"]
    joints = np.array([person["keypoints"] for person in people], dtype=float).reshape(len(people), -1, 3)
    box = np.array([person["bbox"] for person in people])
    box[:, 2:] += box[:, :2]
    image_id = np.array([person["image_id"] for person in people])
    truth = Truth(xy=joints[..., :2], v=joints[..., 2].astype(int), box=box, image_id=image_id)
    ids, index = zip(*((image["id"], image["crowdIndex"]) for image in file["images"]), strict=True)
    return truth, np.array(ids), np.array(index)


def test_as_published(crowdpose):
    """Published with two decimals. Where they differ the file lacks labels that the index was computed from: of photos
    on which somebody has no labelled joint most do."""
    truth, ids, published = crowdpose
    ours = crowd_index(truth, ids)
    equal = np.abs(ours - published) <= 0.0101
    unlabelled = np.unique(truth.image_id[~(truth.v > 0).any(axis=1)])
    complete = ~np.isin(ids, unlabelled)
    assert equal[complete].mean() > 0.84 and equal.mean() > 0.75
    assert published.max() > 1  # not limited to 1


def test_as_a_plain_loop(crowdpose):
    truth = crowdpose[0]
    truth = truth[np.flatnonzero(np.isin(truth.image_id, crowdpose[1][:40]))]
    interferences = interference(truth)
    for row in range(len(truth)):
        x0, y0, x1, y1 = truth.box[row]
        for k in range(truth.v.shape[1]):
            count = 0
            for index in range(len(truth)):
                x, y = truth.xy[index, k]
                same = truth.image_id[index] == truth.image_id[row] and index != row
                count += bool(same and truth.v[index, k] and x0 <= x <= x1 and y0 <= y <= y1)
            assert interferences.other_joints[row, k] == count
    assert interferences.other_joints.sum() > 100


def test_two_people():
    """Each with two joints; the second's first joint is in the first's box, on its edge."""
    xy = np.array([[[1.0, 1], [2, 2]], [[4, 4], [9, 9]], [[50, 50], [0, 0]]])
    v, box = np.array([[2, 1], [2, 2], [2, 0]]), np.array([[0.0, 0, 4, 4], [3, 3, 10, 10], [40, 40, 60, 60]])
    truth = Truth(xy=xy, v=v, box=box, image_id=np.array([7, 7, 8]))
    interferences = interference(truth)
    assert interferences.other_joints.tolist() == [[1, 0], [0, 0], [0, 0]] and interferences.ratio.tolist() == [
        0.5,
        0,
        0,
    ]
    assert interferences.occupied.tolist() == [pytest.approx(1 / 3), 0] and interferences.share == pytest.approx(1 / 6)
    assert crowd_index(truth, np.array([8, 7, 9])).tolist() == [0, 0.25, 0]
    with pytest.raises(ValueError, match="needed"):
        interference(Truth(xy=xy, v=v, image_id=np.array([7, 7, 8])))
    nobody = interference(truth[np.zeros(0, int)])
    assert np.isnan(nobody.share) and np.isnan(nobody.occupied).all() and len(nobody.ratio) == 0
