"""Trust for any estimator from its results file: fit on labelled people, apply to others, save as one file.

`Calibrator` (`calibrator.py`) is what users hold. `fit.py` chooses among the methods by cross-validation; the features
that they read are in `features.py`, second opinions of another network in `opinions.py`, and warnings about people
unlike the fitted ones in `shift.py`. Needs no torch, network or photo. Read `calibrator.py` first, then
`fit.py`.
"""
