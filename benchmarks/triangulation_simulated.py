"""The effect of calibrated trust in millimetres: real 3D poses, real cameras, real errors of a real estimator.

    python benchmarks/triangulation_simulated.py [--network simplepose] [--draws 40]

The people of CMU Panoptic (20 frames of two sequences, three people each) are projected into its HD cameras. Every
keypoint in every view then gets the error of a keypoint of the same kind that the network made on COCO (`train`, people
of 96² pixels or more), scaled with the person's size in the image, with the score that the network printed for it and
the trust of a calibrator that was fitted without its photo: so misses, swaps and overconfidence are the network's own.
Keypoints that nobody labelled are left out, since their error is unknown; so are those outside the image.

For 2 to 8 cameras, drawn anew each time, MPJPE in millimetres of all joints that two cameras or more see, and the gain
of trust against scores with its 95 % interval, from drawing people. Below, for four cameras: how many of the true
joints the covariance's 50, 80 and 95 % ellipsoids hold, by robust. The last line is JSON.
"""

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2

from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.formats.cameras import read_cameras
from trustpose.formats.coco import read_results, read_truth
from trustpose.geometry.cameras import Cameras
from trustpose.geometry.expected_error import AREA_OF_BOX, error_of
from trustpose.metrics.pairing import pair_with_people
from trustpose.multiview.triangulation import triangulate_points
from trustpose.poses import ExpectedError
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
PANOPTIC = DATA / "layouts" / "panoptic_body3d"
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


def pools(network: str) -> list[Pool]:
    """The labelled keypoints of each of COCO's kinds, with trust from calibrators that did not see their photo."""
    truth = read_truth(DATA / "coco" / "train_gt.json")
    results = read_results(DATA / "results" / f"{network}.train.json", truth=truth)
    poses = fit(truth, results, FitOptions(draws=10)).out_of_fold
    person = pair_with_people(poses, truth.truth)
    poses, person = poses[person >= 0], person[person >= 0]
    people = truth.truth
    box = people.box[person]
    area = AREA_OF_BOX * np.prod(box[:, 2:] - box[:, :2], axis=1)
    error = (poses.xy - people.xy[person]) / np.sqrt(area)[:, None, None]
    known = (people.v[person] > 0) & (area >= LARGE)[:, None]
    assert poses.score is not None and poses.quality is not None and poses.visibility is not None
    labelled = 1 - poses.visibility[..., 0]
    return [
        Pool(error[at, k], poses.score[at, k], poses.quality[at, k], labelled[at, k])
        for k in range(17)
        for at in [known[:, k]]
    ]


def people() -> list[tuple[Cameras, np.ndarray]]:
    """Each sequence's HD cameras, and its people (P, 17, 3) in metres; NaN for a joint without a place."""
    found = []
    for folder in sorted(PANOPTIC.iterdir()):
        file = next(folder.glob("calibration_*.json"))
        names = [one["name"] for one in json.loads(file.read_text())["cameras"] if one["type"] == "hd"]
        rows = []
        for frame in sorted((folder / "hdPose3d_stage1_coco19").glob("*.json")):
            for body in json.loads(frame.read_text())["bodies"]:
                joints = np.array(body["joints19"]).reshape(19, 4)[list(ORDER)]
                rows.append(np.where(joints[:, 3:] > 0, joints[:, :3] / 100, np.nan))
        found.append((read_cameras(file)[names], np.array(rows)))
    return found


def seen(xyz: np.ndarray, cameras: Cameras, pool: list[Pool], rng: np.random.Generator) -> dict[str, Any]:
    """What the cameras see, (V, N, K), and the network's scores and its calibrator's trust."""
    true = cameras.project(xyz)
    size = np.array([camera.size for camera in cameras])[:, None, None]
    inside = ((true >= 0) & (true < size)).all(axis=-1)
    low, high = np.nanmin(true, axis=2), np.nanmax(true, axis=2)
    area = AREA_OF_BOX * np.prod(high - low, axis=-1)  # (V, N)
    xy, score, quality, labelled = true.copy(), *np.zeros((3, *true.shape[:3]))
    for k, one in enumerate(pool):
        drawn = rng.integers(0, len(one.score), true.shape[:2])
        xy[:, :, k] += one.error[drawn] * np.sqrt(area)[..., None]
        score[:, :, k], quality[:, :, k], labelled[:, :, k] = one.score[drawn], one.quality[drawn], one.labelled[drawn]
    xy[~inside] = np.nan
    error = error_of(quality / np.maximum(labelled, 1e-9), COCO_17.sigmas, area)
    return {"xy": xy, "scores": np.maximum(score, 0), "trust": quality, "errors": error}


