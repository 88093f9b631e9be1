"""The effect of calibrated trust in millimetres: real 3D poses, real cameras, real errors of a real estimator.

    python benchmarks/triangulation_simulated.py [--network simplepose] [--draws 40]

The people of CMU Panoptic (20 frames of two sequences, three people each) are projected into its HD cameras. Every
keypoint in every view then gets the error of a keypoint of the same kind that the network made on COCO (`train`, people
of 96² pixels or more), scaled with the person's size in the image, with the score that the network printed for it and
the trust of a calibrator that was fitted without its photo: so misses, swaps and overconfidence are the network's own.
Keypoints that nobody labelled are left out, since their error is unknown; so are those outside the image.

For 2 to 8 cameras, drawn anew each time, MPJPE in millimetres of all joints that two cameras or more see, and the gain
of trust against scores with its 95 % interval, from drawing people. Below, how many of the true joints the
covariance's 50, 80 and 95 % ellipsoids hold, by robust with trust.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from coco_photos import ground_truth
from harness import Estimate, parser, run, table
from triangulation import DRAWS, held, triangulated

from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.geometry.cameras import Cameras
from trustpose.geometry.expected_error import AREA_OF_BOX, error_of
from trustpose.io.cameras import read_cameras
from trustpose.io.coco.results import read_results
from trustpose.metrics.matching import pair_with_people
from trustpose.skeletons import COCO_17

ORDER = (1, 15, 17, 16, 18, 3, 9, 4, 10, 5, 11, 6, 12, 7, 13, 8, 14)  # COCO's joints among Panoptic's 19
LARGE = 96.0**2
COUNTS = (2, 3, 4, 5, 6, 8)
ROWS: tuple[tuple[str, str, str, Any], ...] = (  # name, method, weight, loss
    ("linear", "linear", "none", "student-t"),
    ("weighted, scores", "weighted", "scores", "student-t"),
    ("weighted, trust", "weighted", "trust", "student-t"),
    ("weighted, 1/variance", "weighted", "variance", "student-t"),
    ("ransac", "ransac", "none", "student-t"),
    ("ransac, scores", "ransac", "scores", "student-t"),
    ("ransac, trust", "ransac", "trust", "student-t"),
    ("robust", "robust", "none", "student-t"),
    ("robust, scores", "robust", "scores", "student-t"),
    ("robust, trust", "robust", "trust", "student-t"),
    ("robust, trust, mixture", "robust", "trust", "mixture"),
)
PAIRS = (
    ("weighted, trust", "weighted, scores"),
    ("ransac, trust", "ransac, scores"),
    ("robust, trust", "robust, scores"),
)


@dataclass(frozen=True)
class Pool:
    """Keypoints of one kind: error in units of √area (n, 2), printed score, quality, P(labelled), all (n,)."""

    error: np.ndarray
    score: np.ndarray
    quality: np.ndarray
    labelled: np.ndarray


def pools(data: Path, network: str) -> list[Pool]:
    """The labelled keypoints of each of COCO's kinds, with trust from calibrators that did not see their photo."""
    truth = ground_truth(data, "train")
    results = read_results(data / "results" / f"{network}.train.json", truth=truth)
    poses = fit(truth, results, FitOptions(draws=10)).out_of_fold
    person = pair_with_people(poses, truth.truth)
    poses, person = poses[person >= 0], person[person >= 0]
    people = truth.truth
    box = people.box[person]
    area = AREA_OF_BOX * np.prod(box[:, 2:] - box[:, :2], axis=1)
    error = (poses.xy - people.xy[person]) / np.sqrt(area)[:, None, None]
    is_counted = (people.v[person] > 0) & (area >= LARGE)[:, None]
    labelled = 1 - poses.visibility[..., 0]
    return [
        Pool(error[rows, k], poses.score[rows, k], poses.quality[rows, k], labelled[rows, k])
        for k, rows in enumerate(is_counted.T)
    ]


def people_of(folder: Path) -> list[tuple[Cameras, np.ndarray]]:
    """Each sequence's HD cameras, and its people (P, 17, 3) in metres; NaN for a joint without a place."""
    scenes = []
    for sequence in sorted(folder.iterdir()):
        file = next(sequence.glob("calibration_*.json"))
        names = [camera["name"] for camera in json.loads(file.read_text())["cameras"] if camera["type"] == "hd"]
        rows = []
        for frame in sorted((sequence / "hdPose3d_stage1_coco19").glob("*.json")):
            for body in json.loads(frame.read_text())["bodies"]:
                joints = np.array(body["joints19"]).reshape(19, 4)[list(ORDER)]
                rows.append(np.where(joints[:, 3:] > 0, joints[:, :3] / 100, np.nan))
        scenes.append((read_cameras(file)[names], np.array(rows)))
    return scenes


