"""The audit of errors in pixels, on errors drawn from the very mixture and on errors twice as large."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trustpose.evaluation.audit import audit
from trustpose.evaluation.draws import Findings, Resampling
from trustpose.evaluation.errors import PixelErrors
from trustpose.files import InputError
from trustpose.geometry.expected_error import LabelledErrors, expected_error, fit_error_model
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.bootstrap import resample_counts, sums_by_group
from trustpose.metrics.localisation import SHARES
from trustpose.metrics.matching import pair_with_people
from trustpose.poses import Poses, write_results
from trustpose.skeletons import COCO_17


def results(data_dir: Path, path: Path, factor: float) -> Path:
    """Results on the people of `dev` with made-up quality and errors drawn from its error distribution, times
    `factor`."""
    people = read_coco_truth(data_dir / "coco/dev_gt.json").truth
    people = people[(people.v > 0).any(axis=1)]
    generator = np.random.default_rng(0)
    shape = people.v.shape
    absent = generator.uniform(0, 0.5, shape)
    poses = Poses(
        xy=people.xy.astype(np.float64),
        score=np.full(shape, 0.5),
        pose_score=np.full(len(people), 0.5),
        quality=generator.uniform(0.2, 0.98, shape) * (1 - absent),
        visibility=np.stack([absent, np.zeros(shape), 1 - absent], axis=2),
        box=people.box,
        image_id=people.image_id,
        annotation_id=people.annotation_id,
        skeleton=people.skeleton,
    )
    error = expected_error(poses)
    std = np.where(generator.uniform(size=shape) < error.gross, error.gross_std, error.std)
    moved = poses.xy + factor * generator.normal(size=(*shape, 2)) * std[..., None]
    write_results(path, Poses(**{**poses.columns(), "xy": moved}, skeleton=people.skeleton))
    return path


def test_discs_of_the_right_size_hold_their_share(data_dir: Path, tmp_path: Path) -> None:
    record = audit(data_dir / "coco/dev_gt.json", results(data_dir, tmp_path / "r.json", 1.0), draws=100)
    n = int((read_coco_truth(data_dir / "coco/dev_gt.json").truth.v > 0).sum())
    assert record.pixels.n == n
    for share in ("50", "80", "95"):
        name = f"pixels.coverage.{share}"
        low, high = record.intervals[name]
        assert record.number(name) == pytest.approx(int(share) / 100, abs=0.015)
        assert low < record.number(name) < high < low + 0.05
    low, high = record.intervals["pixels.median_ratio"]
    assert record.pixels.median_ratio == pytest.approx(1, abs=0.03) and low < record.pixels.median_ratio < high
    assert not any(name.startswith("pixels.") for name in record.details.draws.values)


def test_errors_twice_as_large_are_detected(data_dir: Path, tmp_path: Path) -> None:
    record = audit(data_dir / "coco/dev_gt.json", results(data_dir, tmp_path / "r.json", 2.0), draws=0)
    assert record.pixels.median_ratio == pytest.approx(2, abs=0.06)
    assert record.pixels.coverage["50"] < 0.3 and record.pixels.coverage["95"] < 0.9


def test_without_quality_it_is_null_and_reported(data_dir: Path) -> None:
    record = audit(data_dir / "coco/dev_gt.json", data_dir / "results/simplepose.dev.json", draws=2)
    assert record.as_dict()["pixels"] == {
        "coverage": {"50": None, "80": None, "95": None},
        "median_ratio": None,
        "n": 0,
        "joints": {},
        "by_quality": {},
        "discs": None,
    }
    assert "pixels.*: null, the results have no keypoint_quality" in record.notes


def test_draws_are_those_of_repeated_rows() -> None:
    """Against numpy on the drawn rows themselves."""
    generator = np.random.default_rng(1)
    image = generator.integers(0, 30, 2000)
    values = generator.uniform(size=2000)
    image.sort()
    section, findings = PixelErrors(), Findings(Resampling(np.arange(30), 20, 0))
    section._ratio.append(values)
    section._photo.append(image)
    within = np.concatenate([values[:, None] <= SHARES, np.ones((2000, 1), bool)], axis=1)
    section._photos.append(sums_by_group(within.astype(int), image, 30))
    coverage, medians = section._coverage_draws(findings), section._median_draws(findings)
    for draw, row in enumerate(resample_counts(30, 20)):
        drawn = np.repeat(values, row[image])
        for share in (0.5, 0.8, 0.95):
            assert coverage[f"coverage.{100 * share:.0f}"][draw] == pytest.approx(np.mean(drawn <= share))
        assert medians[draw] == pytest.approx(np.median(drawn), abs=0.003)


def test_discs_of_an_error_model_are_read_from_the_file_beside(data_dir: Path, tmp_path: Path) -> None:
    """Errors twice as large as the mixture says: its discs fail, by joint and quality; fitted ones hold."""
    path = results(data_dir, tmp_path / "r.json", 2.0)
    truth = read_coco_truth(data_dir / "coco/dev_gt.json").truth
    poses = read_results(path, skeleton=truth.skeleton).poses
    errors = LabelledErrors.of_poses(poses, truth, pair_with_people(poses, truth), truth.skeleton.sigmas)
    half = errors[errors.person < 450]
    poses = replace(poses, error_model=fit_error_model(half, truth.skeleton))
    poses.save(tmp_path / "trusted.json")
    assert (tmp_path / "trusted.errors.json").is_file()
    record = audit(data_dir / "coco/dev_gt.json", tmp_path / "trusted.json", draws=0)
    plain = audit(data_dir / "coco/dev_gt.json", path, draws=0)
    assert (record.pixels.discs, plain.pixels.discs) == ("fitted", "mixture")
    assert any(note.startswith("pixels.*: the discs are those of the mixture") for note in plain.notes)
    assert set(record.pixels.joints) == {joint.removeprefix("left_") for joint in COCO_17.names if "right" not in joint}
    assert sum(joint.n for joint in record.pixels.joints.values()) == record.pixels.n
    assert sum(one.n for one in record.pixels.by_quality.values()) == record.pixels.n
    for share in ("50", "80", "95"):
        assert record.pixels.coverage[share] == pytest.approx(int(share) / 100, abs=0.015)
        joints = record.pixels.joints.values()
        assert all(joint.coverage[share] == pytest.approx(int(share) / 100, abs=0.06) for joint in joints)
    assert plain.pixels.joints["wrist"].coverage["50"] < 0.35

    (tmp_path / "trusted.json").write_text((tmp_path / "trusted.json").read_text() + "\n")  # other results
    assert audit(data_dir / "coco/dev_gt.json", tmp_path / "trusted.json", draws=0).pixels.discs == "mixture"
    replace(poses, error_model=None).save(tmp_path / "trusted.json")
    assert not (tmp_path / "trusted.errors.json").exists()


def test_a_damaged_error_model_is_named(data_dir: Path, tmp_path: Path) -> None:
    path = results(data_dir, tmp_path / "r.json", 1.0)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    content = {"results": path.name, "sha256": digest, "errors": {"version": 7}}
    (tmp_path / "r.errors.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"r\.errors\.json: field 'errors\.version': expected 1, got 7"):
        read_results(path, skeleton=COCO_17)
