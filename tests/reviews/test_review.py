"""`tp.review` and `trustpose review`: each kind of label error is found and repaired, the contract, refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trustpose as tp
from tests.cli.cases import run
from tests.docs.made_up import people, write_files
from trustpose.files import InputError
from trustpose.poses import Poses, Truth
from trustpose.reviews.evidence import Evidence, log_mixture
from trustpose.reviews.hypotheses import HYPOTHESES
from trustpose.reviews.made_up_errors import spoil
from trustpose.skeletons import COCO_17

LEFT_WRIST = COCO_17.index("left_wrist")


def labelled_and_posed(seed: int = 0) -> tuple[Truth, Poses]:
    """Two people a photo who stand close to each other; poses a few pixels off, whose trust says so and knows v."""
    rng = np.random.default_rng(seed)
    xy, v, box = people(seed)
    xy[1::2, :, 0] -= box[1::2, :1] - box[::2, :1] - 40
    box[1::2, 0] = box[::2, 0] + 40
    corners = np.c_[box[:, :2], box[:, :2] + box[:, 2:]]
    v[:, LEFT_WRIST] = 2
    ids = np.arange(len(xy))
    truth = Truth(
        xy=xy * (v > 0)[..., None], v=v, area=0.53 * box[:, 2] * box[:, 3], box=corners, image_id=ids // 2 + 1,
        annotation_id=ids + 1, skeleton=COCO_17,
    )  # fmt: skip
    chance = np.full((*v.shape, 3), 0.04)
    np.put_along_axis(chance, v[..., None], 0.92, axis=2)
    poses = Poses(
        xy=xy + rng.normal(0, 1.5, xy.shape), score=np.full(v.shape, 0.9), quality=0.93 * (1 - chance[..., 0]),
        visibility=chance, pose_quality=np.full(len(v), 0.9), pose_score=np.full(len(v), 0.9), box=corners,
        image_id=truth.image_id, annotation_id=truth.annotation_id, skeleton=COCO_17,
    )  # fmt: skip
    return truth, poses


def changed(truth: Truth, **columns: Any) -> Truth:
    return replace(truth, num_keypoints=None, **columns)


def spoilt(truth: Truth, kind: str) -> tuple[Truth, int, str | None]:
    """The labels with a single error of a kind, the id of its person, and its keypoint."""
    xy, v, k = truth.xy.copy(), truth.v.copy(), LEFT_WRIST
    right = COCO_17.flip_index[k]
    row = int(np.flatnonzero(v[:, right] == 2)[2])
    if kind == "position":
        xy[row, k] += 0, -60
    elif kind == "swapped":
        xy[row, [k, right]] = xy[row, [right, k]]
    elif kind == "person_swapped":
        xy[row], v[row] = xy[row, COCO_17.flip_index], v[row, COCO_17.flip_index]
        return changed(truth, xy=xy, v=v), row + 1, None
    elif kind == "other_person":
        xy[row, k] = xy[row ^ 1, k]
    elif kind == "missing":
        xy[row, k], v[row, k] = 0, 0
    elif kind == "visibility":
        v[row, k] = 1
    else:
        row, k = (int(index[0]) for index in np.nonzero(v == 0))
        low, high = truth.box[row, :2], truth.box[row, 2:]
        xy[row, k], v[row, k] = low + 0.3 * (high - low), 1
    return changed(truth, xy=xy, v=v), row + 1, COCO_17.keypoints[k]


@pytest.mark.parametrize("kind", HYPOTHESES)
def test_an_error_of_each_kind_comes_first_with_the_right_label_as_suggestion(kind: str) -> None:
    truth, poses = labelled_and_posed()
    wrong, annotation_id, keypoint = spoilt(truth, kind)
    first = tp.review(wrong, poses).to_json()[0]
    if kind == "swapped":  # both joints are listed, with the same probability
        assert first["keypoint"] in (keypoint, "right_wrist")
        keypoint = first["keypoint"]
    assert (first["kind"], first["annotation_id"], first["keypoint"]) == (kind, annotation_id, keypoint)
    assert first["image_id"] == truth.image_id[annotation_id - 1] and first["probability"] > 0.5
    label = np.c_[truth.xy[annotation_id - 1], truth.v[annotation_id - 1]]
    label = label if keypoint is None else label[COCO_17.index(keypoint)]
    np.testing.assert_allclose(first["suggestion"], label, atol=6)


def test_right_labels_are_hardly_suspected() -> None:
    truth, poses = labelled_and_posed()
    suspects = tp.review(truth, poses, min_probability=0)
    assert (suspects.probability > 0.5).sum() < 0.01 * (truth.v >= 0).sum()
    assert (np.diff(suspects.probability) <= 0).all() and suspects.people == len(truth)


def test_density_is_that_of_scipys_gaussians() -> None:
    from scipy.stats import multivariate_normal

    truth, poses = labelled_and_posed()
    error = Evidence.of(truth, poses, COCO_17).error[:1, :1]
    gaussians = [multivariate_normal([0, 0], np.eye(2) * (std.item() ** 2 + 9)) for std in (error.std, error.gross_std)]
    expected = (1 - error.gross) * gaussians[0].pdf([3, 4]) + error.gross * gaussians[1].pdf([3, 4])
    density = np.exp(log_mixture(error, np.full((1, 1), 5.0), 3.0))
    np.testing.assert_allclose(density, expected, rtol=1e-12)


def test_made_up_errors_are_seeded_and_of_the_stated_share() -> None:
    truth, poses = labelled_and_posed()
    evidence = Evidence.of(truth, poses, COCO_17)
    for kind in HYPOTHESES:
        wrong, where = spoil(evidence, kind, 0.3, 1)
        again, _ = spoil(evidence, kind, 0.3, 1)
        assert (wrong.xy == again.xy).all() and (wrong.v == again.v).all()
        can_be = where[HYPOTHESES[kind](replace(evidence, truth=wrong)).possible]
        assert 0.05 < can_be.mean() < 0.6, kind
        differs = (wrong.xy != evidence.truth.xy).any(axis=2) | (wrong.v != evidence.truth.v)
        assert not (differs & ~(where[:, None] if where.ndim == 1 else where)).any(), kind


def files(folder: Path) -> tuple[Path, Path]:
    """A ground truth with a swapped wrist, and results with trust."""
    truth, poses = labelled_and_posed()
    wrong = spoilt(truth, "swapped")[0]
    rows = [
        {
            "id": int(wrong.annotation_id[i]), "image_id": int(wrong.image_id[i]), "category_id": 1, "iscrowd": 0,
            "bbox": [*wrong.box[i, :2].tolist(), *(wrong.box[i, 2:] - wrong.box[i, :2]).tolist()],
            "area": float(wrong.area[i]), "keypoints": np.c_[wrong.xy[i], wrong.v[i]].ravel().tolist(),
            "num_keypoints": int((wrong.v[i] > 0).sum()),
        }
        for i in range(len(wrong))
    ]  # fmt: skip
    images = [{"id": int(image), "width": 640, "height": 480} for image in np.unique(wrong.image_id)]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints), "skeleton": []}
    gt, results = folder / "gt.json", folder / "results.json"
    gt.write_text(json.dumps({"images": images, "annotations": rows, "categories": [category]}))
    poses.save(results)
    return gt, results


def test_the_json_that_scripts_rely_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gt, results = files(tmp_path)
    out = tmp_path / "review.json"
    assert run("review", "--gt", gt, "--results", results, "--out", out) == 0
    assert "suspects among the labels of 60 people" in capsys.readouterr().out
    rows = json.loads(out.read_text())
    assert rows == tp.review(gt, results).to_json() and rows[0]["kind"] == "swapped"
    names = {"annotation_id", "image_id", "keypoint", "kind", "probability", "suggestion"}
    assert all(set(row) == names for row in rows)
    probability = [row["probability"] for row in rows]
    assert probability == sorted(probability, reverse=True) and min(probability) >= 0.05
    options = ("--kinds", "missing, visibility", "--min-probability", "0.001")
    assert run("review", "--gt", gt, "--results", results, "--out", out, *options) == 0
    assert {row["kind"] for row in json.loads(out.read_text())} == {"missing", "visibility"}


def test_ids_that_are_texts_come_back_as_texts(tmp_path: Path) -> None:
    gt, results = files(tmp_path)
    labels, rows = json.loads(gt.read_text()), json.loads(results.read_text())
    for row in [*labels["annotations"], *rows]:
        row["image_id"] = f"photo {row['image_id']}"
    for image in labels["images"]:
        image["id"] = f"photo {image['id']}"
    by_number = tp.review(gt, results).to_json()[0]
    gt.write_text(json.dumps(labels))
    results.write_text(json.dumps(rows))
    assert tp.review(gt, results).to_json()[0]["image_id"] == f"photo {by_number['image_id']}"


def test_a_calibrator_that_has_learnt_these_labels_is_named(tmp_path: Path) -> None:
    write_files(tmp_path)
    gt, results = tmp_path / "gt.json", tmp_path / "results.json"
    same = tp.Calibrator.fit(gt, results, method="platt", folds=2)
    assert any("fitted on 30 of these photos" in note for note in tp.review(gt, results, calibrator=same).notes)


def test_refusals_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gt, results = files(tmp_path)
    plain = tmp_path / "plain.json"
    fields = ("image_id", "category_id", "keypoints", "score", "bbox", "annotation_id")
    plain.write_text(json.dumps([{name: row[name] for name in fields} for row in json.loads(results.read_text())]))
    out = tmp_path / "review.json"
    for path, options, message in (
        (plain, (), f"{plain}: no trust"),
        (results, ("--kinds", "swaped"), "--kinds: "),
        (results, ("--min-probability", "2"), "--min-probability: expected a number from 0 to 1"),
    ):
        assert run("review", "--gt", gt, "--results", path, "--out", out, *options) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and "\n" not in error and not out.exists()
    truth, poses = labelled_and_posed()
    with pytest.raises(InputError, match="no pose with trust matches"):
        tp.review(truth, replace(poses, quality=np.full(poses.score.shape, np.nan)))
    with pytest.raises(InputError, match="image"):
        tp.review(truth, replace(poses, image_id=poses.image_id + 1))
    assert tp.review(truth, replace(poses, image_id=poses.image_id + 1, annotation_id=None), common=True).notes


def test_results_without_ids_are_paired_by_box_and_a_calibrator_adds_trust() -> None:
    truth, poses = labelled_and_posed()
    wrong = spoilt(truth, "position")[0]
    by_id, by_box = tp.review(wrong, poses), tp.review(wrong, replace(poses, annotation_id=None))
    assert by_id.to_json()[0] == by_box.to_json()[0]
    plain = replace(poses, quality=None, visibility=None, pose_quality=None)
    calibrated = tp.review(wrong, plain, calibrator="shipped:simplepose")
    assert len(calibrated) and calibrated.to_json()[0]["kind"] in HYPOTHESES
    assert repr(by_id).startswith("Suspects(") and "position" in by_id._repr_html_()
