"""Agreement of two methods that measure the same things: bias, limits, errors, intraclass and concordance correlation.

The reference is x, the measured is y, and a difference is y − x. Sources: Bland and Altman, Statistical methods for
assessing agreement, Lancet 1986 (limits); McGraw and Wong, Forming inferences about some intraclass correlation
coefficients, Psychological Methods 1996 (ICC(A,1), ICC(C,1) and their intervals, two-way models with two methods);
Lin, A concordance correlation coefficient to evaluate reproducibility, Biometrics 1989; Gneiting and Raftery, Strictly
proper scoring rules, JASA 2007 (interval score).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import f as f_distribution

from trustpose.metrics import bootstrap

_METHODS = 2
_LIMITS = 1.959964  # standard deviations of Bland and Altman's limits: a Gaussian's 95 %


@dataclass(frozen=True)
class AgreementStatistics:
    """How far n pairs of values agree.

    Attributes:
        count: number of pairs.
        bias: mean difference.
        sd: standard deviation of the differences (n − 1).
        limits: Bland and Altman's limits, bias ± 1.96 sd.
        percentiles: 2.5 % and 97.5 % of the differences.
        rmse: root of the mean squared difference.
        mae: mean absolute difference.
        large: share of absolute differences above the limit of a large one.
        icc_agreement: ICC(A,1) with its 95 % interval: (value, low, high).
        icc_consistency: ICC(C,1) with its 95 % interval.
        ccc: Lin's concordance correlation.
        pearson: correlation.
        slope, intercept: of y on x by least squares.
    """

    count: int
    bias: float
    sd: float
    limits: tuple[float, float]
    percentiles: tuple[float, float]
    rmse: float
    mae: float
    large: float
    icc_agreement: tuple[float, float, float]
    icc_consistency: tuple[float, float, float]
    ccc: float
    pearson: float
    slope: float
    intercept: float


def agreement_statistics(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], large: float) -> AgreementStatistics:
    """Return how far n pairs agree, at least 3.

    Args:
        x: reference.
        y: measured.
        large: absolute differences above it are large ones.
    """
    difference = y - x
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    low, high = np.percentile(difference, (2.5, 97.5))
    covariance = float(((x - x.mean()) * (y - y.mean())).mean())
    variances = float(x.var()), float(y.var())
    with np.errstate(divide="ignore", invalid="ignore"):  # of values that do not vary: NaN
        slope = np.float64(covariance) / variances[0]
        pearson = np.float64(covariance) / np.sqrt(np.float64(variances[0] * variances[1]))
        ccc = 2 * np.float64(covariance) / (variances[0] + variances[1] + bias**2)
    agreement, consistency = intraclass_correlation(x, y)
    return AgreementStatistics(
        len(x),
        bias,
        sd,
        (bias - _LIMITS * sd, bias + _LIMITS * sd),
        (float(low), float(high)),
        float(np.sqrt((difference**2).mean())),
        float(np.abs(difference).mean()),
        float((np.abs(difference) > large).mean()),
        agreement,
        consistency,
        float(ccc),
        float(pearson),
        float(slope),
        float(y.mean() - slope * x.mean()),
    )


def intraclass_correlation(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return ICC(A,1) and ICC(C,1) of two methods, each with its 95 % interval; NaN for values that do not vary.

    Source: McGraw and Wong 1996, Tables 4 (case 2 and 3) and 7.
    """
    table = np.stack([x, y], axis=1)
    n, k = table.shape
    mean = table.mean()
    rows = k * ((table.mean(axis=1) - mean) ** 2).sum() / (n - 1)
    columns = n * ((table.mean(axis=0) - mean) ** 2).sum() / (k - 1)
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + mean
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    nothing = (np.nan, np.nan, np.nan)
    if rows <= 0:
        return nothing, nothing
    if error <= 0:  # parallel: consistent without error
        agreement = rows / (rows + k / n * columns)
        return (float(agreement), np.nan, np.nan), (1.0, 1.0, 1.0)
    consistency = (rows - error) / (rows + (k - 1) * error)
    ratio, degrees = rows / error, (n - 1) * (k - 1)
    low = ratio / f_distribution.ppf(0.975, n - 1, degrees)
    high = ratio * f_distribution.ppf(0.975, degrees, n - 1)
    consistent = (consistency, (low - 1) / (low + k - 1), (high - 1) / (high + k - 1))
    agreement = (rows - error) / (rows + (k - 1) * error + k / n * (columns - error))
    if 1 - agreement < 1e-12:
        return (float(agreement), np.nan, np.nan), tuple(map(float, consistent))  # type: ignore[return-value]
    a, b = k * agreement / (n * (1 - agreement)), 1 + k * agreement * (n - 1) / (n * (1 - agreement))
    free = (a * columns + b * error) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * error) ** 2 / degrees)
    lower, upper = f_distribution.ppf(0.975, n - 1, free), f_distribution.ppf(0.975, free, n - 1)
    rest = k * columns + (k * n - k - n) * error
    agreed = (
        agreement,
        n * (rows - lower * error) / (lower * rest + n * rows),
        n * (upper * rows - error) / (rest + n * upper * rows),
    )
    return tuple(map(float, agreed)), tuple(map(float, consistent))  # type: ignore[return-value]


CLUSTERED = ("bias", "rmse", "mae", "large", "ccc")
"""The numbers that `clustered_intervals` gives."""


def clustered_intervals(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    cluster: Int[np.ndarray, " n"],
    large: float,
    draws: int = 1000,
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of bias, RMSE, MAE, the share of large differences, and CCC, from drawing clusters anew.

    Args:
        x: reference.
        y: measured.
        cluster: of each pair: a person, clip, or stretch of time, whose values go together.
        large: absolute differences above it are large ones.
        draws: number of draws.
    """
    _, row = np.unique(cluster, return_inverse=True)
    clusters, difference = int(row.max()) + 1, y - x
    absolute_difference = np.abs(difference)
    of_difference = (np.ones(len(x)), difference, difference**2, absolute_difference, absolute_difference > large)
    columns = np.stack([*of_difference, x, y, x**2, y**2, x * y])
    sums = np.stack([np.bincount(row, column, clusters) for column in columns.astype(np.float64)], axis=1)
    drawn = bootstrap.resample_counts(clusters, draws) @ sums  # (draws, columns)
    count, total, squares, absolute, above, of_x, of_y, x_squares, y_squares, products = drawn.T
    mean_x, mean_y = of_x / count, of_y / count
    spread = x_squares / count - mean_x**2 + y_squares / count - mean_y**2 + (mean_y - mean_x) ** 2
    numbers = {
        "bias": total / count,
        "rmse": np.sqrt(squares / count),
        "mae": absolute / count,
        "large": above / count,
        "ccc": 2 * (products / count - mean_x * mean_y) / np.maximum(spread, 1e-12),
    }
    return {name: bootstrap.interval(values) for name, values in numbers.items()}


def interval_coverage(
    truth: Float[np.ndarray, " n"], low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"], level: float
) -> tuple[float, float]:
    """Return the share of true values within their intervals, and the mean interval score (lower is better)."""
    inside = (truth >= low) & (truth <= high)
    beyond = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return float(inside.mean()), float((high - low + 2 / (1 - level) * beyond).mean())
