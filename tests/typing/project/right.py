"""Uses of the public names: a type checker knows the type of each result and finds nothing to complain of."""

from pathlib import Path
from typing import assert_type

import numpy as np

import trustpose as tp

predictor = tp.load("default", flip=True)
poses = predictor("photo.jpg")
assert_type(poses, tp.Poses)
assert_type(poses[:2], tp.Poses)
assert_type(poses.keypoint_count, int)
assert_type(tp.Poses.load("results.json"), tp.Poses)
assert_type(tp.read_poses(Path("results.json"), skeleton="coco17"), tp.Poses)
poses.save("results.csv", tidy=True)
poses.show("photo.jpg", style="people")

done = tp.run("photos/", "out/", flip=True, track=True)
assert_type(done.people, int)
assert_type(done.poses, dict[int, tp.Poses])

truth = tp.read_truth("gt.json", category="person")
assert_type(truth, tp.Truth)
assert_type(truth.images, tp.Images | None)
assert_type(tp.SKELETONS, dict[str, tp.Skeleton])
visibility: tp.Visibility = tp.Visibility.OCCLUDED

audit = tp.audit("gt.json", "results.json", area="segment")
if isinstance(audit, tp.Audit):
    assert_type(audit.pose.pearson, float | None)
differences = tp.compare(audit, audit)
assert_type(differences[0].difference, float)

calibrator = tp.Calibrator.fit("gt.json", poses, method="trees")
assert_type(calibrator, tp.Calibrator)
assert_type(calibrator("new.json"), tp.Poses)

tracked = tp.track(poses, "gt.json", memory=10)
assert_type(tracked, tp.Poses)
assert_type(tp.smooth(tracked, noise="constant").poses, tp.Poses)
cameras = tp.read_cameras("cameras.toml", unit="mm")
assert_type(cameras, tp.Cameras)
assert_type(tp.triangulate([poses, "right.json"], cameras), tp.Poses3D)
picture = tp.draw(poses, np.zeros((480, 640, 3), np.uint8), min_score=0.2)


def train(recipe: tp.Recipe) -> dict[str, float]:
    """Train, or say in one line what was wrong with the input."""
    try:
        return tp.train(recipe, "coco/", "model/", changes={"train.lr": 1e-4})
    except tp.InputError as error:
        raise SystemExit(str(error)) from None
