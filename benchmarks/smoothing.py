"""What smoothing gains, by trust-aware noise and by constant noise, on clips with known truth and on real cameras.

    python benchmarks/smoothing.py [--photos N] [--frames N] [--split dev] [--models NAME …] [--draws N]

Tables, then one line of JSON with all of them:

  clips      a camera that pans, zooms and turns over photos of `dev`, with noise, blur, an object that passes, boxes
             that tremble and frames without detection. The labels move along, so the truth is known. The bundled model,
             and SimplePose with its shipped calibrator. Error of labelled keypoints in % of √(person's area) and mean
             OPKS, where the person was found and where not, with 95 % intervals from drawing clips; and the share of
             errors within the discs that keypoint_std says hold 50, 80 and 95 %. Then expected OPKS beside the true one
  cameras    Pose2Sim's balancing trial, four real cameras, the bundled model, tracked. Every third frame is left out
             and predicted by smoothing the others: distance to what the network finds in it. And each camera is left
             out and predicted from the other three, smoothed or not: distance to what the network finds in it
  speed      processor seconds for 10,000 frames of one person, and for 100 people in 100 frames

"median of 7": of 7 frames, gaps bridged by straight lines, as other tools filter. No network has seen these photos.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from moving_clips import HEIGHT, WIDTH, Clip, clips_of

import trustpose as tp
from trustpose.formats.cameras import read_cameras
from trustpose.formats.coco import read_truth
from trustpose.images import Images
from trustpose.multiview.triangulation import triangulate_points
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17
from trustpose.tracking import smooth, track

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SHARES = (0.5, 0.8, 0.95)
WINDOW = 7


@dataclass(frozen=True, eq=False)
class Method:
    """A way to smooth: what it returns for the poses found, the std (N, K) or None."""

    name: str
    run: Callable[[Poses, Images | None], tuple[Poses, np.ndarray | None]]


def ours(poses: Poses, images: Images | None, **how: object) -> tuple[Poses, np.ndarray | None]:
    done = smooth(poses, images, **how)
    return done.poses, done.std


def median_of_window(poses: Poses, images: Images | None) -> tuple[Poses, np.ndarray | None]:
    """Median over frames of each track, and straight lines in frames without it, which `smooth` lists."""
    frame = smooth(poses, images, noise="constant").poses  # only for the rows of lost frames
    xy = frame.xy.copy()
    found = np.arange(len(frame)) < len(poses)
    xy[: len(poses)] = poses.xy
    assert frame.track_id is not None and frame.image_id is not None
    for one in np.unique(frame.track_id):
        rows = np.flatnonzero(frame.track_id == one)
        rows = rows[np.argsort(frame.image_id[rows])]
        known = rows[found[rows]]
        half = WINDOW // 2
        padded = np.pad(xy[known], ((half, half), (0, 0), (0, 0)), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=0)
        smoothed = np.nanmedian(windows, axis=-1).reshape(len(known), -1)
        time, at = frame.image_id[rows], frame.image_id[known]
        columns = [np.interp(time, at, column) for column in smoothed.T]
        xy[rows] = np.stack(columns, axis=1).reshape(len(rows), -1, 2)
    return replace(frame, xy=xy), None


METHODS = (
    Method("as found", lambda poses, _: (poses, None)),
    Method(f"median of {WINDOW}", median_of_window),
    Method("constant noise, no gross errors", partial(ours, noise="constant", gross_errors=False)),
    Method("constant noise", partial(ours, noise="constant")),
    Method("trust, no gross errors", partial(ours, noise="trust", gross_errors=False)),
    Method("trust", partial(ours, noise="trust")),
    Method("trust, constant acceleration", partial(ours, noise="trust", motion="acceleration")),
)


def errors_of(clip: Clip, method: Method) -> dict[str, np.ndarray]:
    """Per labelled keypoint and frame: error in % of √area, OPKS, error / std, whether the person was lost there."""
    poses, std = method.run(clip.found, None)
    assert poses.track_id is not None and poses.image_id is not None
    person, frame = poses.track_id - 1, poses.image_id
    truth, area = clip.truth[person, frame], clip.area[person, frame]
    counted = clip.labelled[person] & (truth >= 0).all(axis=2) & (truth < [WIDTH, HEIGHT]).all(axis=2)
    distance = np.linalg.norm(poses.xy - truth, axis=2)
    opks = np.exp(-(distance**2) / (2 * area[:, None] * (2 * COCO_17.sigmas) ** 2))
    lost = np.broadcast_to(clip.lost[person, frame][:, None], counted.shape)
    ratio = distance / std if std is not None else np.full(distance.shape, np.nan)
    columns = {"error": 100 * distance / np.sqrt(area)[:, None], "opks": opks, "ratio": ratio, "lost": lost}
    return {name: column[counted] for name, column in columns.items()}


def mean_with_draws(clips: list[np.ndarray], counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean over keypoints, and its draws of clips."""
    sums, sizes = np.array([one.sum() for one in clips]), np.array([len(one) for one in clips])
    return float(sums.sum() / sizes.sum()), counts @ sums / (counts @ sizes)


