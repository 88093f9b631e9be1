"""The environment of the pages' templates, and the glossary that they link to."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from trustpose.report.summary import number

TERMS = {
    "OKS": "Object keypoint similarity: how close a pose is to the labelled one, from 0 to 1. Distances are relative "
    "to the size of the person and to how precisely humans label that kind of keypoint: an eye must be closer than a "
    "hip. Keypoints without a label do not count. Human annotators agree at about 0.95.",
    "OPKS": "The same for a single keypoint; 0 if it is not labelled.",
    "AP": "Average precision, COCO’s number for a set of poses: the area under precision over recall, averaged over "
    "ten OKS thresholds from 0.50 to 0.95. It depends on the keypoints and on the ranking of the poses by score.",
    "AR": "Average recall: the share of people found, averaged over the same ten thresholds. It hardly depends on the "
    "scores.",
    "Oracle AP": "The AP of the same poses with the true OKS as score: the AP with perfect scores.",
    "Headroom": "Oracle AP minus AP: the AP lost to bad scores.",
    "Calibrated": "A score is calibrated if it can be read as expected quality: poses with a score of 0.7 have an OKS "
    "of 0.7 on average. Overconfident scores are too high, underconfident ones too low. To calibrate a results file: "
    "trustpose calibrate fit, on photos with labels, then trustpose calibrate apply.",
    "ECE": "Expected calibration error: the average distance between scores and the mean true quality of poses (or "
    "keypoints) with such a score. 0 is perfectly calibrated; chance alone leaves some in a small sample.",
    "Correlation": "Pearson’s: 1 if quality rises linearly with the score, 0 if they are unrelated. Spearman’s is the "
    "same for ranks.",
    "Brier": "The mean squared difference of score and true quality. 0 is perfect.",
    "95 % interval": "The range of a number over other samples of such photos, from resampling these (bootstrap).",
    "Paired draws": "Samples of the photos, the same for all files. Easy and hard photos move all files together, so "
    "the difference of two files is known more precisely than either number.",
    "Precision": "Among those predicted, the share that is correct.",
    "Recall": "Among those that are there, the share that is found.",
    "F1": "The harmonic mean of precision and recall.",
    "AUROC": "The probability that a keypoint or box of the class scores higher than one of the others; 0.5 is chance.",
    "Presence": "The probability that a result is the one box for a person whom the labellers boxed: the boxes overlap "
    "with an IoU of at least 0.5, and each person counts once, for the result with the highest presence.",
    "Visible, occluded, absent": "COCO’s three states of a keypoint: labelled and visible; labelled but hidden; not "
    "labelled, mostly because it is outside the photo or cannot be located; drawings and texts on a photo say “not "
    "visible”.",
}
_SPELT = {
    "Calibration error": "ECE",
    "oracle AP": "Oracle AP",
    "calibrate": "Calibrated",
    "calibration error": "ECE",
    "overconfident": "Calibrated",
    "underconfident": "Calibrated",
    "P(occluded": "Visible, occluded, absent",
    "absent": "Visible, occluded, absent",
    "95\u00a0% interval": "95 % interval",
    **{term.lower(): term for term in TERMS if term not in ("OKS", "OPKS", "AP", "AR", "ECE", "AUROC", "F1")},
}
_WORDS = {**{term: term for term in TERMS}, **_SPELT}
_PATTERN = re.compile(
    r"(?<![\w.])(?<!verage )("  # "average precision" is no precision, and of keypoints it is not COCO's
    + "|".join(re.escape(word).replace("\u00a0", "(?:\u00a0|&nbsp;)") for word in sorted(_WORDS, key=len, reverse=True))
    + r")(?!\w)"
)


def anchor(term: str) -> str:
    """Return the id of a term's explanation in the page: "term-oracle-ap"."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


def linked(text: str) -> Markup:
    """Link the first mention of each term in a text of the page's own, plain (then escaped) or markup, to its
    explanation."""
    seen: set[str] = set()

    def link(match: re.Match[str]) -> str:
        term = _WORDS[match[1].replace("&nbsp;", "\u00a0")]
        if term in seen:
            return match[1]
        seen.add(term)
        return f'<a class="term" href="#{anchor(term)}">{match[1]}</a>'

    pieces = re.split(r"(<[^>]*>)", str(escape(text)))  # tags are every other piece
    return Markup("".join(_PATTERN.sub(link, piece) if i % 2 == 0 else piece for i, piece in enumerate(pieces)))


def breakable(name: str) -> Markup:
    """Escape a file name and allow lines to break after its separators rather than within words."""
    pieces = re.split(r"(?<=[._/\\-])", name)
    return Markup("<wbr>").join(piece for piece in pieces if piece)


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,  # file names and labels are untrusted
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"number": number, "linked": linked, "anchor": anchor, "breakable": breakable}


def letter(file_index: int) -> str:
    """Return the letter that denotes a file in narrow columns: A, B, …; its number after Z."""
    return chr(ord("A") + file_index) if file_index < 26 else str(file_index + 1)
