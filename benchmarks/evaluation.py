"""COCO keypoint evaluation: ours beside pycocotools, faster-coco-eval and hotcoco on the same files, in one run.

    python benchmarks/evaluation.py [--gt GT --results RES] [--photos N] [--runs N] [--cores N …] [--large]

On the files themselves and on small ones, cut from them: their first photos. With `--large` also on 36,000 people of
`coco/labels_train2017.npz` with 200,000 results that have SimplePose's errors, made up in a temporary folder. The tools
take turns, on one core and then, in a process of its own, on two; one that is not installed is named and left out.
"loading" is files to memory, "evaluation" all that follows up to the ten numbers, "both" is from files to numbers;
imports are in none. Prints tables of milliseconds: the least by the clock, and the least of the processor, over all
threads; other work on the machine disturbs these less than medians. The JSON has the ratios peer / ours by the number
of cores: above 1, ours is faster. Exits with 1 if the numbers differ.
"""

import contextlib
import importlib.util
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from harness import DATA, Timing, in_turns, parser, process, run, table, timed
from repeated_people import Source, people_of_train2017

from trustpose.files import json_bytes
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.skeletons import COCO_17

PARTS = ("loading", "evaluation", "both")
CLOCK, PROCESSOR = "clock", "processor"
Ratios = dict[str, float]
Work = tuple[Timing, Timing]  # loading, and evaluation, whose result is the ten numbers


def ours(gt: Path, results: Path) -> Work:
    from trustpose.io.coco.results import read_results
    from trustpose.io.coco.truth import read_coco_truth
    from trustpose.metrics.average_precision import evaluate

    def load():
        truth = read_coco_truth(gt)
        return truth, read_results(results, truth=truth)

    loading = timed(load)
    truth, poses = loading.result

    def numbers():
        evaluation = evaluate(poses.poses, truth.truth, poses.score, sigmas=truth.skeleton.sigmas, area="file")
        return list(asdict(evaluation.summary()).values())

    return loading, timed(numbers)


def pycocotools(gt: Path, results: Path) -> Work:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return peer(COCO, COCOeval, gt, results)


def faster_coco_eval(gt: Path, results: Path) -> Work:
    from faster_coco_eval import COCO, COCOeval_faster

    return peer(COCO, COCOeval_faster, gt, results)


def hotcoco(gt: Path, results: Path) -> Work:
    from hotcoco import COCO, COCOeval

    return peer(COCO, COCOeval, gt, results)


