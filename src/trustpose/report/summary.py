"""Summarise an audit in plain text: in one sentence, in the page's opening, in formatted numbers.

The sentence says what the scores are good for, and what to do about them. The rules, in this order,
are those of https://trustpose.github.io/trustpose/evaluation.html, "The verdict":

1. fewer than `FEW_POSES` poses matched to a labelled person: too few to judge;
2. an AP below `LITTLE_AP`: the poses, not the scores, need attention first;
3. how well the score separates good poses from bad, by Pearson correlation with OKS (`summary.HOW_WELL`);
4. whether it is on a scale from 0 to 1 and calibrated (`summary.is_calibrated`), and in which direction it is off;
5. for a calibrated score, whether bad ranking costs more than `MUCH_AP` (headroom).
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath

import numpy as np

from trustpose.evaluation.localisation import JointsAudit
from trustpose.evaluation.record import Audit
from trustpose.metrics.reliability import calibration_error_by_chance, scale_to_unit

DASH = "–"
CALIBRATED_ECE = 0.02  # up to this, a score is called calibrated; also up to what chance leaves in so few poses
VISIBLE_HEADROOM = 0.0005  # headroom visible in the third decimal
HOW_WELL = (  # by Pearson correlation of score and OKS, below the number
    (-0.2, "ranks bad poses above good ones"),
    (0.2, "hardly separates good poses from bad"),
    (0.4, "separates good poses from bad poorly"),
    (0.6, "separates good poses from bad moderately well"),
    (0.8, "separates good poses from bad fairly well"),
    (0.9, "separates good poses from bad well"),
    (2.0, "separates good poses from bad very well"),
)


def number(value: float | None, sign: bool = False) -> str:
    """Format with three decimals and a true minus sign, a count (int) without; a dash for None."""
    if value is None:
        return DASH
    if isinstance(value, int) and not sign:
        return str(value)
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    return text.replace("-", "−") if text.strip("+-0.") else text.lstrip("+-")


def with_interval(audit: Audit, name: str) -> str:
    """Format a number with its 95 % interval: "0.508 (0.479 to 0.535)"."""
    low_high = audit.intervals.get(name)
    interval_text = "" if low_high is None else f" ({number(low_high[0])} to {number(low_high[1])})"
    return number(audit.number(name)) + interval_text


def file_labels(audits: Sequence[Audit] | Sequence[JointsAudit]) -> list[str]:
    """Return a short name for each results file: its file name, with as many folders as make it unique."""
    paths = [PurePath(audit.inputs["results"]["file"]) for audit in audits]
    short = {path: path.name for path in paths}  # the same file may occur twice, with two scores
    for depth in range(2, 1 + max((len(path.parts) for path in paths), default=0)):
        names = list(short.values())
        short = {
            path: str(PurePath(*path.parts[-depth:])) if names.count(name) > 1 else name for path, name in short.items()
        }
    return [
        f"{short[path]} ({paths[: i + 1].count(path)}, by {audit.score_field})"
        if paths.count(path) > 1
        else short[path]
        for i, (path, audit) in enumerate(zip(paths, audits, strict=True))
    ]


def why_none(audit: Audit, name: str) -> str:
    """Return why a number is None: the audit's note about it, else the data it needs."""
    for note in audit.notes:
        head, _, rest = note.partition(":")
        names = re.split(r" and |, ", head)
        if "null" in rest and any(fnmatchcase(name, pattern) or name.startswith(pattern + ".") for pattern in names):
            return note
    part = name.partition(".")[0]
    if audit.number("ap.AP") is None and part in ("ap", "oracle_ap", "headroom"):
        return "ap.*, oracle_ap.* and headroom: no person with labelled keypoints counts for them"
    if part in ("ap", "oracle_ap", "headroom"):
        return f"{name}: no person with labelled keypoints counts for it"
    if not audit.pose.n:
        return f"{part}.*: no result is matched to a person with labelled keypoints"
    if "pearson" in name or "spearman" in name:
        return f"{name}: a correlation needs scores and true qualities that vary"
    return f"{name}: nothing of this kind is labelled or predicted"


def bias(audit: Audit) -> tuple[float, float] | None:
    """Return mean score and mean OKS of the matched poses; None without any."""
    details = audit.details
    if not len(details.measured):
        return None
    return float(details.pose_score[details.measured].mean()), float(np.mean(details.oks[details.measured]))


def is_calibrated(audit: Audit) -> bool:
    """Return whether the scores are calibrated: ECE of at most 0.02, or no more than chance leaves in so few poses."""
    details, ece = audit.details, audit.pose.ece
    scaled = None if ece is None else scale_to_unit(details.pose_score[details.measured])
    if ece is None or scaled is None:
        return False
    chance = calibration_error_by_chance(scaled, details.oks[details.measured])
    return ece <= max(CALIBRATED_ECE, 0.0 if np.isnan(chance) else chance)


def verdict(audit: Audit) -> str:
    """Describe in a few words whether scores are too high or too low."""
    means = bias(audit)
    if means is None or audit.pose.ece is None:
        return "unknown"
    if is_calibrated(audit):
        return "honest"
    off = means[0] - means[1]
    if abs(off) < audit.pose.ece / 2:
        return "too high in places, too low in others"
    return "overconfident" if off > 0 else "underconfident"


def score_fields(audits: Sequence[Audit]) -> str:
    """Return which field of the results ranks the poses, and which is compared with OKS, in words."""
    fields = dict.fromkeys((audit.score_field, audit.pose_field) for audit in audits)
    if len(fields) > 1:
        return "The files differ in the field that ranks poses or is compared with OKS: see “Inputs and settings”."
    ((ranks, compared),) = fields
    if ranks == compared:
        return f"Poses are ranked by the field {ranks}, which is also compared with OKS."
    return f"Poses are ranked by the field {ranks}; the field {compared} is compared with OKS."


