"""Difficult COCO cases made by hypothesis, and pycocotools' numbers for them."""

import contextlib
import io
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")
AREAS = (0.0, 1e-9, 1.0, 1023.999, 1024.0, 5000.0, 9216.0, 9216.001, 1e6, 1e10, 1e12)


@st.composite
def coco_cases(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]], np.ndarray]:
    """(ground truth, results, sigmas): crowds, people without keypoints, ties in score and place, more than twenty
    results an image, empty images, results in images without people, tiny and huge areas, custom sigmas, dropped
    joints."""
    count = draw(st.sampled_from([1, 3, 17]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = draw(st.integers(1, 4))
    coarse = draw(st.booleans())  # places on a grid, so that distances and similarities tie
    sigmas = random.uniform(0.01, 0.3, count) if draw(st.booleans()) else np.full(count, 0.1)
    with_box = draw(st.booleans())
    first_id = draw(st.sampled_from([1, 1, 1, 0]))
    dropped = draw(st.sampled_from([0.0, 0.0, 0.4]))  # joints that were not found, written as 0, 0, 0
    annotations, results = [], []
    for image in range(1, images + 1):
        people = [
            _person(random, image, first_id + len(annotations) + i, count, coarse)
            for i in range(draw(st.integers(0, 4)))
        ]
        annotations += people
        for _ in range(draw(st.sampled_from([0, 1, 3, 8, 24]))):
            results.append(_result(random, image, people, count, coarse, with_box))
    if not results:
        results.append(_result(random, 1, [], count, coarse, with_box))
    for row in results:
        keypoints = np.reshape(row["keypoints"], (count, 3))
        row["keypoints"] = np.where(random.random((count, 1)) < dropped, 0.0, keypoints).ravel().tolist()
    order = random.permutation(len(results))
    truth = {
        "images": [{"id": i} for i in random.permutation(np.arange(1, images + 1)).tolist()],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": [f"joint_{k}" for k in range(count)]}],
    }
    return truth, [results[i] for i in order], sigmas


def _place(random: np.random.Generator, count: int, coarse: bool) -> np.ndarray:
    return random.integers(0, 6, (count, 2)) * 8.0 if coarse else random.uniform(0, 200, (count, 2)).round(3)


def _person(random: np.random.Generator, image: int, id: int, count: int, coarse: bool) -> dict[str, Any]:
    v = random.choice([0, 1, 2], count, p=[0.3, 0.2, 0.5]) * (random.random() > 0.15)
    xy = _place(random, count, coarse) * (v > 0)[:, None]
    area = random.choice(AREAS) if random.random() < 0.5 else random.uniform(500, 20000)
    box = [*random.uniform(0, 100, 2).round(2).tolist(), *random.choice([0.0, 32.0, 77.31, 300.0], 2).tolist()]
    return {
        "id": id,
        "image_id": image,
        "category_id": 1,
        "keypoints": np.c_[xy, v].ravel().tolist(),
        "num_keypoints": int((v > 0).sum()) if random.random() < 0.9 else int(random.integers(0, count + 1)),
        "area": float(area),
        "bbox": box,
        "iscrowd": int(random.random() < 0.15),
    }


def _result(
    random: np.random.Generator, image: int, people: list[dict[str, Any]], count: int, coarse: bool, with_box: bool
) -> dict[str, Any]:
    xy = _place(random, count, coarse)
    if people and random.random() < 0.8:
        person = people[random.integers(len(people))]
        near = np.reshape(person["keypoints"], (count, 3))[:, :2]
        shift = random.integers(-1, 2, (count, 2)) * 8.0 if coarse else random.normal(0, 12, (count, 2))
        xy = near + shift * (random.random() < 0.8)
    result = {
        "image_id": image,
        "category_id": 1,
        "keypoints": np.c_[xy, random.random(count)].ravel().tolist(),
        "score": float(random.integers(0, 4) / 4 if coarse else random.random()),
    }
    if with_box:
        result["bbox"] = [*random.uniform(0, 100, 2).round(2).tolist(), *random.choice([32.0, 96.0, 7.7], 2).tolist()]
    return result


def pycocotools_numbers(truth: dict[str, Any] | str, results: Any, sigmas: np.ndarray | None = None) -> np.ndarray:
    """The ten numbers, in the order of NAMES."""
    with contextlib.redirect_stdout(io.StringIO()):
        if isinstance(truth, str):
            coco = COCO(truth)
        else:
            coco = COCO()
            coco.dataset = truth
            coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)