def peer(coco_class: type, eval_class: type, gt: Path, results: Path) -> Work:
    def load():
        truth = coco_class(str(gt))
        return truth, truth.loadRes(str(results))

    def numbers():
        evaluation = eval_class(*loading.result, "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return list(evaluation.stats[:10])

    with contextlib.redirect_stdout(io.StringIO()), without_output():
        loading = timed(load)
        return loading, timed(numbers)


@contextlib.contextmanager
def without_output() -> Iterator[None]:
    """Discard what compiled code prints."""
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


PEERS = {"pycocotools": pycocotools, "faster_coco_eval": faster_coco_eval, "hotcoco": hotcoco}


def first_photos(gt: Path, results: Path, photos: int, folder: Path) -> tuple[Path, Path]:
    """Files of the same layout with the first photos alone."""
    truth = json.loads(gt.read_text())
    truth["images"] = truth["images"][:photos]
    ids = {image["id"] for image in truth["images"]}
    truth["annotations"] = [row for row in truth["annotations"] if row["image_id"] in ids]
    rows = [row for row in json.loads(results.read_text()) if row["image_id"] in ids]
    for name, value in (("gt.json", truth), ("results.json", rows)):
        (folder / name).write_text(json.dumps(value))
    return folder / "gt.json", folder / "results.json"


LARGE_PEOPLE, LARGE_RESULTS = 36_000, 200_000


def large_files(folder: Path) -> tuple[Path, Path]:
    """Write people of train2017, and six results on each but the last, with SimplePose's errors."""
    people, images = people_of_train2017(LARGE_PEOPLE)
    box, area = np.round(xyxy_to_xywh(people.box), 2), np.round(people.area, 2)
    keypoints = np.round(np.concatenate([people.xy, people.v[..., None]], axis=2), 2).reshape(len(people), -1)
    annotations = [
        {
            "id": row + 1,
            "image_id": photo,
            "category_id": 1,
            "iscrowd": 0,
            "num_keypoints": int(np.count_nonzero(people.v[row])),
            "area": area[row],
            "bbox": box[row].tolist(),
            "keypoints": keypoints[row].tolist(),
        }
        for row, photo in enumerate(people.image_id.tolist())
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    truth = {"images": images.to_json(), "annotations": annotations, "categories": [category]}
    source = replace(Source.read(), truth=people, images=images)
    results = []
    for number in range(-(-LARGE_RESULTS // LARGE_PEOPLE)):
        poses = source.copy(number)[1]
        poses = replace(poses, image_id=people.image_id, box=None, pose_score=np.round(poses.pose_score, 4))
        results += poses.to_coco()
    for name, value in (("gt.json", truth), ("results.json", results[:LARGE_RESULTS])):
        (folder / name).write_bytes(json_bytes(value))
    return folder / "gt.json", folder / "results.json"


def compare(title: str, gt: Path, results: Path, runs: int) -> tuple[dict[str, dict[str, Ratios]], float]:
    """Ratios peer / ours by the clock and of the processor, by part, and the largest difference between the ten
    numbers; prints the tables."""
    installed = {name: tool for name, tool in PEERS.items() if importlib.util.find_spec(name) is not None}
    tools = {"trustpose": ours, **installed}
    timings = in_turns({name: partial(tool, gt, results) for name, tool in tools.items()}, runs)
    turns = {name: [turn.result for turn in rounds] for name, rounds in timings.items()}  # loading and evaluation
    ratios = {}
    for measure, field in ((CLOCK, "seconds"), (PROCESSOR, "cpu_seconds")):
        rows = {}
        for name, works in turns.items():
            seconds = [[getattr(work, field) for work in turn] for turn in works]
            columns = [*zip(*seconds, strict=True), [sum(both) for both in seconds]]
            rows[name] = {part: 1000 * min(column) for part, column in zip(PARTS, columns, strict=True)}
        table(f"{title}, least of {runs} runs, ms by the {measure}", rows, ".1f")
        own = rows.pop("trustpose")
        ratios[measure] = {
            part: {name: round(row[part] / own[part], 2) for name, row in rows.items()} for part in PARTS
        }
    numbers = {name: works[0][1].result for name, works in turns.items()}
    difference = max(float(np.abs(np.subtract(row, numbers["trustpose"])).max()) for row in numbers.values())
    print(f"largest difference between the ten numbers: {difference:.1e}")
    return ratios, difference


def main(options):
    for file in (options.gt, options.results):
        file.stat()  # raises for a missing one
    if len(options.cores) > 1:  # a process each: threads keep the cores that they were started on
        records = {}
        for count in options.cores:  # the last --cores counts
            *tables, last = process(__file__, *sys.argv[1:], "--cores", count).output.splitlines()
            print("\n".join(tables), flush=True)
            records |= json.loads(last)
        return records
    for name in PEERS:
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed")
    all_cores = sorted(os.sched_getaffinity(0))
    cores = all_cores[: options.cores[0]]
    os.sched_setaffinity(0, cores)  # before the tools start threads
    named = f"{len(cores)} core{'s' * (len(cores) > 1)}"
    title = f"{named}, {options.gt.name} × {options.results.name}"
    with tempfile.TemporaryDirectory() as folder:
        small = first_photos(options.gt, options.results, options.photos, Path(folder))
        ratios, difference = compare(title, options.gt, options.results, options.runs)
        title = f"{named}, its first {options.photos} photos"
        of_small, difference_of_small = compare(title, *small, 5 * options.runs)
        record, differences = {"files": ratios, "small_files": of_small}, [difference, difference_of_small]
        if options.large:
            large = large_files(Path(folder))
            title = f"{named}, {LARGE_PEOPLE:,} people × {LARGE_RESULTS:,} results"
            record["large_files"], difference = compare(title, *large, max(1, options.runs // 3))
            differences.append(difference)
    os.sched_setaffinity(0, all_cores)
    if max(differences) >= 1e-12:
        raise SystemExit(1)
    return {len(cores): record}


if __name__ == "__main__":
    options_parser = parser(__doc__)
    options_parser.add_argument("--gt", type=Path, default=DATA / "coco" / "val2017_gt.json", help="ground truth")
    results = DATA / "results" / "val2017_perturbed.json"
    options_parser.add_argument("--results", type=Path, default=results, help="results of any estimator")
    options_parser.add_argument("--photos", type=int, default=70, help="photos of the small files")
    options_parser.add_argument(
        "--cores", type=int, nargs="+", default=[1, 2], help="that all tools run on; Linux alone can limit them"
    )
    options_parser.add_argument("--large", action="store_true", help="also on 200,000 results; some minutes more")
    options_parser.add_argument(
        "--runs", type=int, default=7, help="of the files; small ones five times as often, large ones a third"
    )
    run(main, options_parser)
