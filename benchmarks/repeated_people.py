"""Made-up results of any number of real people, for `large_files.py`.

`copies`: the people of `coco/train_gt.json` and `coco/dev_gt.json` again and again, each copy under other photo ids,
with the errors of SimplePose on the same people (`results/simplepose.*.json`). Each pose has a level, from its best to
its worst poses, and each keypoint takes the error, in units of √area, and the score of a real keypoint of that kind
near that level, labelled or not as its own label is. So scores, errors and their correlations are like those of the
file. All numbers are such that float32 holds them. `write_tables` writes them as Parquet.

`simulated`: the people of `coco/labels_train2017.npz`, each with its own amount of error and scores that fall with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow
import pyarrow.parquet
from coco_photos import ground_truth
from harness import DATA

from trustpose.geometry.boxes import xywh_to_xyxy, xyxy_to_xywh
from trustpose.geometry.oks import oks
from trustpose.images import Images
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17

SPREAD = 0.1  # of a keypoint's level around its pose's
COPIES_A_PART = 40  # some 230,000 rows a file
UNKNOWN_SIZE = (640, 480)
TRAIN2017 = DATA / "coco" / "labels_train2017.npz"


@dataclass(frozen=True, eq=False)
class Source:
    """Real people, and the errors of an estimator by keypoint: from the best poses to the worst, of labelled keypoints
    (dx, dy in units of √area, score) and of others (x, y in units of the box, score)."""

    truth: Truth
    images: Images
    labelled: list[np.ndarray]
    others: list[np.ndarray]

    @classmethod
    def read(cls) -> "Source":
        """Read the labels of train and dev, and SimplePose's results on them."""
        files = {split: ground_truth(DATA, split) for split in ("train", "dev")}
        results = [
            read_results(DATA / "results" / f"simplepose.{split}.json", truth=file) for split, file in files.items()
        ]
        people = Truth.concatenate([file.truth for file in files.values()])
        poses = Poses.concatenate([file.poses for file in results])
        by_id = np.argsort(people.annotation_id)
        people = people[by_id[np.searchsorted(people.annotation_id[by_id], poses.annotation_id)]]
        order = np.argsort(people.image_id, kind="stable")
        people, poses = _as_written(people[order]), poses[order]
        worst_last = np.argsort(-oks(poses.xy, people.xy, people.v, people.area, COCO_17.sigmas))
        off = (poses.xy - people.xy) / np.sqrt(people.area)[:, None, None]
        in_box = (poses.xy - people.box[:, None, :2]) / (people.box[:, None, 2:] - people.box[:, None, :2])
        labelled, others = [], []
        for k in range(people.keypoint_count):
            for errors, position, is_labelled in ((labelled, off, True), (others, in_box, False)):
                rows = worst_last[(people.v[worst_last, k] > 0) == is_labelled]
                errors.append(np.concatenate([position[rows, k], poses.score[rows, k, None]], axis=1))
        images = Images(np.unique(people.image_id))
        return cls(people, images, labelled, others)

    def copy(self, number: int) -> tuple[Truth, Poses, np.ndarray]:
        """Return the people under the ids of a copy, an estimator's poses, and the photos' ids."""
        people, random = self.truth, np.random.default_rng([0, number])
        image_id = people.image_id + number * (int(self.images.id.max()) + 1)
        annotation_id = people.annotation_id + number * (int(people.annotation_id.max()) + 1)
        n, k = people.v.shape
        level = np.clip(random.random((n, 1)) + random.normal(0, SPREAD, (n, k)), 0, 1 - 1e-9)
        extent = people.box[:, 2:] - people.box[:, :2]
        xy, score = np.empty((n, k, 2)), np.empty((n, k))
        for joint in range(k):
            for is_labelled, errors in ((True, self.labelled[joint]), (False, self.others[joint])):
                rows = np.flatnonzero((people.v[:, joint] > 0) == is_labelled)
                drawn = errors[(level[rows, joint] * len(errors)).astype(np.int64)]
                scale = np.sqrt(people.area[rows])[:, None] if is_labelled else extent[rows]
                start = people.xy[rows, joint] if is_labelled else people.box[rows, :2]
                xy[rows, joint], score[rows, joint] = start + drawn[:, :2] * scale, drawn[:, 2]
        xy, score = np.round(xy * 8) / 8, single(score)  # exact in float32
        poses = Poses(xy, score=score, pose_score=single(score.mean(axis=1)), box=people.box, image_id=image_id)
        photos = self.images.id + number * (int(self.images.id.max()) + 1)
        return replace(people, image_id=image_id, annotation_id=annotation_id), poses, photos


def single(column: np.ndarray) -> np.ndarray:
    """Return numbers as they are read again from float32."""
    return column.astype(np.float32).astype(np.float64)


def _as_written(people: Truth) -> Truth:
    box = xywh_to_xyxy(single(xyxy_to_xywh(people.box)))
    return replace(people, xy=single(people.xy), area=single(people.area), box=box, track_id=None)


