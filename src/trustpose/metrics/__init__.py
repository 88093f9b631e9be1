"""Metrics as pure functions on arrays: average precision, calibration error, visibility, diagnosis, tracking.

Tests compare them with independent implementations (pycocotools, scikit-learn, TrackEval's numbers). Nothing here reads
files or knows about reports; the audit assembles these functions into one record. Read `matching.py` and
`average_precision.py` first, then `reliability.py`.
"""
