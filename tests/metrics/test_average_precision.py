"""The ten COCO numbers against pycocotools and xtcocotools."""

import contextlib
import copy
import importlib
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import trustpose as tp
from tests.coco_cases import coco_cases, pycocotools_numbers
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.average_precision import (
    evaluate,
)
from trustpose.metrics.matching import pair_oks
from trustpose.poses import Poses, Truth

FILES = [
    ("coco/val2017_gt.json", "results/val2017_perturbed.json"),
    *(
        (f"coco/{split}_gt.json", f"results/{network}.{split}.json")
        for split in ("dev", "train")
        for network in ("simplepose", "simplepose_flip", "movenet-thunder")
    ),
]


def our_numbers(truth: Path, results: Path, sigmas: np.ndarray | None = None, area: str = "file") -> np.ndarray:
    read = read_coco_truth(truth)
    poses = read_results(results, truth=read)
    sigmas = read.skeleton.sigmas if sigmas is None else sigmas
    evaluation = evaluate(poses.poses, read.truth, poses.score, sigmas=sigmas, area=area)
    return np.array(list(asdict(evaluation.summary()).values()))


@pytest.mark.slow
@pytest.mark.parametrize(("truth", "results"), FILES, ids=[Path(results).stem for _, results in FILES])
def test_equals_pycocotools_on_real_people(data_dir: Path, tmp_path: Path, truth: str, results: str) -> None:
    files = data_dir / truth, data_dir / results
    if "train" in results:  # pycocotools takes a second on 400 photos
        files = some_photos(*files, every=4, folder=tmp_path)
    expected = pycocotools_numbers(*map(str, files))
    np.testing.assert_allclose(our_numbers(*files), expected, rtol=0, atol=1e-12)


def some_photos(truth: Path, results: Path, *, every: int, folder: Path) -> tuple[Path, Path]:
    """Copies of the files with every n-th photo only."""
    labels, rows = (json.loads(path.read_bytes()) for path in (truth, results))
    labels["images"] = labels["images"][::every]
    few = {image["id"] for image in labels["images"]}
    labels["annotations"] = [row for row in labels["annotations"] if row["image_id"] in few]
    files = folder / "gt.json", folder / "results.json"
    files[0].write_text(json.dumps(labels))
    files[1].write_text(json.dumps([row for row in rows if row["image_id"] in few]))
    return files


@pytest.mark.parametrize("with_box", [False, True])
def test_equals_pycocotools_with_dropped_joints(data_dir: Path, tmp_path: Path, with_box: bool) -> None:
    """What OpenPose writes, 0, 0, 0 and no box: pycocotools takes area and OKS from all keypoints, and so does AP."""
    truth, results = (data_dir / name for name in ("coco/dev_gt.json", "results/movenet-thunder.dev.json"))
    rows = json.loads(results.read_text())
    random = np.random.default_rng(0)
    for row in rows:
        keypoints = np.reshape(row["keypoints"], (17, 3))
        keypoints[keypoints[:, 2] < 0.3] = 0
        row["keypoints"], row["score"] = keypoints.ravel().tolist(), float(keypoints[:, 2].mean())
        row.pop("annotation_id")
        if not with_box:
            row.pop("bbox")
    moved = [row | {"keypoints": [x + random.normal(0, 40) * (x > 0) for x in row["keypoints"]]} for row in rows]
    (tmp_path / "results.json").write_text(json.dumps(rows + moved))
    assert read_results(tmp_path / "results.json").poses.missing is not None
    expected = pycocotools_numbers(str(truth), str(tmp_path / "results.json"))
    np.testing.assert_allclose(our_numbers(truth, tmp_path / "results.json"), expected, rtol=0, atol=1e-12)


@pytest.mark.slow
@settings(max_examples=250)
@given(coco_cases())
def test_equals_pycocotools_on_made_up_cases(tmp_path_factory: pytest.TempPathFactory, case) -> None:
    truth, results, sigmas = case
    folder = tmp_path_factory.mktemp("case")
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    ours = our_numbers(folder / "gt.json", folder / "results.json", sigmas)
    expected = pycocotools_numbers(copy.deepcopy(truth), copy.deepcopy(results), sigmas)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


