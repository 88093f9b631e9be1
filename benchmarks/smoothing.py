"""What smoothing gains, by trust-aware noise and by constant noise, on clips with known truth and on real cameras.

    python benchmarks/smoothing.py [--photos N] [--frames N] [--split dev] [--models NAME …]

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

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from coco_photos import ground_truth
from harness import Estimate, cell, parser, percent, run, table, timed
from moving_clips import HEIGHT, WIDTH, Clip, clips_of

import trustpose as tp
from trustpose.geometry.expected_error import quality_if_labelled
from trustpose.geometry.oks import opks
from trustpose.images import Images
from trustpose.io.cameras import read_cameras
from trustpose.metrics.bootstrap import resample_counts
from trustpose.multiview.triangulation import triangulate_points
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17
from trustpose.tracking import smooth, track

SHARES = (0.5, 0.8, 0.95)
WINDOW = 7
Method = Callable[[Poses, Images | None], tuple[Poses, np.ndarray | None]]  # smoothed, and the std (N, K) or None


def ours(poses: Poses, images: Images | None, **options: object) -> tuple[Poses, np.ndarray | None]:
    smoothed = smooth(poses, images, **options)
    return smoothed.poses, smoothed.std


def median_of_window(poses: Poses, images: Images | None) -> tuple[Poses, np.ndarray | None]:
    """Median over frames of each track, and straight lines in frames without it, which `smooth` lists."""
    frame = smooth(poses, images, noise="constant").poses  # only for the rows of lost frames
    xy = frame.xy.copy()
    xy[: len(poses)] = poses.xy
    half = WINDOW // 2
    for track_id in np.unique(frame.track_id):
        rows = np.flatnonzero(frame.track_id == track_id)
        rows = rows[np.argsort(frame.image_id[rows])]
        detected = rows[rows < len(poses)]
        padded = np.pad(xy[detected], ((half, half), (0, 0), (0, 0)), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=0)
        smoothed = np.nanmedian(windows, axis=-1).reshape(len(detected), -1)
        columns = [np.interp(frame.image_id[rows], frame.image_id[detected], column) for column in smoothed.T]
        xy[rows] = np.stack(columns, axis=1).reshape(len(rows), -1, 2)
    return replace(frame, xy=xy), None


AS_FOUND = "as found"
METHODS: dict[str, Method] = {
    AS_FOUND: lambda poses, _: (poses, None),
    f"median of {WINDOW}": median_of_window,
    "constant noise, no gross errors": partial(ours, noise="constant", gross_errors=False),
    "constant noise": partial(ours, noise="constant"),
    "trust, no gross errors": partial(ours, noise="trust", gross_errors=False),
    "trust": partial(ours, noise="trust"),
    "trust, constant acceleration": partial(ours, noise="trust", motion="acceleration"),
}


def errors_of(clip: Clip, method: Method) -> dict[str, np.ndarray]:
    """Per labelled keypoint and frame: error in % of √area, OPKS, error / std, whether the person was lost there."""
    poses, std = method(clip.poses, None)
    person, frame = poses.track_id - 1, poses.image_id
    truth, area = clip.truth[person, frame], clip.area[person, frame]
    counted = clip.labelled[person] & (truth >= 0).all(axis=2) & (truth < [WIDTH, HEIGHT]).all(axis=2)
    distance = np.linalg.norm(poses.xy - truth, axis=2)
    similarity = opks(poses.xy, truth, counted, area, COCO_17.sigmas)
    lost = np.broadcast_to(clip.lost[person, frame][:, None], counted.shape)
    ratio = distance / std if std is not None else np.full(distance.shape, np.nan)
    columns = {"error": 100 * distance / np.sqrt(area)[:, None], "opks": similarity, "ratio": ratio, "lost": lost}
    return {name: column[counted] for name, column in columns.items()}


def mean_of(clips: list[np.ndarray], counts: np.ndarray) -> Estimate:
    """Mean over keypoints; clips are drawn."""
    sums, sizes = np.array([clip.sum() for clip in clips]), np.array([len(clip) for clip in clips])
    return Estimate(float(sums.sum() / sizes.sum()), counts @ sums / (counts @ sizes))


def measure(
    by_clip: list[dict[str, np.ndarray]], counts: np.ndarray
) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """The numbers of a method where the person was found and where not, and the draws of both mean errors."""
    row: dict[str, object] = {}
    drawn = {}
    for name, is_lost in (("found", False), ("lost", True)):
        parts = [{key: column[clip["lost"] == is_lost] for key, column in clip.items()} for clip in by_clip]
        if not sum(len(part["error"]) for part in parts):
            continue
        error = mean_of([part["error"] for part in parts], counts)
        row[f"{name} error"], drawn[name] = error.interval, error.draws
        row[f"{name} median"] = float(np.median(np.concatenate([part["error"] for part in parts])))
        row[f"{name} opks"] = mean_of([part["opks"] for part in parts], counts).value
    ratio = np.concatenate([clip["ratio"] for clip in by_clip])
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio):
        row["coverage"] = [float(np.mean(ratio <= np.sqrt(-2 * np.log(1 - share)))) for share in SHARES]
    return row, drawn


def on_clips(model: str, clips: list[Clip], draws: int) -> dict[str, dict[str, object]]:
    counts = resample_counts(len(clips), draws).astype(np.float64)
    numbers: dict[str, dict[str, object]] = {}
    drawn: dict[str, dict[str, np.ndarray]] = {}
    for name, method in METHODS.items():
        numbers[name], drawn[name] = measure([errors_of(clip, method) for clip in clips], counts)
    names = [f"{presence} {number}" for presence in ("found", "lost") for number in ("error", "median", "opks")]
    shown = {name: {number: row.get(number) for number in names if number in row} for name, row in numbers.items()}
    for name, row in numbers.items():
        covered = row.get("coverage", [None] * len(SHARES))
        shown[name] |= {f"in {share:.0%} discs": value for share, value in zip(SHARES, covered, strict=True)}
    errors = {f"{presence}_{number}": ".2f" for presence in ("found", "lost") for number in ("error", "median")}
    table(f"clips, {model}, error in %", shown, **errors)
    for name in ("found", "lost"):
        change = drawn["trust"][name] / drawn["constant noise"][name] - 1
        middle = np.nanquantile(change, [0.5, 0.025, 0.975]).tolist()
        numbers["trust"][f"{name}: change from constant noise"] = middle
        print(f"{name}: error of trust against constant noise, paired draws: {cell(percent(middle), '+.1f')} %")
    return numbers


def stated(clips: list[Clip]) -> dict[str, list[float]]:
    """Mean expected OPKS of labelled keypoints, and their true one: kept, replaced in frames with the person, lost."""
    parts: dict[str, list[np.ndarray]] = {"kept": [], "replaced": [], "lost": []}
    for clip in clips:
        smoothed = smooth(clip.poses)
        poses = smoothed.poses
        person, frame = poses.track_id - 1, poses.image_id
        labelled = clip.labelled[person]
        true = opks(poses.xy, clip.truth[person, frame], labelled, clip.area[person, frame], COCO_17.sigmas)
        expected = np.clip(quality_if_labelled(poses), 0, 1)
        lost = np.broadcast_to(clip.lost[person, frame][:, None], true.shape)
        for name, rows in (("kept", ~smoothed.replaced), ("replaced", smoothed.replaced & ~lost), ("lost", lost)):
            parts[name].append(np.stack([expected, true])[:, rows & labelled])
    means = {name: np.concatenate(part, axis=1).mean(axis=1).tolist() for name, part in parts.items()}
    table("expected OPKS", {name: dict(zip(("expected", "true"), pair, strict=True)) for name, pair in means.items()})
    return means


def balancing(folder: Path) -> tuple[list[Poses], object]:
    """The person whose trial it is, in each camera: of the tracks, the one with the largest boxes times frames."""
    views, predictor = [], tp.load("default")
    for number in range(1, 5):
        with tempfile.TemporaryDirectory() as out:
            run_record = predictor.run([folder / "balancing" / "videos" / f"cam{number:02}.mp4"], out, drawings=None)
        frames = [replace(frame, photos=None) for frame in run_record.poses.values()]
        poses = track(Poses.concatenate(frames))
        area = np.prod(poses.box[:, 2:] - poses.box[:, :2], axis=1)
        tracks = np.unique(poses.track_id[poses.track_id > 0])
        best = tracks[np.argmax([area[poses.track_id == number].sum() for number in tracks])]
        views.append(poses[poses.track_id == best])
    return views, read_cameras(folder / "Calib.qca.txt")


def summary(errors: list[np.ndarray], weights: list[np.ndarray]) -> dict[str, float]:
    joined, weight = np.concatenate(errors), np.concatenate(weights)
    mean = float(np.average(joined, weights=weight))
    return {"median": float(np.median(joined)), "mean": float(joined.mean()), "mean, weighted by quality": mean}


def left_out_frames(views: list[Poses]) -> dict[str, dict[str, float]]:
    """Distance of every third frame's keypoints, as found, to what smoothing the other frames says, pixels."""
    rows = {}
    for name, method in METHODS.items():
        if name == AS_FOUND:
            continue
        errors, weights = [], []
        for poses in views:
            out = (
                (poses.image_id % 3 == 1)
                & (poses.image_id > poses.image_id.min())
                & (poses.image_id < poses.image_id.max())
            )
            smoothed = method(poses[~out], Images(np.arange(100)))[0]
            row_of = {int(image): row for row, image in enumerate(smoothed.image_id)}
            images = enumerate(poses.image_id.tolist())
            pairs = [(row, row_of[image]) for row, image in images if out[row] and image in row_of]
            left_out, predicted = np.array(pairs).T
            errors.append(np.linalg.norm(poses.xy[left_out] - smoothed.xy[predicted], axis=2).ravel())
            weights.append(poses.quality[left_out].ravel())
        rows[name] = summary(errors, weights)
    return rows


