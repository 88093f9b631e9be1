"""The page of one or several audits: one self-contained HTML file without scripts."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from trustpose.evaluation.localisation import JointsAudit
from trustpose.evaluation.record import Audit
from trustpose.files import InputError
from trustpose.metrics.reliability import expected_calibration_error
from trustpose.report import plots
from trustpose.report.comparison import Differences, Headlines, among_the_best, comparison, differences, table, versus
from trustpose.report.gallery import KINDS, MAX_PICTURES, Gallery, gallery
from trustpose.report.joints import joint_sections, joints_page
from trustpose.report.plots import SERIES
from trustpose.report.summary import (
    bias,
    conclusion,
    file_labels,
    number,
    opening,
    score_fields,
    verdict,
    why_none,
)
from trustpose.report.templates import TEMPLATES, TERMS, letter
from trustpose.version import __version__

DASH_PAIR = "– / –"
MAX_PICTURES_OF_SEVERAL = 3  # pictures of each kind if several files share the page
WIDTH_OF_SEVERAL = 310  # of plots side by side, CSS pixels

HEADLINES: Headlines = {
    "How good the poses are": (
        ("ap.AP", "Average precision (AP)", True),
        ("ap.AP50", "AP, lenient: OKS of 0.50 is enough", True),
        ("ap.AP75", "AP, strict: OKS of 0.75 is needed", True),
        ("ap.APm", "AP on people of medium size", True),
        ("ap.APl", "AP on large people", True),
        ("ap.AR", "Average recall (AR)", True),
    ),
    "Potential of a better score": (
        ("oracle_ap.AP", "AP if ranked by true quality (oracle AP)", True),
        ("headroom", "AP lost to bad scores (headroom)", False),
    ),
    "The pose score against true quality (OKS)": (
        ("pose.pearson", "Correlation (Pearson)", True),
        ("pose.spearman", "Correlation of ranks (Spearman)", True),
        ("pose.ece", "Calibration error (ECE)", False),
    ),
    "Keypoint scores against true quality (OPKS)": (
        ("keypoint.pearson", "Correlation, keypoint by keypoint", True),
        ("keypoint.pearson_pose_mean", "Correlation of each pose's averages", True),
        ("keypoint.ece", "Calibration error (ECE)", False),
        ("keypoint.brier", "Mean squared error (Brier)", False),
    ),
    "Knowing which keypoints are labelled": (
        ("visibility.labelled.precision", "Precision", True),
        ("visibility.labelled.recall", "Recall", True),
        ("visibility.labelled.f1", "F1", True),
        ("visibility.labelled.accuracy", "Accuracy", True),
    ),
    "Knowing absent, occluded and visible keypoints": (
        ("visibility.ternary.absent.f1", "F1, absent", True),
        ("visibility.ternary.occluded.f1", "F1, occluded", True),
        ("visibility.ternary.visible.f1", "F1, visible", True),
        ("visibility.ternary.total.f1", "F1, all three by their share", True),
    ),
    "Telling occluded from visible and absent keypoints, at every threshold on P(occluded)": (
        ("visibility.occluded.average_precision", "Average precision among labelled keypoints", True),
        ("visibility.occluded.auroc", "AUROC among labelled keypoints", True),
        ("visibility.occluded.given_labelled.average_precision", "Average precision, by P(occluded | labelled)", True),
        ("visibility.occluded.given_labelled.auroc", "AUROC, by P(occluded | labelled)", True),
        ("visibility.occluded.best_f1", "F1 at the best threshold, chosen on other photos", True),
    ),
}
PRESENCE: Headlines = {
    "Telling boxes of people from other boxes (presence)": (
        ("presence.auroc", "AUROC, boxes of people against other boxes", True),
        ("presence.ece", "Calibration error (ECE)", False),
        ("presence.brier", "Mean squared error (Brier)", False),
        ("presence.n", "Results that count: in photos whose people all have boxes", None),
    )
}
IN_PIXELS: Headlines = {
    "Expected errors in pixels": (
        ("pixels.coverage.50", "Errors within the discs that should hold 50 %", None),
        ("pixels.coverage.80", "Errors within the discs that should hold 80 %", None),
        ("pixels.coverage.95", "Errors within the discs that should hold 95 %", None),
        ("pixels.median_ratio", "Median of error / expected median: 1 is right", None),
    )
}
FOLLOWING: Headlines = {
    "Following people from frame to frame": (
        ("tracking.HOTA", "HOTA: people found and ids kept, over all OKS thresholds", True),
        ("tracking.DetA", "Detection accuracy, a part of HOTA", True),
        ("tracking.AssA", "Association accuracy, the other part", True),
        ("tracking.IDF1", "IDF1: poses with the right id, OKS 0.5", True),
        ("tracking.MOTA", "MOTA: 1 − (misses + false alarms + switches) / people, OKS 0.5", True),
        ("tracking.switches", "Identity switches", None),
        ("tracking.untracked", "Poses of no track, left out here", None),
    )
}
CROWDING: Headlines = {
    "In photos from sparse to crowded (CrowdPose's levels)": (
        ("crowd.easy.AP", "AP, easy: crowd index below 0.2", True),
        ("crowd.medium.AP", "AP, medium: from 0.2 to below 0.8", True),
        ("crowd.hard.AP", "AP, hard: 0.8 and above", True),
    )
}


def page(audits: Sequence[Audit | JointsAudit], images: Path | None = None) -> str:
    """Return the page as HTML. Raises ValueError without an audit or for both kinds of them, InputError if the folder
    of photos is missing, or is given for audits without OKS, by which the gallery chooses."""
    if not audits:
        raise ValueError("audits: expected at least one, got none")
    joints = [audit for audit in audits if isinstance(audit, JointsAudit)]
    oks_audits = [audit for audit in audits if isinstance(audit, Audit)]
    if joints and oks_audits:
        raise ValueError("audits: expected all with OKS or all without, got both")
    if joints and images is not None:
        raise InputError(f"{images}: the gallery chooses people by OKS, which needs sigmas")
    return joints_page(joints) if joints else _page(oks_audits, images)


def _page(audits: Sequence[Audit], images: Path | None) -> str:
    notes = [_Notes(audit, file_index) for file_index, audit in enumerate(audits)]
    labels = file_labels(audits)
    paired_differences = differences(audits)
    headlines = HEADLINES | (CROWDING if all(audit.crowd for audit in audits) else {})
    headlines |= FOLLOWING if any(audit.tracking is not None for audit in audits) else {}
    headlines |= PRESENCE if any(audit.presence.n for audit in audits) else {}
    headlines |= IN_PIXELS if any(audit.pixels.n for audit in audits) else {}
    width = () if len(audits) == 1 else (WIDTH_OF_SEVERAL,)
    return TEMPLATES.get_template("page.html.jinja").render(
        version=__version__,
        audits=audits,
        labels=labels,
        colours=[SERIES[file_index % len(SERIES)] for file_index in range(len(audits))],
        paragraphs=opening(audits[0])
        if len(audits) == 1
        else comparison(audits, labels, paired_differences, headlines),
        letters=[letter(file_index) for file_index in range(len(audits))],
        conclusions=[conclusion(audit) for audit in audits],
        terms=TERMS,
        score_fields=score_fields(audits),
        key_numbers=_key_numbers(audits[0]),
        table=_headlines(audits, notes, paired_differences, headlines),
        categories=_categories(audits),
        comparisons=[
            table(audits, labels, paired_differences, file_index, headlines) for file_index in range(len(audits))
        ]
        if paired_differences
        else [],
        drawn=any(
            difference.low is not None for by_metric in paired_differences.values() for difference in by_metric.values()
        ),
        scatters=[plots.score_against_oks(audit, file_index, *width) for file_index, audit in enumerate(audits)],
        on_unit_scale=[audit.pose.ece is not None for audit in audits],
        reliability=_reliability(audits),
        occlusion=_occlusion(audits),
        error_shares=plots.error_shares(audits),
        errors=plots.ERRORS,
        gains=[plots.ap_gains(audit, file_index, *width) for file_index, audit in enumerate(audits)],
        gain_names=plots.GAINS,
        gain_starts=[plots.gain_start(audit) for audit in audits],
        versus=None if images is None else versus(audits, images),
        galleries=_galleries(audits, images),
        joints=joint_sections(audits),
        kinds=KINDS,
        cell=partial(_cell, audits, notes),
        notes=[note.texts for note in notes],  # the template shows them last, when all reasons are collected
    )


class _Notes:
    """The notes of one audit; the reasons for missing numbers are added when a table shows a dash."""

    def __init__(self, audit: Audit, file_index: int) -> None:
        self.audit, self.file_index = audit, file_index
        self.texts = list(audit.notes)

    def reference(self, name: str) -> tuple[str, int]:
        """Return the id and the number of the note that explains why a number is None."""
        reason = why_none(self.audit, name)
        if reason not in self.texts:
            self.texts.append(reason)
        note_number = self.texts.index(reason) + 1
        return f"note-{self.file_index + 1}-{note_number}", note_number


def _cell(audits: Sequence[Audit], notes: Sequence[_Notes], file_index: int, name: str) -> dict[str, Any]:
    """Return one number of one audit for a table: text, interval, or the note that explains its absence."""
    value = audits[file_index].number(name)
    interval = audits[file_index].intervals.get(name)
    return {
        "value": value,
        "text": number(value),
        "interval": None if interval is None or value is None else [number(end) for end in interval],
        "note": notes[file_index].reference(name) if value is None else None,
        "best": False,
    }


def _headlines(
    audits: Sequence[Audit], notes: Sequence[_Notes], paired_differences: Differences, headlines: Headlines
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the headline table by group, with the best of several audits, and its equals, marked."""
    groups = {}
    for group, rows in headlines.items():
        groups[group] = []
        for name, title, higher in rows:
            cells = [_cell(audits, notes, file_index, name) for file_index in range(len(audits))]
            for cell, best in zip(cells, among_the_best(audits, paired_differences, name, higher), strict=True):
                cell["best"] = best
            groups[group].append({"name": name, "title": title, "higher": higher, "cells": cells})
    return groups


