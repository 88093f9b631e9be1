"""The statements of docs/comparison.md on other packages hold for the installed versions."""

import importlib
import importlib.metadata
import inspect
import re

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "comparison.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "package", ["pycocotools", "faster-coco-eval", "supervision", "netcal", "mediapipe", "rtmlib"], ids=str
)
def test_the_versions_are_those_that_were_checked(package: str) -> None:
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    named = re.search(rf"\| {package} ([\d.]+)", PAGE, re.IGNORECASE)
    assert named and named[1] == version, "look again at what the page says of it"


def test_keypoint_evaluation_and_sigmas() -> None:
    cocoeval = pytest.importorskip("pycocotools.cocoeval", reason="needs pycocotools")
    faster = pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval")
    supervision = pytest.importorskip("supervision", reason="needs supervision")
    assert len(cocoeval.Params("keypoints").kpt_oks_sigmas) == 17
    assert "kpt_oks_sigmas" in inspect.signature(faster.COCOeval_faster).parameters
    assert "sigmas" in inspect.signature(supervision.metrics.KeyPointMeanAveragePrecision).parameters


def test_calibration_error_is_netcals_alone() -> None:
    metrics = pytest.importorskip("netcal.metrics", reason="needs netcal")
    binning, scaling = importlib.import_module("netcal.binning"), importlib.import_module("netcal.scaling")
    assert metrics.ECE and binning.HistogramBinning and binning.IsotonicRegression
    assert scaling.LogisticCalibration and scaling.BetaCalibration and scaling.TemperatureScaling
    assert any(line.startswith("torch") for line in importlib.metadata.requires("netcal") or [])
    supervision = pytest.importorskip("supervision", reason="needs supervision")
    others = [*dir(supervision.metrics), *dir(importlib.import_module("faster_coco_eval").COCOeval_faster)]
    assert not [name for name in others if re.search("calibrat|ece$|correlat|pearson|bootstrap", name, re.IGNORECASE)]


def test_what_estimators_give_for_each_joint() -> None:
    supervision = pytest.importorskip("supervision", reason="needs supervision")
    assert {"visible", "keypoint_confidence"} <= set(inspect.signature(supervision.KeyPoints).parameters)
    landmark = pytest.importorskip(
        "mediapipe.tasks.python.components.containers.landmark", reason="needs mediapipe"
    ).NormalizedLandmark
    assert {"visibility", "presence"} <= set(inspect.signature(landmark).parameters)
    assert not any("torch" in line for line in importlib.metadata.requires("mediapipe") or [])