def left_out_views(views: list[Poses], cameras) -> dict[str, dict[str, float]]:
    """Distance of each camera's keypoints, as found, to what the other three say, pixels."""
    rows, frames = {}, np.arange(100)
    plain = [of_frames(poses, frames) for poses in views]
    for name, method in METHODS.items():
        errors, weights = [], []
        smoothed = [of_frames(method(view, None)[0], frames) for view in views]
        xy, quality = (np.stack(columns) for columns in zip(*smoothed, strict=True))
        for out in range(4):
            rest = [camera for camera in range(4) if camera != out]
            world = triangulate_points(xy[rest], cameras[rest], weight=quality[rest], method="weighted")
            seen = cameras.project(world.xyz.reshape(-1, 3))[out].reshape(*world.xyz.shape[:2], 2)
            distance = np.linalg.norm(plain[out][0] - seen, axis=2)
            is_finite = np.isfinite(distance)
            errors.append(distance[is_finite])
            weights.append(plain[out][1][is_finite])
        rows[name] = summary(errors, weights)
    return rows


def of_frames(poses: Poses, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (F, K, 2) and quality (F, K) by frame, NaN and 0 where there are none."""
    xy, quality = np.full((len(frames), 17, 2), np.nan), np.zeros((len(frames), 17))
    xy[poses.image_id], quality[poses.image_id] = poses.xy, poses.quality
    return xy, quality


def speed() -> dict[str, dict[str, float]]:
    """Processor seconds, of clips that wander."""
    generator, rows = np.random.default_rng(0), {}
    for name, frames, people in (("10,000 frames", 10_000, 1), ("100 frames, 100 people", 100, 100)):
        count = frames * people
        xy = np.cumsum(generator.normal(size=(frames, people, 17, 2)), axis=0).reshape(count, 17, 2) + 500
        box = np.concatenate([xy.min(axis=1) - 50, xy.max(axis=1) + 50], axis=1)
        quality = generator.uniform(0.3, 0.97, (count, 17))
        ids = {"image_id": np.repeat(np.arange(frames), people), "track_id": np.tile(np.arange(people), frames)}
        poses = Poses(xy, score=quality, quality=quality, box=box, skeleton=COCO_17, **ids)
        seconds = timed(lambda: smooth(poses)).cpu_seconds  # noqa: B023
        rows[name] = {"seconds": seconds, "poses/s": count / seconds}
    return rows


def main(options):
    warnings.simplefilter("ignore", RuntimeWarning)
    truth, result = ground_truth(options.data, options.split), {}
    for model in options.models:
        clips = clips_of(model, truth, options.data, options.split, options.photos, options.frames)
        result[model] = on_clips(model, clips, options.draws) | {"expected OPKS, true": stated(clips)}
    views, cameras = balancing(options.data / "multiview" / "pose2sim")
    for name, rows in (
        ("left out frames", left_out_frames(views)),
        ("left out views", left_out_views(views, cameras)),
        ("speed", speed()),
    ):
        result[name] = rows
        table(f"{name}, pixels" if name != "speed" else name, rows, ".2f")
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "draws", "data")
    add = options_parser.add_argument
    add("--photos", type=int, default=24, help="clips, a photo each")
    add("--frames", type=int, default=45, help="frames of a clip")
    add("--split", default="dev", help="of the photos")
    add("--models", nargs="*", default=["default", "simplepose"], help="shipped models, or folders")
    run(main, options_parser)
