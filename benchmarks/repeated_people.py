"""People of COCO's labels again and again, and results with the errors of a real estimator, for `audit_scale.py`.

The people are those of `coco/train_gt.json` and `coco/dev_gt.json`, each copy under other photo ids. Their results have
the errors of SimplePose on the same people (`results/simplepose.*.json`). Each pose has a level, from its best to its
worst poses, and each keypoint takes the error, in units of √area, and the score of a real keypoint of that kind near
that level, labelled or not as its own label is. So scores, errors and their correlations are like those of the file.
All numbers are such that float32 holds them.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trustpose.formats.coco import read_results, read_truth
from trustpose.geometry.boxes import xywh_to_xyxy, xyxy_to_xywh
from trustpose.geometry.oks import oks
from trustpose.images import Images
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPREAD = 0.1  # of a keypoint's level around its pose's


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
        files = [read_truth(DATA / "coco" / f"{split}_gt.json") for split in ("train", "dev")]
        read = [
            read_results(DATA / "results" / f"simplepose.{split}.json", truth=file)
            for split, file in zip(("train", "dev"), files, strict=True)
        ]
        people = Truth.concatenate([file.truth for file in files])
        poses = Poses.concatenate([one.poses for one in read])
        by_id = np.argsort(people.annotation_id)
        people = people[by_id[np.searchsorted(people.annotation_id[by_id], poses.annotation_id)]]
        order = np.argsort(people.image_id, kind="stable")
        people, poses = _as_written(people[order]), poses[order]
        worst_last = np.argsort(-oks(poses.xy, people.xy, people.v, people.area, COCO_17.sigmas))
        off = (poses.xy - people.xy) / np.sqrt(people.area)[:, None, None]
        at = (poses.xy - people.box[:, None, :2]) / (people.box[:, None, 2:] - people.box[:, None, :2])
        labelled, others = [], []
        for k in range(people.keypoint_count):
            for found, place, wanted in ((labelled, off, True), (others, at, False)):
                rows = worst_last[(people.v[worst_last, k] > 0) == wanted]
                found.append(np.concatenate([place[rows, k], poses.score[rows, k, None]], axis=1))
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
            for rows, given in (
                (np.flatnonzero(people.v[:, joint] > 0), self.labelled[joint]),
                (np.flatnonzero(people.v[:, joint] == 0), self.others[joint]),
            ):
                drawn = given[(level[rows, joint] * len(given)).astype(np.int64)]
                scale = np.sqrt(people.area[rows])[:, None] if given is self.labelled[joint] else extent[rows]
                start = people.xy[rows, joint] if given is self.labelled[joint] else people.box[rows, :2]
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
        left = rows - number * len(people)
        if left < len(people):
            last = people.image_id[left]
            keep = people.image_id < last
            people, poses, photos = people[keep], poses[keep], photos[photos < last]
        yield people, poses, photos
