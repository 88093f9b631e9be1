"""Small audits for the tests of the report: COCO files made on the spot, audited as a user's would be."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.files import write_json
from trustpose.skeletons import COCO_17

NASTY = '<script>alert("1")</script>&amp;'


def make_audit(
    folder: Path,
    people: int = 12,
    *,
    v: Sequence[int] = (0, 1, 2),
    scores: Sequence[float] = (0.1, 0.95),
    name: str = "results",
    far: bool = False,
    seed: int = 0,
    extra: bool = False,
    presence: bool = False,
) -> Audit:
    """An audit of noisy poses of made-up people, two to a photo, labels drawn from `v`, scores between two numbers.

    `far` moves the results' boxes away from all people; `extra` adds quality and visibility to the results.
    `presence` adds presence, expected OKS and a result on nobody, and says that all people of the photos have boxes.
    """
    random = np.random.default_rng(seed)
    annotations, results = [], []
    for i in range(people):
        xy = random.uniform((20 + 140 * (i % 2), 20), (120 + 140 * (i % 2), 220), (17, 2)).round(1)
        states = random.choice(v, 17)
        box = [20.0 + 140 * (i % 2), 20.0, 100.0, 200.0]
        labelled = np.column_stack([xy * (states > 0)[:, None], states])
        common = {"image_id": i // 2, "category_id": 1}
        annotations.append(
            {**common, "id": i + 1, "bbox": box, "area": 9000.0, "iscrowd": 0, "keypoints": labelled.ravel().tolist()}
            | {"num_keypoints": int((states > 0).sum())}
        )
        score = random.uniform(*scores, 17)
        moved = xy + random.normal(0, 12 * random.random(), (17, 2))
        if far:
            moved, box = moved + 5000, [300.0, 222.0, 18.0, 16.0]  # in the photo, on no person
        row: dict[str, Any] = {**common, "bbox": box, "score": float(score.mean())}
        row["keypoints"] = np.column_stack([moved, score]).ravel().tolist()
        if extra:
            row |= {"visibility": random.dirichlet((1, 1, 1), 17).tolist(), "keypoint_quality": score.tolist()}
        if presence:
            row |= {"presence": float(random.uniform(0.2, 1)), "pose_quality": float(score.mean()) ** 2}
        results.append(row)
    images = [{"id": i, "file_name": f"{i}.png", "width": 320, "height": 240} for i in range((people + 1) // 2)]
    if presence:
        results.append(results[0] | {"bbox": [300.0, 222.0, 18.0, 16.0], "presence": 0.3})  # on nobody
        images = [image | {"all_people_boxed": True} for image in images]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints), "skeleton": []}
    write_json(folder / "gt.json", {"images": images, "annotations": annotations, "categories": [category]})
    write_json(folder / f"{name}.json", results)
    return audit(folder / "gt.json", folder / f"{name}.json", draws=20)


def nasty(record: Audit) -> Audit:
    """The same audit with markup in every name that comes from a file."""
    names = tuple(NASTY + name for name in record.details.keypoint_names)
    inputs = {
        key: {**value, "file": f"{NASTY}/{i}{NASTY.replace('/', '')}.json"}
        for i, (key, value) in enumerate(record.inputs.items())
    }
    types = dict(zip(names, record.keypoint_types.values(), strict=True))
    files = {image: NASTY + name for image, name in record.details.file_names.items()}
    details = replace(record.details, keypoint_names=names, file_names=files)
    notes = (*record.notes, NASTY)
    return replace(
        record, inputs=inputs, keypoint_types=types, details=details, notes=notes, score_field=NASTY, area=record.area
    )


def empty_cases(folder: Path) -> dict[str, Audit]:
    """Audits in which little or nothing can be computed."""
    made = {
        "one person": {"people": 1},
        "no labelled keypoints": {"people": 2, "v": (0,)},
        "no paired results": {"people": 4, "far": True},
        "no occluded or visible score scale": {"people": 6, "scores": (30.0, 90.0)},
        "all the same score": {"people": 6, "scores": (0.5, 0.5)},
    }
    cases = {}
    for name, options in made.items():
        path = folder / name
        path.mkdir(exist_ok=True)
        cases[name] = make_audit(path, **options)
    return cases