def opening(audit: Audit) -> list[str]:
    """Return paragraphs on one audit for readers who do not know OKS: accuracy, ranking, calibration."""
    return [part for part in (_poses(audit), _ranking(audit), _calibration(audit)) if part]


def _poses(audit: Audit) -> str:
    truth, results = audit.inputs["ground_truth"], audit.inputs["results"]
    start = (
        f"{count(results['results'])} predicted poses are evaluated on "
        f"{count(truth['people_with_keypoints'])} people with labelled keypoints, in "
        f"{count(truth['images'], 'photo')}. "
    )
    ap = audit.number("ap.AP")
    if ap is None:
        return start + "None of these people counts in COCO's evaluation, so there is no average precision (AP)."
    categories = sum(category.AP is not None for category in audit.categories.values())
    mean = f", the mean over {categories} categories," if categories > 1 else ""
    return (
        f"{start}Their average precision (AP){mean} is {with_interval(audit, 'ap.AP')}: 1 would mean that everyone "
        "is found, every keypoint is where a careful human puts it, and no false pose ranks above a true one; 0 would "
        "mean that nothing is correct. Brackets hold the 95\u00a0% interval, the range of the number over other such "
        "samples."
    )


def _ranking(audit: Audit) -> str:
    r, headroom = audit.pose.pearson, audit.headroom
    sentences = []
    if r is not None:
        phrase = next(words for limit, words in HOW_WELL if r < limit)
        sentences.append(
            f"The score {phrase}: its correlation with true quality (OKS) is "
            f"{with_interval(audit, 'pose.pearson')}, where 1 is perfect and 0 is chance."
        )
    elif not audit.pose.n:
        sentences.append("No pose could be matched to a labelled person, so the scores cannot be evaluated.")
    else:
        sentences.append("All scores or all qualities are equal, so the score cannot separate good poses from bad.")
    if headroom is not None and headroom > VISIBLE_HEADROOM:
        sentences.append(
            f"Ranked by their true quality, the same poses would reach an AP of {number(audit.oracle_ap.AP)}: bad "
            f"scores alone cost {with_interval(audit, 'headroom')} of AP. A better score can regain this "
            "without moving a single keypoint."
        )
    elif headroom is not None and audit.pose.n:
        sentences.append("Ranking the poses by their true quality would not raise AP.")
    return " ".join(sentences)


def _calibration(audit: Audit) -> str:
    means, ece = bias(audit), audit.pose.ece
    if means is None:
        return ""
    if ece is None:
        return "The scores are not on a scale from 0 to 1, so they cannot be read as expected quality."
    judged = verdict(audit)
    if judged == "honest":
        return (
            "Read as expected quality the scores are calibrated: the calibration error (ECE), the average distance of "
            f"score and truth, is only {with_interval(audit, 'pose.ece')}."
        )
    averages = f"on average they are {means[0]:.2f} where the true quality is {means[1]:.2f}"
    direction = {
        "overconfident": f"too high (overconfident): {averages}",
        "underconfident": f"too low (underconfident): {averages}",
    }.get(judged, f"too high in places and too low in others: {averages}")
    return (
        f"Read as expected quality the scores are {direction}. The calibration error (ECE), the average "
        f"distance of score and truth, is {with_interval(audit, 'pose.ece')}."
    )


def count(number: int, thing: str = "") -> str:
    """Format as 1,496 or "1 photo", "365 photos"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}" if thing else f"{number:,}"


FEW_POSES = 30
LITTLE_AP = 0.1
MUCH_AP = 0.02
WELL = 0.6  # from this correlation on, ranking is good news: a fault in calibration follows with "but"


def conclusion(audit: Audit) -> str:
    """Return the verdict on one audit: a sentence without names of files or fields."""
    poses, ap = audit.pose.n, audit.number("ap.AP")
    if not poses:
        return "No pose is matched to a labelled person: check that results and ground truth belong together."
    if poses < FEW_POSES:
        return f"Only {count(poses, 'pose')} matched to labelled people: too few for a verdict."
    if ap is not None and ap < LITTLE_AP:
        return (
            f"Hardly any pose is near its label (AP {ap:.2f}): check image ids, the order of the keypoints and "
            "their coordinates before reading scores."
        )
    r = audit.pose.pearson
    if r is None:
        return "All scores are equal, or all poses equally good, so the score separates nothing."
    return _on_scores(audit, r)


def _on_scores(audit: Audit, r: float) -> str:
    ranking = "The score " + next(words for limit, words in HOW_WELL if r < limit)
    if verdict(audit) != "honest":
        return f"{ranking} {'but' if r >= WELL else 'and'} is {_fault(audit)}: calibrate it."
    link = "and" if r >= WELL else "but"
    headroom = audit.headroom
    if headroom is not None and headroom > MUCH_AP:
        return f"{ranking} {link} is calibrated; the ranking still costs {headroom:.2f} of AP."
    return f"{ranking} {link} is calibrated: use it as it is."


def _fault(audit: Audit) -> str:
    """Describe how the scores of an audit are not calibrated, after "is"."""
    means, ece = bias(audit), audit.pose.ece
    if ece is None or means is None:
        return "not on a scale from 0 to 1"
    off = f"{abs(means[0] - means[1]):.2f}"
    phrases = {"overconfident": f"too high by {off}", "underconfident": f"too low by {off}"}
    return phrases.get(verdict(audit), f"too high in places and too low in others, by {ece:.2f} on average")
