"""Summarise an audit in one sentence: what its scores are good for, and what to do about them.

The rules, in this order, are those of docs/evaluation.md, "The verdict":

1. fewer than `FEW_POSES` poses matched to a labelled person: too few to judge;
2. an AP below `LITTLE_AP`: the poses, not the scores, need attention first;
3. how well the score separates good poses from bad, by Pearson correlation with OKS (`summary.HOW_WELL`);
4. whether it is on a scale from 0 to 1 and calibrated (`summary.is_calibrated`), and in which direction it is off;
5. for a calibrated score, whether bad ranking costs more than `MUCH_AP` (headroom).
"""

from trustpose.evaluation.record import Audit
from trustpose.report.summary import HOW_WELL, bias, count, verdict

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