def xtcocotools_numbers(truth: Path, results: Path, kind: str) -> np.ndarray:
    """What xtcocotools makes of CrowdPose results, without areas."""
    pytest.importorskip("xtcocotools", reason="xtcocotools can be had for Python 3.11 only")
    # its wheel is compiled for numpy 1; only its mask code is, which keypoints do not use
    sys.modules["xtcocotools._mask"] = importlib.import_module("pycocotools._mask")
    xtcocotools_coco = importlib.import_module("xtcocotools.coco")
    from xtcocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = xtcocotools_coco.COCO(str(truth))
        evaluation = COCOeval(
            coco, coco.loadRes(str(results)), kind, read_coco_truth(truth).skeleton.sigmas, use_area=False
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.fixture(scope="module")
def crowdpose(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The people of a quarter of CrowdPose's validation photos and two noisy copies of each as results."""
    whole, folder = data_dir / "crowdpose" / "crowdpose_val.json", tmp_path_factory.mktemp("crowdpose")
    (folder / "none.json").write_text("[]")
    path, written = some_photos(whole, folder / "none.json", every=4, folder=folder)
    truth = read_coco_truth(path)
    random = np.random.default_rng(0)
    results = []
    for _ in range(2):
        noise = random.normal(0, 0.04, truth.truth.xy.shape) * np.sqrt(truth.truth.area_by("box"))[:, None, None]
        for xy, image in zip(truth.truth.xy + noise, truth.truth.image_id, strict=True):
            keypoints = np.c_[xy, np.ones(14)].round(2).ravel().tolist()
            score = float(random.integers(1, 200) / 200)
            results.append({"image_id": int(image), "category_id": 1, "keypoints": keypoints, "score": score})
    written.write_text(json.dumps(results))
    return path, written


def test_equals_xtcocotools_without_areas_on_crowdpose(crowdpose: tuple[Path, Path]) -> None:
    truth = read_coco_truth(crowdpose[0])
    # xtcocotools counts labelled joints itself; CrowdPose's own num_keypoints counts the visible ones alone
    counted = truth.truth[:]
    object.__setattr__(counted, "num_keypoints", (counted.v > 0).sum(axis=1))
    poses = read_results(crowdpose[1], truth=truth)
    ours = evaluate(poses.poses, counted, poses.score, sigmas=truth.skeleton.sigmas, area="box*0.53").summary()
    expected = xtcocotools_numbers(*crowdpose, "keypoints")[:10]
    np.testing.assert_allclose(list(asdict(ours).values()), expected, rtol=0, atol=1e-12)


def test_an_audit_equals_xtcocotools_keypoints_crowd(crowdpose: tuple[Path, Path], tmp_path: Path) -> None:
    files = some_photos(*crowdpose, every=2, folder=tmp_path)  # 250 photos
    record = tp.audit(*files, area="box*0.53", draws=20)
    expected = xtcocotools_numbers(*files, "keypoints_crowd")
    ours = [getattr(record.ap, name) for name in ("AP", "AP50", "AP75", "AR", "AR50", "AR75")]
    np.testing.assert_allclose(ours, expected[:6], rtol=0, atol=1e-12)
    levels = [record.crowd[name] for name in ("easy", "medium", "hard")]
    np.testing.assert_allclose([round(level.AP, 4) for level in levels], expected[6:9], rtol=0, atol=1e-12)
    assert expected[6] != expected[7] != expected[8]
    people = read_coco_truth(files[0]).truth
    assert sum(level.n for level in levels) == ((people.num_keypoints > 0) & ~people.iscrowd).sum()
    for name in record.crowd:
        low, high = record.intervals[f"crowd.{name}.AP"]
        assert low < record.number(f"crowd.{name}.AP") < high


def test_a_perfect_result_has_ap_1_and_a_far_one_0() -> None:
    xy = np.arange(34.0).reshape(1, 17, 2) * 5
    truth = Truth(
        xy=xy,
        v=np.full((1, 17), 2),
        area=np.array([5000.0]),
        box=np.array([[0.0, 0, 100, 100]]),
        image_id=np.array([1]),
        annotation_id=np.array([1]),
    )
    for shift, expected in ((0, 1.0), (1000, 0.0)):
        poses = Poses(xy=xy + shift, score=np.ones((1, 17)), image_id=np.array([1]))
        summary = evaluate(poses, truth, np.ones(1), sigmas=np.full(17, 0.05), area="file").summary()
        assert summary.AP == pytest.approx(expected)
        assert summary.AR == pytest.approx(expected)
        assert summary.APl == -1
        assert summary.as_dict()["APl"] is None


@settings(max_examples=60)
@given(coco_cases())
def test_pruned_pairs_are_the_pairs_at_the_threshold(tmp_path_factory: pytest.TempPathFactory, case) -> None:
    truth, results, sigmas = case
    folder = tmp_path_factory.mktemp("case")
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    read = read_coco_truth(folder / "gt.json")
    poses = read_results(folder / "results.json", truth=read).poses
    everything = pair_oks(poses, read.truth, sigmas=sigmas, area="file")
    for minimum in (0.1, 0.5, 0.95, 1.0):
        pruned = pair_oks(poses, read.truth, sigmas=sigmas, area="file", minimum=minimum)
        expected = everything.at_least(minimum)
        np.testing.assert_array_equal(pruned.pose, expected.pose)
        np.testing.assert_array_equal(pruned.person, expected.person)
        np.testing.assert_array_equal(pruned.oks, expected.oks)


def test_missing_columns_and_other_numbers_of_keypoints_are_named() -> None:
    poses = Poses(xy=np.zeros((1, 2, 2)), image_id=np.array([1]))
    truth = Truth(xy=np.zeros((1, 3, 2)), v=np.ones((1, 3), dtype=int), area=np.ones(1), image_id=np.array([1]))
    with pytest.raises(ValueError, match="poses have 2, truth 3, sigmas 2"):
        evaluate(poses, truth, np.ones(1), sigmas=np.ones(2), area="file")
    with pytest.raises(ValueError, match="image_id is needed"):
        evaluate(Poses(xy=np.zeros((1, 3, 2))), truth, np.ones(1), sigmas=np.ones(3), area="file")
