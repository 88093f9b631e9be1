"""What was tried for camera calibration and is no option, on Pose2Sim's four cameras, and why.

python benchmarks/camera_trials.py [--part weights|shifts] [--results CAM01 CAM02 CAM03 CAM04]

Weights: other weights of keypoints than trust, of `--results`, the four videos' results of the default model. Shifts:
the balancing trial's clips shifted one after the other for the smallest reprojection error.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from cameras import off_by, openpose, reference, run_parts, unplaced

from trustpose.geometry.cameras import Cameras
from trustpose.geometry.expected_error import expected_error
from trustpose.multiview.extrinsics import place_by_people
from trustpose.multiview.frames import gather_rows, match_frames, positions_of, weights_of
from trustpose.multiview.people import group_people
from trustpose.multiview.recordings import read_views
from trustpose.multiview.triangulation import triangulate_points
from trustpose.poses import Poses


def people_of(views: Sequence[Poses], cameras: Cameras, weight: str) -> tuple[np.ndarray, np.ndarray, Cameras]:
    """Return the places (V, N, K, 2) and the precision (V, N, K) of the person at successive moments, and the cameras
    placed by them."""
    moments = match_frames(views)
    placed = place_by_people(views, unplaced(cameras), moments, weight).cameras
    weights = [weights_of(view, weight, v) for v, view in enumerate(views)]
    group = group_people(views, placed, moments, weights)
    first = np.flatnonzero(group.track_id == np.bincount(group.track_id).argmax())
    rows = group.rows[first[np.argsort(group.moment[first])]]
    xy, trust = (gather_rows(parts, rows) for parts in ([positions_of(view) for view in views], weights))
    return xy, np.nan_to_num(trust) ** 2, placed


def _later(xy: np.ndarray, frames: float) -> np.ndarray:
    """Return places (N, K, 2) at moments `frames` later, between two by a straight line, NaN beyond the clip."""
    moment = np.arange(len(xy)) + frames
    low = np.floor(moment).astype(int)
    part = (moment - low)[:, None, None]
    inside = ((low >= 0) & (low + (part[:, 0, 0] > 0) < len(xy)))[:, None, None]
    first, second = xy[low.clip(0, len(xy) - 1)], xy[(low + 1).clip(0, len(xy) - 1)]
    return np.where(inside, first + np.where(part > 0, part * (second - first), 0), np.nan)


def weights(results: list[Path]) -> dict[str, list]:
    """Worst rotation and place by other weights; the bundle adjustment takes the square of `quality`."""
    if not results:
        return {}
    cameras, views, rows = reference(), read_views(results)[0], {}
    names = views[0].skeleton.keypoints

    def without(joints: tuple[str, ...]) -> Callable[[Poses], np.ndarray]:
        is_read = np.array([not any(part in name for part in joints) for name in names])
        return lambda view: view.quality * is_read

    ways: dict[str, Callable[[Poses], np.ndarray]] = {
        "trust squared, as it is": lambda view: view.quality,
        "1 / expected variance": lambda view: 1 / np.maximum(expected_error(view).total_std, 1e-6),
        "trust itself": lambda view: np.sqrt(view.quality),
        "its fourth power": lambda view: view.quality**2,
        "without the face": without(("nose", "eye", "ear")),
        "without face and hips": without(("nose", "eye", "ear", "hip")),
    }
    for label, way in ways.items():
        changed = [replace(view, quality=way(view)) for view in views]
        try:
            placed = place_by_people(changed, unplaced(cameras), match_frames(changed), "trust")
        except ValueError as error:
            print(f"{label}: not placed: {error}", flush=True)
            continue
        angles, positions = off_by(placed.cameras, cameras)
        print(f"{label}: rotation at most {max(angles):.2f}°, places {max(positions):.1%}", flush=True)
        rows[label] = [max(angles), max(positions)]
    return rows


def shifts() -> dict[str, list[float]]:
    """The shift of each clip against the first with the smallest median reprojection error, by halves of a frame, one
    clip after the other until none moves."""
    cameras = reference()
    xy, precision, _ = people_of(openpose(), cameras, "scores")
    shift, tried = np.zeros(len(xy)), np.arange(-10, 10.5, 0.5)

    def error(shift: np.ndarray) -> float:
        moved = np.stack([_later(view, frames) for view, frames in zip(xy, shift, strict=True)])
        return float(np.nanmedian(triangulate_points(moved, cameras, weight=precision, method="weighted").error))

    for _ in range(4):
        before = shift.copy()
        for view in range(1, len(shift)):
            costs = [error(np.where(np.arange(len(shift)) == view, frames, shift)) for frames in tried]
            shift[view] = tried[int(np.argmin(costs))]
        if (shift == before).all():
            break
    offset = (-shift + 0.0).tolist()
    print(f"the clips as they are, by the smallest reprojection error: offsets in frames {offset}")
    return {"offset": offset}


if __name__ == "__main__":
    run_parts(__doc__, {"shifts": shifts}, {"weights": weights})
