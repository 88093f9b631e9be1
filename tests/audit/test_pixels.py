"""The audit of errors in pixels, on errors drawn from the very mixture and on errors twice as large."""

from pathlib import Path

import numpy as np
import pytest

from trustpose.audit.build import audit
from trustpose.formats.coco import read_truth, write_results
from trustpose.geometry.expected_error import expected_error
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.pixel_error import coverage_replicates, median_replicates
from trustpose.poses import Poses


def results(data_dir: Path, path: Path, factor: float) -> Path:
    """Results on the people of `dev` with made-up quality and errors drawn from its error distribution, times
    `factor`."""
    people = read_truth(data_dir / "coco/dev_gt.json").truth
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
    record = audit(data_dir / "coco/dev_gt.json", results(data_dir, tmp_path / "r.json", 1.0), replicates=100)
    n = int((read_truth(data_dir / "coco/dev_gt.json").truth.v > 0).sum())
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
    record = audit(data_dir / "coco/dev_gt.json", results(data_dir, tmp_path / "r.json", 2.0), replicates=0)
    assert record.pixels.median_ratio == pytest.approx(2, abs=0.06)
    assert record.pixels.coverage["50"] < 0.3 and record.pixels.coverage["95"] < 0.9


def test_without_quality_it_is_null_and_reported(data_dir: Path) -> None:
    record = audit(data_dir / "coco/dev_gt.json", data_dir / "results/simplepose.dev.json", replicates=2)
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
    counts = resample_counts(30, 20)
    coverage, medians = coverage_replicates(counts, values, image), median_replicates(counts, values, image)
    for draw, row in enumerate(counts):
        drawn = np.repeat(values, row[image])
        for share in (0.5, 0.8, 0.95):
            assert coverage[f"{100 * share:.0f}"][draw] == pytest.approx(np.mean(drawn <= share))
        assert medians[draw] == pytest.approx(np.median(drawn), abs=0.003)
