"""Post-hoc trust for anyone's estimator, from its results file: fit, apply, save. No torch, no network, no photo."""