def solved(views: dict[str, Any], cameras: Cameras, kept: np.ndarray, row: tuple[str, str, str, Any]) -> Any:
    _, method, weight, loss = row
    known: dict[str, Any] = {"weight": views[weight][kept]} if weight in views else {}
    if weight in ("trust", "variance"):
        error = views["errors"]
        known["deviation"] = ExpectedError(error.std[kept], error.gross[kept], error.gross_std[kept])
    return triangulate_points(views["xy"][kept], cameras[kept.tolist()], method=method, loss=loss, **known)


def by_person(views: dict[str, Any], xyz: np.ndarray, cameras: Cameras, kept: np.ndarray) -> dict[str, np.ndarray]:
    """MPJPE of each person (P,) in millimetres, by method, over joints that all methods place."""
    places = np.stack([solved(views, cameras, kept, row).xyz for row in ROWS])
    apart = 1000 * np.linalg.norm(places - xyz, axis=-1)  # (rows, P, K)
    common = np.isfinite(apart).all(axis=0)
    apart = np.where(common, apart, np.nan)
    with np.errstate(invalid="ignore"):
        return {row[0]: np.nansum(one, axis=1) / common.sum(axis=1) for row, one in zip(ROWS, apart, strict=True)}


def interval(difference: np.ndarray, draws: int = 2000) -> tuple[float, float, float]:
    """Mean and 95 % interval of differences (people, draws), drawing people."""
    each = np.nanmean(difference, axis=1)
    each = each[np.isfinite(each)]
    drawn = np.random.default_rng(0).integers(0, len(each), (draws, len(each)))
    low, high = np.quantile(each[drawn].mean(axis=1), (0.025, 0.975))
    return float(each.mean()), float(low), float(high)


def coverage(views: dict[str, Any], xyz: np.ndarray, cameras: Cameras, kept: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distance of the true joints, by robust with trust."""
    found = solved(views, cameras, kept, next(row for row in ROWS if row[0] == "robust, trust"))
    assert found.covariance is not None
    off = found.xyz - xyz
    known = np.isfinite(off).all(axis=2) & np.isfinite(found.covariance).all(axis=(2, 3))
    return np.einsum("ni,nij,nj->n", off[known], np.linalg.inv(found.covariance[known]), off[known])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="simplepose")
    parser.add_argument("--draws", type=int, default=40)
    arguments = parser.parse_args()
    rng, pool = np.random.default_rng(0), pools(arguments.network)
    errors: dict[int, dict[str, list[np.ndarray]]] = {count: {row[0]: [] for row in ROWS} for count in COUNTS}
    distances: list[np.ndarray] = []
    scenes = people()
    for _ in range(arguments.draws):
        for count in COUNTS:
            parts: list[dict[str, np.ndarray]] = []
            for cameras, xyz in scenes:
                views = seen(xyz, cameras, pool, rng)
                kept = rng.permutation(len(cameras))[:count]
                parts.append(by_person(views, xyz, cameras, kept))
                if count == 4:
                    distances.append(coverage(views, xyz, cameras, kept))
            for row in ROWS:
                errors[count][row[0]].append(np.concatenate([part[row[0]] for part in parts]))
    print(f"{arguments.network}: MPJPE, mm{'':9}" + "".join(f"{count:>9}" for count in COUNTS) + "  cameras")
    found: dict[str, Any] = {"network": arguments.network, "mpjpe": {}, "gain": {}}
    for row in ROWS:
        line = [float(np.nanmean(errors[count][row[0]])) for count in COUNTS]
        found["mpjpe"][row[0]] = dict(zip(map(str, COUNTS), line, strict=True))
        print(f"{row[0]:30}" + "".join(f"{one:9.1f}" for one in line))
    print("\nGain of trust, mm, 95 % interval")
    for one, other in PAIRS:
        cells = []
        for count in COUNTS:
            gain = np.stack(errors[count][other], axis=1) - np.stack(errors[count][one], axis=1)
            cells.append(interval(gain))
        found["gain"][one] = dict(zip(map(str, COUNTS), cells, strict=True))
        print(f"{one:18}" + "".join(f"{mean:7.1f} [{low:.1f}, {high:.1f}]" for mean, low, high in cells))
    squared = np.concatenate(distances)
    held = {f"{level:.0%}": float((squared <= chi2(3).ppf(level)).mean()) for level in (0.5, 0.8, 0.95)}
    found["coverage"] = held
    print("\nEllipsoids hold " + ", ".join(f"{share:.1%} for {level}" for level, share in held.items()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
