"""Plots: they show the arrays, do not interfere on one page, and contain no external content."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup
from sklearn.calibration import calibration_curve

from tests.report.cases import empty_cases, make_audit
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.report import plots
from trustpose.report.plots import COLOURS, axes, colour, inline


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return make_audit(tmp_path_factory.mktemp("audit"), 40)


def every_plot(audits: list[Audit]) -> list[Markup | None]:
    groups = plots.keypoint_groups(audits[0].details.keypoint_names)
    return [
        *(plots.score_against_oks(audit, i) for i, audit in enumerate(audits)),
        *(
            plots.keypoint_reliability(audits, [columns] * len(audits), f"reliability{i}")
            for i, columns in enumerate(groups.values())
        ),
        *(plots.precision_by_occlusion(audits, name) for name in audits[0].occlusion),
        plots.error_shares(audits),
        *(plots.ap_gains(audit, i) for i, audit in enumerate(audits)),
    ]


def test_every_plot_is_well_formed_and_asks_for_nothing(record: Audit) -> None:
    drawn = every_plot([record, record, record])
    assert sum(plot is not None for plot in drawn) >= 16
    for plot in drawn:
        if plot is not None:
            ElementTree.fromstring(plot.replace("xlink:", ""))
            assert "http" not in plot
            assert "<style" not in plot, "a style sheet inside one plot would reach the whole page"
            assert 'role="img"' in plot
            assert "aria-label=" in plot
            left = set(re.findall(r"#[0-9a-f]{6}\b", plot))
            assert not left, f"colours that the dark page cannot change: {left}"


def test_ids_of_plots_in_one_page_do_not_clash(record: Audit) -> None:
    ids = [match for plot in every_plot([record, record]) if plot for match in re.findall(r' id="([^"]+)"', plot)]
    assert ids
    assert len(ids) == len(set(ids))


def test_every_reference_within_a_plot_is_to_itself(record: Audit) -> None:
    for plot in every_plot([record]):
        if plot is not None:
            referenced = set(re.findall(r'(?:href="#|url\(#)([^")]+)', plot))
            assert referenced <= set(re.findall(r' id="([^"]+)"', plot))


def test_a_scatter_is_vector_or_pixels_by_size(record: Audit) -> None:
    few = plots.score_against_oks(record)
    n = plots.MAX_VECTOR_DOTS + 1
    rows = np.resize(record.details.measured, n)
    names = ("poses", "person", "pose_score", "oks", "keypoint_score", "opks", "labelled")
    repeated = {name: getattr(record.details, name)[rows] for name in names}
    details = replace(record.details, **repeated, measured=np.arange(n))
    many = plots.score_against_oks(replace(record, details=details))
    assert few is not None
    assert many is not None
    assert "<image" not in few
    assert many.count("<image") == 1
    assert "data:image/png;base64," in many
    assert len(many) < 400_000


def test_keypoint_types_join_left_and_right() -> None:
    assert plots.keypoint_groups(("nose", "left_eye", "right_eye", "wrist_left", "head_top")) == {
        "nose": [0],
        "eye": [1, 2],
        "wrist": [3],
        "head top": [4],
    }


def test_reliability_points_are_scikit_learns(record: Audit) -> None:
    details = record.details
    hits = (details.opks > 0.5).astype(float)
    changed_record = replace(record, details=replace(details, opks=hits))
    plot = plots.keypoint_reliability([changed_record], [list(range(17))], "all")
    assert plot is not None
    true, predicted = calibration_curve(hits.ravel(), details.keypoint_score.ravel(), n_bins=plots.BINS)
    # The plot's square: 226 × 210 pixels less the margins left 38, right 10, top 8, bottom 38.
    x, y = 38 + predicted * (226 - 48), 8 + (1 - true) * (210 - 46)
    path = next(p for p in re.findall(r'<path d="([^"]+)"[^>]*stroke-width: 1.8', plot))
    points = np.array([float(number) for number in re.findall(r"[-\d.]+", path)]).reshape(-1, 2)
    np.testing.assert_allclose(points, np.column_stack([x, y]), atol=2e-4)


def test_gains_are_stairs_from_ap_to_one(data_dir: Path) -> None:
    real = audit(data_dir / "coco" / "dev_gt.json", data_dir / "results" / "simplepose.dev.json", draws=0)
    start = plots.gain_start(real)
    assert start == pytest.approx(real.ap.AP, abs=0.005)  # but for people under 32 × 32 pixels
    plot = plots.ap_gains(real)
    assert plot is not None
    for gain in real.errors.ap_gain.values():
        assert f"{gain:+.3f}<" in plot


def test_where_nothing_can_be_drawn_there_is_no_plot(tmp_path: Path) -> None:
    cases = empty_cases(tmp_path)
    for case in cases.values():
        every_plot([case])  # raises nothing
    nobody = cases["no paired results"]
    assert plots.score_against_oks(nobody) is None
    assert plots.keypoint_reliability([nobody], [[0]], "x") is None
    assert plots.error_shares([nobody]) is None
    assert plots.ap_gains(cases["no labelled keypoints"]) is None
    off_scale = cases["no occluded or visible score scale"]
    assert plots.keypoint_reliability([off_scale], [[0]], "x") is None
    assert plots.score_against_oks(off_scale) is not None


def test_text_and_description_are_escaped() -> None:
    figure, plot = axes(100, 100)
    plot.text(0.1, 0.1, "<script>$x$", color=COLOURS["ink"])
    text = inline(figure, "name", 'a "<b>"')
    assert "<script" not in text
    assert "&lt;script&gt;$x$" in text
    assert 'aria-label="a &#34;&lt;b&gt;&#34;"' in text


def test_colours_repeat() -> None:
    assert colour(0) == colour(6)
    assert len({colour(i) for i in range(6)}) == 6
