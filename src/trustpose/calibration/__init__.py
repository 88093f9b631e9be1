"""Post-hoc calibration of any estimator from its results file: fit, apply, save. Needs no torch, network or photo."""
