"""What trust is for where nobody looks: how accurate poses are without labels.

Read `estimate.py` first (`tp.estimate`); what held-out people say of its numbers lies in `calibration.accuracy`.
"""

from trustpose.review.estimate import EstimatedAccuracy, GroupEstimate, estimate

__all__ = ["EstimatedAccuracy", "GroupEstimate", "estimate"]