def _categories(audits: Sequence[Audit]) -> list[dict[str, Any]]:
    """Return a row for each category, with its people and each audit's numbers; none for a single category."""
    return [
        {
            "name": name,
            "n": next(audit.categories[name].n for audit in audits if name in audit.categories),
            "numbers": [audit.categories.get(name) or {"AP": None, "AR": None} for audit in audits],
        }
        for name in dict.fromkeys(name for audit in audits for name in audit.categories)
    ]


def _key_numbers(audit: Audit) -> list[tuple[str, str]]:
    """Return four key numbers with their descriptions."""
    means = bias(audit)
    means_text = DASH_PAIR if means is None else f"{means[0]:.2f} / {means[1]:.2f}"
    return [
        (number(audit.number("ap.AP")), "average precision (AP), 1 is perfect"),
        (number(audit.pose.pearson), "correlation of score with true quality, 1 is perfect"),
        (number(audit.headroom), "AP lost to bad scores (headroom), 0 is perfect"),
        (means_text, f"mean score / mean true quality: {verdict(audit)}"),
    ]


def _reliability(audits: Sequence[Audit]) -> list[dict[str, Any]]:
    """Return a panel for each type of keypoint, with each audit's ECE."""
    groups = [plots.keypoint_groups(audit.details.keypoint_names) for audit in audits]
    panels = []
    for index, kind in enumerate(dict.fromkeys(kind for kinds in groups for kind in kinds)):
        columns = [columns_by_kind.get(kind, []) for columns_by_kind in groups]
        pairs = [plots.score_and_opks(audit, kind_columns) for audit, kind_columns in zip(audits, columns, strict=True)]
        errors = [None if pair is None else expected_calibration_error(*pair) for pair in pairs]
        plot = plots.keypoint_reliability(audits, columns, f"reliability{index}")
        two = any(len(kind_columns) > 1 for kind_columns in columns)
        panels.append({"kind": kind, "two": two, "ece": [number(error) for error in errors], "plot": plot})
    return panels


def _occlusion(audits: Sequence[Audit]) -> list[dict[str, Any]]:
    """Return a panel for each occlusion benchmark, with people, AP and oracle AP of each audit."""
    names: Iterable[str] = dict.fromkeys(name for audit in audits for name in audit.occlusion)
    return [
        {
            "name": name,
            "plot": plots.precision_by_occlusion(audits, name),
            "numbers": [audit.occlusion[name] for audit in audits],
        }
        for name in names
    ]


def _galleries(audits: Sequence[Audit], images: Path | None) -> list[Gallery] | None:
    if images is None:
        return None
    max_pictures = MAX_PICTURES if len(audits) == 1 else MAX_PICTURES_OF_SEVERAL
    return [gallery(audit, images, max_pictures) for audit in audits]
