"""What trust is for where nobody looks: how accurate poses are without labels, and which labels are wrong.

Read `estimate.py` first (`tp.estimate`); what held-out people say of its numbers lies in `calibration.accuracy`. Then
`review.py` (`tp.review`): `evidence.py` is what trust says of each label, `hypotheses.py` the kinds of errors,
`probabilities.py` their weights, fitted on what `made_up_errors.py` spoils. `correct.py` (`tp.correct`) corrects
the labels by what people or a probability accept; `decisions.py` reads the decisions, `label_file.py` holds the
labels.
"""

from trustpose.reviews.correct import Change, CorrectedLabels, correct
from trustpose.reviews.estimate import EstimatedAccuracy, GroupEstimate, estimate
from trustpose.reviews.review import Suspects, review

__all__ = [
    "Change",
    "CorrectedLabels",
    "EstimatedAccuracy",
    "GroupEstimate",
    "Suspects",
    "correct",
    "estimate",
    "review",
]
