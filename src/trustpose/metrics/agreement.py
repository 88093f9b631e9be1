"""Agreement of paired readings: how far measured values are from a reference, and whether their intervals hold.

All numbers of a sample follow from `moments`, nine sums, so that one formula serves the sample and every draw of its
clusters (`bootstrap.replicate_sums`). Differences are measured − reference. `large_sample` intervals of the
intraclass correlations take readings as independent, which frames of one recording are not.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import f as f_distribution

from trustpose.metrics.bootstrap import sums_by_group

NORMAL_95 = 1.959963984540054  # half-width of a Gaussian's central 95 %, in standard deviations
PERCENTILES = (2.5, 97.5)
_METHODS = 2  # the reference and the measured value


def moments(
    reference: Float[np.ndarray, " N"], measured: Float[np.ndarray, " N"], large: float | None = None
) -> Float[np.ndarray, "N 9"]:
    """Return what `agreement_of` needs of each of N pairs, to be summed.

    Args:
        reference: (N,), in the measure's unit. Subtract a constant from both where it is large against their spread.
        measured: (N,), the same.
        large: an absolute difference from which an error counts as large; None counts none.
    """
    difference = measured - reference
    distance = np.abs(difference)
    is_large = np.zeros_like(distance) if large is None else (distance >= large).astype(np.float64)
    squares = (reference**2, measured**2, reference * measured, difference**2)
    return np.stack((np.ones_like(reference), reference, measured, *squares, distance, is_large), axis=-1)


def agreement_of(sums: Float[np.ndarray, "*B 9"]) -> dict[str, Float[np.ndarray, "*B"]]:
    """Return the numbers of agreement of summed `moments`, of a sample or of each of its draws.

    Returns:
        bias and sd of the differences, low_limit and high_limit (Bland & Altman's, bias ± 1.96 sd), rmse, mae,
        large_share, icc_a1 and icc_c1, ccc, slope and intercept of ordinary least squares of the measured value on the
        reference, pearson. NaN where a number has no value, such as the slope of a constant reference.

    Source: Bland & Altman, Lancet 1986; McGraw & Wong, Psychological Methods 1996, table 4, two-way ICC(A,1) and
    ICC(C,1); Lin, Biometrics 1989, with variances over n.
    """
    n, x, y, xx, yy, xy, dd, distance, is_large = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y = x / n, y / n
        variance_x, variance_y = (np.maximum(xx / n - mean_x**2, 0), np.maximum(yy / n - mean_y**2, 0))
        covariance = xy / n - mean_x * mean_y
        bias = mean_y - mean_x
        variance = np.maximum(dd - n * bias**2, 0) / (n - 1)
        sd = np.sqrt(variance)
        people, methods, error = _mean_squares(n, variance_x, variance_y, covariance, bias)
        slope = covariance / np.where(variance_x > 0, variance_x, np.nan)
        numbers = {
            "bias": bias,
            "sd": sd,
            "low_limit": bias - NORMAL_95 * sd,
            "high_limit": bias + NORMAL_95 * sd,
            "rmse": np.sqrt(dd / n),
            "mae": distance / n,
            "large_share": is_large / n,
            "icc_a1": (people - error) / (people + error + 2 / n * (methods - error)),
            "icc_c1": (people - error) / (people + error),
            "ccc": 2 * covariance / (variance_x + variance_y + bias**2),
            "slope": slope,
            "intercept": mean_y - slope * mean_x,
            "pearson": covariance / np.sqrt(variance_x * variance_y),
        }
    return {name: np.asarray(number) for name, number in numbers.items()}


def _mean_squares(
    n: np.ndarray, variance_x: np.ndarray, variance_y: np.ndarray, covariance: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean squares of rows, of the two methods, and of the residual, of a two-way analysis of variance."""
    of_sums = variance_x + variance_y + 2 * covariance
    of_differences = np.maximum(variance_x + variance_y - 2 * covariance, 0)
    return of_sums * n / (n - 1) / 2, n * bias**2 / 2, of_differences * n / (n - 1) / 2


def icc_intervals(
    reference: Float[np.ndarray, " N"], measured: Float[np.ndarray, " N"], level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return the intervals of ICC(A,1) and ICC(C,1), "icc_a1" and "icc_c1", of N independent pairs.

    Source: McGraw & Wong, Psychological Methods 1996, table 7. NaN with fewer than three pairs, or without any
    difference between the methods.
    """
    n = len(reference)
    nothing = (float("nan"), float("nan"))
    if n < 3:
        return {"icc_a1": nothing, "icc_c1": nothing}
    variance_x, variance_y = np.asarray(np.var(reference)), np.asarray(np.var(measured))
    covariance = np.asarray(np.mean((reference - reference.mean()) * (measured - measured.mean())))
    bias = np.asarray(measured.mean() - reference.mean())
    people, methods, error = map(float, _mean_squares(np.asarray(n), variance_x, variance_y, covariance, bias))
    if error <= 0:
        return {"icc_a1": nothing, "icc_c1": nothing}
    k, tail = _METHODS, (1 + level) / 2
    ratio, freedom = people / error, (n - 1) * (k - 1)
    low = ratio / f_distribution.ppf(tail, n - 1, freedom)
    high = ratio * f_distribution.ppf(tail, freedom, n - 1)
    consistency = (float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1)))
    icc = (people - error) / (people + (k - 1) * error + k / n * (methods - error))
    a, b = k * icc / (n * (1 - icc)), 1 + k * icc * (n - 1) / (n * (1 - icc))
    satterthwaite = (a * methods + b * error) ** 2 / ((a * methods) ** 2 / (k - 1) + (b * error) ** 2 / freedom)
    down = f_distribution.ppf(tail, n - 1, satterthwaite)
    up = f_distribution.ppf(tail, satterthwaite, n - 1)
    spread = k * methods + (k * n - k - n) * error
    agreement = (
        float(n * (people - down * error) / (down * spread + n * people)),
        float(n * (up * people - error) / (spread + n * up * people)),
    )
    return {"icc_a1": agreement, "icc_c1": consistency}


def repeated_limits(difference: Float[np.ndarray, " N"], cluster: Int[np.ndarray, " N"]) -> tuple[float, float]:
    """Return limits of agreement for repeated readings whose true value varies, from the spread within and between
    clusters (0..G−1, such as people); NaN with fewer than two clusters, or one reading in each.

    Source: Bland & Altman, Journal of Biopharmaceutical Statistics 2007, section 3.
    """
    counts = np.bincount(cluster).astype(np.float64)
    n, groups = len(difference), len(counts)
    if groups < 2 or n <= groups:
        return float("nan"), float("nan")
    means = np.bincount(cluster, weights=difference) / counts
    within = float(((difference - means[cluster]) ** 2).sum()) / (n - groups)
    bias = float(difference.mean())
    between = float((counts * (means - bias) ** 2).sum()) / (groups - 1)
    divisor = (n**2 - float((counts**2).sum())) / ((groups - 1) * n)
    spread = NORMAL_95 * np.sqrt(within + max(0.0, (between - within) / divisor))
    return bias - float(spread), bias + float(spread)


def interval_score(
    low: Float[np.ndarray, "*N"], high: Float[np.ndarray, "*N"], value: Float[np.ndarray, "*N"], level: float
) -> Float[np.ndarray, "*N"]:
    """Return the interval score of each central interval that claims to hold `level`: its width, and 2 / (1 − level)
    times the distance of a value outside. Lower is better. Source: Gneiting & Raftery, JASA 2007, equation 43."""
    outside = np.maximum(low - value, 0) + np.maximum(value - high, 0)
    return high - low + 2 / (1 - level) * outside


@dataclass(frozen=True)
class Coverage:
    """What intervals that claim to hold a share of readings do hold.

    Attributes:
        claimed: the share that they claim.
        share: the share of reference values within the interval.
        low, high: 95 % interval of the share by resampling clusters; NaN without at least two.
        n: readings with an interval.
        width: mean width, in the measure's unit.
        score: mean `interval_score`, in the measure's unit.
    """

    claimed: float
    share: float
    low: float
    high: float
    n: int
    width: float
    score: float


def coverage_sums(
    low: Float[np.ndarray, " N"],
    high: Float[np.ndarray, " N"],
    value: Float[np.ndarray, " N"],
    level: float,
    cluster: Int[np.ndarray, " N"],
    clusters: int,
) -> Float[np.ndarray, "G 4"]:
    """Return count, values inside, widths and interval scores, summed in each cluster."""
    inside = ((low <= value) & (value <= high)).astype(np.float64)
    rows = np.stack((np.ones_like(inside), inside, high - low, interval_score(low, high, value, level)), axis=-1)
    return sums_by_group(rows, cluster, clusters)