def on_clips(model: str, clips: list[Clip], draws: int) -> dict[str, dict[str, object]]:
    generator = np.random.default_rng(0)
    rows = generator.integers(0, len(clips), (draws, len(clips)))
    counts = np.array([np.bincount(row, minlength=len(clips)) for row in rows])
    table: dict[str, dict[str, object]] = {}
    kept: dict[str, np.ndarray] = {}
    head = f"{'error, %':>18s}{'median':>8s}{'OPKS':>7s}{'lost: error':>20s}{'OPKS':>7s}  in 50/80/95 % discs"
    print(f"\n{f'clips, {model}':34s}{head}")
    for method in METHODS:
        each = [errors_of(clip, method) for clip in clips]
        row: dict[str, object] = {}
        for name, lost in (("found", False), ("lost", True)):
            chosen = [{key: column[one["lost"] == lost] for key, column in one.items()} for one in each]
            if not sum(len(one["error"]) for one in chosen):
                continue
            mean, drawn = mean_with_draws([one["error"] for one in chosen], counts)
            row[f"{name} error"] = [mean, *np.nanquantile(drawn, [0.025, 0.975]).tolist()]
            row[f"{name} median"] = float(np.median(np.concatenate([one["error"] for one in chosen])))
            row[f"{name} opks"] = mean_with_draws([one["opks"] for one in chosen], counts)[0]
            kept[f"{method.name} {name}"] = drawn
        ratio = np.concatenate([one["ratio"] for one in each])
        if np.isfinite(ratio).any():
            ratio = ratio[np.isfinite(ratio)]
            row["coverage"] = [float(np.mean(ratio <= np.sqrt(-2 * np.log(1 - share)))) for share in SHARES]
        table[method.name] = row
        print(f"{method.name:34s}" + shown(row))
    for name in ("found", "lost"):
        ratio = kept[f"trust {name}"] / kept[f"constant noise {name}"] - 1
        table["trust"][f"{name}: change from constant noise"] = np.nanquantile(ratio, [0.5, 0.025, 0.975]).tolist()
        middle, low, high = (100 * np.nanquantile(ratio, q) for q in (0.5, 0.025, 0.975))
        print(
            f"{name}: error of trust against constant noise {middle:+.1f} % ({low:+.1f} to {high:+.1f}), paired draws"
        )
    return table


def stated(clips: list[Clip]) -> dict[str, list[float]]:
    """Mean expected OPKS of labelled keypoints, and their true one: kept, replaced in frames with the person, lost."""
    parts: dict[str, list[np.ndarray]] = {"kept": [], "replaced": [], "lost": []}
    for clip in clips:
        done = smooth(clip.found)
        poses = done.poses
        assert poses.quality is not None and poses.visibility is not None
        person, frame = poses.track_id - 1, poses.image_id
        square = ((poses.xy - clip.truth[person, frame]) ** 2).sum(axis=2)
        true = np.exp(-square / (2 * clip.area[person, frame][:, None] * (2 * COCO_17.sigmas) ** 2))
        expected = np.clip(poses.quality / np.maximum(1 - poses.visibility[..., 0], 1e-9), 0, 1)
        lost = np.broadcast_to(clip.lost[person, frame][:, None], true.shape)
        for name, rows in (("kept", ~done.replaced), ("replaced", done.replaced & ~lost), ("lost", lost)):
            parts[name].append(np.stack([expected, true])[:, rows & clip.labelled[person]])
    found = {name: np.concatenate(part, axis=1).mean(axis=1).tolist() for name, part in parts.items()}
    print("expected OPKS, true: " + "; ".join(f"{name} {one:.3f}, {two:.3f}" for name, (one, two) in found.items()))
    return found


def shown(row: dict) -> str:
    def one(name: str) -> str:
        if f"{name} error" not in row:
            return f"{'–':>20s}{'–':>7s}"
        mean, low, high = row[f"{name} error"]
        middle, width = (f"{row['found median']:8.2f}", 18) if name == "found" else ("", 20)
        return f"{f'{mean:.2f} ({low:.2f}–{high:.2f})':>{width}s}{middle}{row[f'{name} opks']:7.3f}"

    covered = "  " + "/".join(f"{value:.2f}" for value in row["coverage"]) if "coverage" in row else ""
    return one("found") + one("lost") + covered


def balancing() -> tuple[list[Poses], object]:
    """The person whose trial it is, in each camera: of the tracks, the one with the largest boxes times frames."""
    folder, found = DATA / "multiview" / "pose2sim", []
    predictor = tp.load("default")
    for number in range(1, 5):
        with tempfile.TemporaryDirectory() as out:
            done = predictor.run([folder / "balancing" / "videos" / f"cam{number:02}.mp4"], out, drawings=None)
        every = Poses.concatenate([replace(one, photos=None) for one in done.poses.values()])
        poses = track(every)
        assert poses.track_id is not None and poses.box is not None
        area = np.prod(poses.box[:, 2:] - poses.box[:, :2], axis=1)
        best = max(np.unique(poses.track_id[poses.track_id > 0]), key=lambda one: area[poses.track_id == one].sum())
        found.append(poses[poses.track_id == best])
    return found, read_cameras(folder / "Calib.qca.txt")


