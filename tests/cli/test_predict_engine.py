"""`trustpose predict --engine ray`: what is refused, in one line and before anything starts, and what is printed."""

import re
import sys
from dataclasses import replace

import pytest

from tests.cli.predict_cases import case as case  # a fixture
from tests.cli.predict_cases import refused, run
from trustpose.extras import not_installed
from trustpose.scale import run as scale
from trustpose.scale.folder import Total
from trustpose.scale.table import Unread


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--engine", "spark"], "--engine: expected ray, got 'spark'"),
        (["--workers", "2"], "--workers: is for --engine ray"),
        (["--engine", "ray", "--gt", "gt.json"], "--gt: is not for --engine ray"),
        (["--engine", "ray", "--track"], "--track: is not for --engine ray"),
        (["--engine", "ray", "--hands", "hand"], "--hands: is not for --engine ray"),
        (["--engine", "ray", "--format", "csv"], "--format csv: is not for --engine ray"),
    ],
)
def test_refused(case, options, match):
    refused(match, case[0] / "photos", *options)


def test_without_ray_one_line_says_how_to_get_it(case, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    refused(
        re.escape(f"--engine ray: {not_installed('ray', 'ray')}"),
        case[0] / "photos",
        "--engine",
        "ray",
        "--out",
        case[0] / "out",
    )
    assert not (case[0] / "out").exists()


def test_options_arrive_and_the_line_at_the_end(monkeypatch):
    asked = []

    def predict(*given):
        asked.extend(given)
        return Total(2, 9, 12, 1, [Unread(3, "a.jpg", "why")])

    monkeypatch.setattr(scale, "predict_at_scale", predict)
    code, printed = run(
        *(
            "s3://bucket/*.tar",
            "--engine",
            "ray",
            "--out",
            "s3://bucket/out?region=eu-west-1",
            "--flip",
            "--address",
            "auto",
        ),
        *("--workers", 3, "--block", 7, "--resume", "--max-pixels", 99),
    )
    model, names, out, options, how, _ = asked
    assert (model, names, out) == ("default", ["s3://bucket/*.tar"], "s3://bucket/out?region=eu-west-1")
    assert (options.flip, options.max_pixels, options.device) == (True, 99, "auto")
    assert how == scale.ScaleOptions(engine="ray", address="auto", block=7, workers=3, resume=True) and how != replace(
        how, resume=False
    )
    assert code == 1
    assert "12 people on 9 photos or frames: s3://bucket/out/poses\n" in printed
    assert "skipped 1 of 9 photos or frames, see s3://bucket/out/errors.parquet\n" in printed