def seen(xyz: np.ndarray, cameras: Cameras, pool: list[Pool], rng: np.random.Generator) -> dict[str, Any]:
    """What the cameras see, (V, N, K), and the network's scores and its calibrator's trust."""
    true = cameras.project(xyz)
    size = np.array([camera.size for camera in cameras])[:, None, None]
    inside = ((true >= 0) & (true < size)).all(axis=-1)
    low, high = np.nanmin(true, axis=2), np.nanmax(true, axis=2)
    area = AREA_OF_BOX * np.prod(high - low, axis=-1)  # (V, N)
    xy, score, quality, labelled = true.copy(), *np.zeros((3, *true.shape[:3]))
    for k, kind in enumerate(pool):
        drawn = rng.integers(0, len(kind.score), true.shape[:2])
        xy[:, :, k] += kind.error[drawn] * np.sqrt(area)[..., None]
        score[:, :, k], quality[:, :, k], labelled[:, :, k] = (
            kind.score[drawn],
            kind.quality[drawn],
            kind.labelled[drawn],
        )
    xy[~inside] = np.nan
    error = error_of(quality / np.maximum(labelled, 1e-9), COCO_17.sigmas, area)
    return {"xy": xy, "scores": np.maximum(score, 0), "trust": quality, "errors": error}


def solve(views: dict[str, Any], cameras: Cameras, chosen: list[int], row: tuple[str, str, str, Any]) -> Any:
    """The joints from some of the cameras, by a row of the table."""
    _, method, weight, loss = row
    return triangulated(views, cameras, method, weight, chosen, loss=loss)


def by_person(views: dict[str, Any], xyz: np.ndarray, cameras: Cameras, chosen: list[int]) -> dict[str, np.ndarray]:
    """MPJPE of each person (P,) in millimetres, by method, over joints that all methods place."""
    positions = np.stack([solve(views, cameras, chosen, row).xyz for row in ROWS])
    distance = 1000 * np.linalg.norm(positions - xyz, axis=-1)  # (rows, P, K)
    common = np.isfinite(distance).all(axis=0)
    distance = np.where(common, distance, np.nan)
    with np.errstate(invalid="ignore"):
        means = np.nansum(distance, axis=2) / common.sum(axis=1)
    return {row[0]: mean for row, mean in zip(ROWS, means, strict=True)}


def coverage(views: dict[str, Any], xyz: np.ndarray, cameras: Cameras, chosen: list[int]) -> np.ndarray:
    """Squared Mahalanobis distance of the true joints, by robust with trust."""
    world = solve(views, cameras, chosen, next(row for row in ROWS if row[0] == "robust, trust"))
    off = world.xyz - xyz
    is_finite = np.isfinite(off).all(axis=2) & np.isfinite(world.covariance).all(axis=(2, 3))
    return np.einsum("ni,nij,nj->n", off[is_finite], np.linalg.inv(world.covariance[is_finite]), off[is_finite])


def main(options):
    rng, pool = np.random.default_rng(0), pools(options.data, options.network)
    errors: dict[int, dict[str, list[np.ndarray]]] = {count: {row[0]: [] for row in ROWS} for count in COUNTS}
    distances: dict[int, list[np.ndarray]] = {count: [] for count in COUNTS}
    scenes = people_of(options.data / "layouts" / "panoptic_body3d")
    for _ in range(options.draws):
        for count in COUNTS:
            parts: list[dict[str, np.ndarray]] = []
            for cameras, xyz in scenes:
                views = seen(xyz, cameras, pool, rng)
                chosen = rng.permutation(len(cameras))[:count].tolist()
                parts.append(by_person(views, xyz, cameras, chosen))
                distances[count].append(coverage(views, xyz, cameras, chosen))
            for row in ROWS:
                errors[count][row[0]].append(np.concatenate([part[row[0]] for part in parts]))
    means = {row[0]: {str(n): float(np.nanmean(errors[n][row[0]])) for n in COUNTS} for row in ROWS}
    table(f"{options.network}: MPJPE in mm, by cameras", means, ".1f")
    gains = {}
    for better, base in PAIRS:
        differences = {n: np.stack(errors[n][base], axis=1) - np.stack(errors[n][better], axis=1) for n in COUNTS}
        means_of_people = {str(n): np.nanmean(difference, axis=1) for n, difference in differences.items()}
        gains[better] = {n: Estimate.mean(v[np.isfinite(v)], DRAWS).interval for n, v in means_of_people.items()}
    table("gain of trust in mm", gains, ".1f")
    shares = {str(count): held(np.concatenate(squared)) for count, squared in distances.items()}
    table("cameras: ellipsoids hold", shares)
    return {"network": options.network, "mpjpe": means, "gain": gains, "coverage": shares}


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    options_parser.add_argument("--network", default="simplepose", help="results of the data folder: their errors")
    options_parser.add_argument("--draws", type=int, default=40, help="of cameras and errors")
    run(main, options_parser)