def summary(errors: list[np.ndarray], weights: list[np.ndarray]) -> dict[str, float]:
    joined, weight = np.concatenate(errors), np.concatenate(weights)
    mean = float(np.average(joined, weights=weight))
    return {"median": float(np.median(joined)), "mean": float(joined.mean()), "mean, weighted by quality": mean}


def left_out_frames(views: list[Poses]) -> dict[str, dict[str, float]]:
    """Distance of every third frame's keypoints, as found, to what smoothing the other frames says, pixels."""
    table = {}
    for method in METHODS[1:]:
        errors, weights = [], []
        for poses in views:
            assert poses.image_id is not None and poses.quality is not None
            out = (
                (poses.image_id % 3 == 1)
                & (poses.image_id > poses.image_id.min())
                & (poses.image_id < poses.image_id.max())
            )
            done = method.run(poses[~out], Images(np.arange(100)))[0]
            assert done.image_id is not None
            row = {int(one): at for at, one in enumerate(done.image_id)}
            pairs = [(at, row[int(one)]) for at, one in enumerate(poses.image_id) if out[at] and int(one) in row]
            one, other = np.array(pairs).T
            errors.append(np.linalg.norm(poses.xy[one] - done.xy[other], axis=2).ravel())
            weights.append(poses.quality[one].ravel())
        table[method.name] = summary(errors, weights)
    return table


def left_out_views(views: list[Poses], cameras) -> dict[str, dict[str, float]]:
    """Distance of each camera's keypoints, as found, to what the other three say, pixels."""
    table, frames = {}, np.arange(100)
    plain = [of_frames(poses, frames) for poses in views]
    for method in METHODS:
        errors, weights = [], []
        smoothed = [of_frames(method.run(one, None)[0], frames) for one in views]
        xy, quality = (np.stack([one[i] for one in smoothed]) for i in (0, 1))
        for out in range(4):
            others = [one for one in range(4) if one != out]
            world = triangulate_points(xy[others], cameras[others], weight=quality[others], method="weighted")
            seen = cameras.project(world.xyz.reshape(-1, 3))[out].reshape(*world.xyz.shape[:2], 2)
            distance = np.linalg.norm(plain[out][0] - seen, axis=2)
            known = np.isfinite(distance)
            errors.append(distance[known])
            weights.append(plain[out][1][known])
        table[method.name] = summary(errors, weights)
    return table


def of_frames(poses: Poses, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (F, K, 2) and quality (F, K) by frame, NaN and 0 where there are none."""
    assert poses.image_id is not None and poses.quality is not None
    xy, quality = np.full((len(frames), 17, 2), np.nan), np.zeros((len(frames), 17))
    xy[poses.image_id], quality[poses.image_id] = poses.xy, poses.quality
    return xy, quality


def speed() -> dict[str, dict[str, float]]:
    """Processor seconds, of clips that wander."""
    generator, table = np.random.default_rng(0), {}
    for name, frames, people in (("10,000 frames", 10_000, 1), ("100 frames, 100 people", 100, 100)):
        rows = frames * people
        place = np.cumsum(generator.normal(size=(frames, people, 17, 2)), axis=0).reshape(rows, 17, 2) + 500
        box = np.concatenate([place.min(axis=1) - 50, place.max(axis=1) + 50], axis=1)
        quality = generator.uniform(0.3, 0.97, (rows, 17))
        ids = {"image_id": np.repeat(np.arange(frames), people), "track_id": np.tile(np.arange(people), frames)}
        started = time.process_time()
        smooth(Poses(place, score=quality, quality=quality, box=box, skeleton=COCO_17, **ids))
        table[name] = {"seconds": time.process_time() - started, "poses/s": rows / (time.process_time() - started)}
    return table


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    print(f"\n{title:34s}" + "".join(f"{name:>28s}" for name in next(iter(table.values()))))
    for name, row in table.items():
        print(f"{name:34s}" + "".join(f"{value:28.2f}" for value in row.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--frames", type=int, default=45)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--models", nargs="*", default=["default", "simplepose"])
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    truth, printed = read_truth(DATA / "coco" / f"{arguments.split}_gt.json"), {}
    for model in arguments.models:
        clips = clips_of(model, truth, DATA / "coco" / arguments.split, arguments.photos, arguments.frames)
        printed[model] = on_clips(model, clips, arguments.draws) | {"expected OPKS, true": stated(clips)}
    views, cameras = balancing()
    printed["left out frames"] = left_out_frames(views)
    show("frames left out, pixels", printed["left out frames"])
    printed["left out views"] = left_out_views(views, cameras)
    show("views left out, pixels", printed["left out views"])
    printed["speed"] = speed()
    show("speed", printed["speed"])
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