def copies(rows: int, source: Source) -> Iterator[tuple[Truth, Poses, np.ndarray]]:
    """Yield so many people, copy by copy, the last one cut between two photos."""
    for number in range(-(-rows // len(source.truth))):
        people, poses, photos = source.copy(number)
        remaining = rows - number * len(people)
        if remaining < len(people):
            last = people.image_id[remaining]
            keep = people.image_id < last
            people, poses, photos = people[keep], poses[keep], photos[photos < last]
        yield people, poses, photos


def write_tables(folder: Path, rows: int) -> dict[str, int]:
    """Write so many people as gt.parquet and results/; return how many."""
    (folder / "results").mkdir(parents=True)
    numbers, whole = pyarrow.list_(pyarrow.float32()), pyarrow.int64()
    common = {"image_id": whole, "category_id": pyarrow.int32(), "keypoints": numbers, "bbox": numbers}
    of_results = pyarrow.schema([*common.items(), ("score", pyarrow.float32())])
    labels = {"id": whole, "num_keypoints": pyarrow.int32(), "area": pyarrow.float32()}
    labels |= {"area_source": pyarrow.string(), "iscrowd": pyarrow.int32()}
    categories = orjson.dumps([{"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}])
    of_people = pyarrow.schema([*common.items(), *labels.items()], {"categories": categories})
    part_rows: list[tuple[Truth, Poses]] = []
    with pyarrow.parquet.ParquetWriter(folder / "gt.parquet", of_people, compression="zstd") as truth:

        def flush(part: int) -> None:
            people = Truth.concatenate([copy for copy, _ in part_rows])
            poses = Poses.concatenate([copy for _, copy in part_rows])
            shared = {"category_id": np.ones(len(people), np.int64), "bbox": xyxy_to_xywh(people.box)}
            labelled = {"image_id": people.image_id, "keypoints": _rows_of(people.xy, people.v), "area": people.area}
            labelled |= {"id": people.annotation_id, "num_keypoints": people.num_keypoints}
            labelled |= {"area_source": people.area_source, "iscrowd": people.iscrowd.astype(np.int64)}
            truth.write_table(_table(of_people, shared | labelled))
            predicted = {"image_id": poses.image_id, "keypoints": _rows_of(poses.xy, poses.score)}
            file = folder / "results" / f"part-{part:05}.parquet"
            columns = shared | predicted | {"score": poses.pose_score}
            pyarrow.parquet.write_table(_table(of_results, columns), file, compression="zstd")
            part_rows.clear()

        for number, (people, poses, _) in enumerate(copies(rows, Source.read())):
            part_rows.append((people, poses))
            if len(part_rows) == COPIES_A_PART:
                flush(number // COPIES_A_PART)
        if part_rows:
            flush(number // COPIES_A_PART + 1)
    return {"rows": rows}


def _rows_of(xy: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Return x, y and the third number of each keypoint, as COCO writes them (N, 3 K)."""
    return np.concatenate([xy, third[..., None]], axis=2).reshape(len(xy), -1)


def _table(schema: Any, columns: dict[str, np.ndarray]) -> Any:
    arrays = []
    for field in schema:
        column = columns[field.name]
        if column.ndim == 2:
            flat = pyarrow.array(column.ravel().astype(np.float32))
            ends = pyarrow.array(np.arange(len(column) + 1, dtype=np.int32) * column.shape[1])
            arrays.append(pyarrow.ListArray.from_arrays(ends, flat))
        else:
            arrays.append(pyarrow.array(column, field.type))
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def people_of_train2017(count: int) -> tuple[Truth, Images]:
    """Return the first `count` people of train2017, and their photos."""
    with np.load(TRAIN2017, allow_pickle=False) as file:
        size = np.where(file["wh"][:count] > 0, file["wh"][:count], UNKNOWN_SIZE).astype(np.float64)
        keypoints = file["kpts_norm"][:count].astype(np.float64)
        centre, extent = np.split(file["bbox_cxcywh_norm"][:count].astype(np.float64) * np.tile(size, 2), 2, axis=1)
        image_id = file["image_id"][:count].astype(np.int64)
    people = Truth(
        xy=keypoints[..., :2] * size[:, None],
        v=keypoints[..., 2].astype(np.int64),
        area=0.53 * extent.prod(axis=1),
        box=np.concatenate([centre - extent / 2, centre + extent / 2], axis=1),
        image_id=image_id,
        annotation_id=np.arange(len(image_id)) + 1,
    )
    photos, first = np.unique(image_id, return_index=True)
    return people, Images(photos, width=size[first, 0].astype(np.int64), height=size[first, 1].astype(np.int64))


def simulated(count: int, seed: int = 0) -> tuple[TruthFile, ResultsFile]:
    """Return the first `count` people of train2017, and a result for each; unlabelled joints are somewhere in the box,
    with a low score."""
    people, images = people_of_train2017(count)
    image_id = people.image_id
    truth = TruthFile(people, images, COCO_17, COCO_17.keypoints, 1, (1,), str(TRAIN2017), "")
    random = np.random.default_rng(seed)
    n, k = people.v.shape
    wrong = random.gamma(1.2, 0.05, (n, 1)) * random.gamma(1.0, 1.0, (n, k))  # in units of √area
    anywhere = people.box[:, None, :2] + random.random((n, k, 2)) * (people.box[:, 2:] - people.box[:, :2])[:, None]
    step = random.normal(size=(n, k, 2)) * (wrong * np.sqrt(people.area)[:, None])[..., None]
    labelled = people.v > 0
    score = np.clip(0.9 - 2 * wrong - 0.4 * ~labelled + random.normal(0, 0.12, (n, k)), 0.01, 0.99)
    xy = np.where(labelled[..., None], people.xy + step, anywhere)
    identity = {"image_id": image_id, "annotation_id": people.annotation_id}
    poses = Poses(xy, score, score.mean(axis=1), box=people.box, **identity)
    return truth, ResultsFile(poses, score.mean(axis=1), np.ones(n, dtype=np.int64), "simulated", "")
