"""DeepCut's pairwise probabilities p_dd'cc', learnt by logistic regression from labelled people.

Pishchulin et al., DeepCut, CVPR 2016, section 4.2: one regression for each pair of part classes, on features of the two
candidates' relative position in units of the person's size; for candidates of one class their distance, with squares
and exponentials, for two classes the offset, its length and angle. The paper's candidates have boxes of their own; here
a candidate is a point with a scale, so features of overlapping boxes are functions of the offset and are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.files import InputError
from trustpose.skeletons import Skeleton

FEATURES = 10
FAR = 4.0  # scales: longer offsets have the features of this one
_FEWEST = 20  # pairs of each kind, to learn from; with fewer, p is 0.5
_STRENGTH = 1.0  # inverse of the L2 penalty, the paper's default of 1
_NOISE, _TWICE = 0.03, 1 / 3  # of a detector: standard deviation in scales, and share of joints found twice
_SHIPPED = Path(__file__).parent / "pairwise"


@dataclass(frozen=True, eq=False)
class PairwiseTerms:
    """weights (C, C, FEATURES) of standardised features, and bias (C, C), for c ≤ c'; 0 and 0 where unknown."""

    weights: Float[np.ndarray, "C C features"]
    bias: Float[np.ndarray, "C C"]

    @classmethod
    def load(cls, path: str | Path, classes: int | None = None) -> "PairwiseTerms":
        """Read terms from a file of `save`, for so many part classes if given. Raises InputError."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                terms = cls(arrays["weights"].astype(np.float64), arrays["bias"].astype(np.float64))
        except (OSError, BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: is not a file of pairwise terms ({error})") from None
        classes = len(terms.bias) if classes is None else classes
        if terms.weights.shape != (classes, classes, FEATURES) or terms.bias.shape != (classes, classes):
            raise InputError(f"{path}: weights: expected shape ({classes}, {classes}, {FEATURES})")
        return terms

    def save(self, path: str | Path) -> None:
        """Write the terms as NumPy's .npz, float32: the base install has no safetensors."""
        with Path(path).open("wb") as file:  # a name would be given a suffix
            np.savez(file, weights=self.weights.astype(np.float32), bias=self.bias.astype(np.float32))

    def together(self, xy: Float[np.ndarray, "D 2"], scale: Float[np.ndarray, " D"]) -> Float[np.ndarray, "D D C C"]:
        """Return p_dd'cc' of candidates in a photo: xy and scale in pixels, as in `fit_pairwise`."""
        from scipy.special import expit

        classes = len(self.bias)
        values = pair_features(xy[:, None], xy[None], np.sqrt(scale[:, None] * scale[None]))  # (D, D, F): from d to e
        upper = np.triu(np.ones((classes, classes), dtype=bool))
        logit = np.where(upper, np.einsum("def,cgf->decg", values, self.weights) + self.bias, 0)
        logit += np.where(upper, 0, logit.transpose(1, 0, 3, 2))  # for c > c': of (d', d, c', c)
        same = np.arange(classes)
        logit[..., same, same] = (logit[..., same, same] + logit.transpose(1, 0, 2, 3)[..., same, same]) / 2
        return expit(logit)


@cache
def shipped_terms(skeleton: Skeleton) -> PairwiseTerms:
    """Return the terms for a skeleton, learnt by `tools/ship_pairwise.py`. Raises InputError if none are shipped."""
    path = _SHIPPED / f"{skeleton.name}.npz"
    if not path.exists():
        skeletons = ", ".join(sorted(path.stem for path in _SHIPPED.glob("*.npz")))
        raise InputError(
            f"DeepCut: has pairwise terms for {skeletons}, none for {skeleton.name}; learn them (fit_pairwise)"
        )
    return PairwiseTerms.load(path)


def pair_features(
    from_xy: Float[np.ndarray, "*#N 2"], to_xy: Float[np.ndarray, "*#N 2"], scale: Float[np.ndarray, "*#N"]
) -> Float[np.ndarray, "*N features"]:
    """Return features of the offset from one candidate to the other, in units of `scale` (pixels)."""
    offset = (to_xy - from_xy) / scale[..., None]
    length = np.linalg.norm(offset, axis=-1)
    offset = offset * np.minimum(1, FAR / np.maximum(length, FAR))[..., None]
    length = np.minimum(length, FAR)
    x, y = offset[..., 0], offset[..., 1]
    angle = np.arctan2(y, x)
    near = [np.exp(-length), np.exp(-4 * length)]
    return np.stack([x, y, length, x * x, y * y, x * y, np.cos(angle), np.sin(angle), *near], axis=-1)


def fit_pairwise(
    xy: Float[np.ndarray, "N 2"],
    scale: Float[np.ndarray, " N"],
    part: Int[np.ndarray, " N"],
    person: Int[np.ndarray, " N"],
    image: Int[np.ndarray, " N"],
    classes: int,
) -> PairwiseTerms:
    """Learn from N candidates of known class and person, in several photos.

    xy: pixels; scale: pixels, of the person's size, the same measure as later for unknown people, as √(box's area);
    part: 0 … classes − 1, person: any number, unique in its photo; image: the photo's number. Pairs of classes with too
    few pairs of one or of two people get p = 0.5.
    """
    weights, bias = np.zeros((classes, classes, FEATURES)), np.zeros((classes, classes))
    first, second = _pairs_in_photos(image)
    swap = part[first] > part[second]  # the lower class first
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    values = pair_features(xy[first], xy[second], np.sqrt(scale[first] * scale[second]))
    same = person[first] == person[second]
    for c in range(classes):
        for later in range(c, classes):
            rows = np.flatnonzero((part[first] == c) & (part[second] == later))
            if c == later:  # no order: both directions
                features, is_same = (
                    _both_ways(values[rows], xy, scale, first[rows], second[rows]),
                    np.tile(same[rows], 2),
                )
            else:
                features, is_same = values[rows], same[rows]
            if min(is_same.sum(), (~is_same).sum()) >= _FEWEST:
                weights[c, later], bias[c, later] = _regression(features, is_same)
    return PairwiseTerms(weights, bias)


def fit_detected_pairwise(
    xy: Float[np.ndarray, "N 2"],
    scale: Float[np.ndarray, " N"],
    part: Int[np.ndarray, " N"],
    person: Int[np.ndarray, " N"],
    image: Int[np.ndarray, " N"],
    classes: int,
) -> PairwiseTerms:
    """Learn as `fit_pairwise` does, from labelled joints that are moved, and some repeated, as a detector finds them.

    Labels have one joint of a class in a person, and so say nothing about two candidates of one class: repeated ones
    are of one person where they are near, and those of two people are not.
    """
    random = np.random.default_rng(0)
    rows = np.concatenate([np.arange(len(xy)), np.flatnonzero(random.random(len(xy)) < _TWICE)])
    moved = xy[rows] + random.normal(0, _NOISE, (len(rows), 2)) * scale[rows, None]
    return fit_pairwise(moved, scale[rows], part[rows], person[rows], image[rows], classes)


def _both_ways(
    values: np.ndarray, xy: np.ndarray, scale: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Float[np.ndarray, "N features"]:
    return np.concatenate([values, pair_features(xy[second], xy[first], np.sqrt(scale[first] * scale[second]))])


def _regression(values: Float[np.ndarray, "N features"], same: Bool[np.ndarray, " N"]) -> tuple[np.ndarray, float]:
    """Return weights and bias of raw features; they are standardised, so that the penalty is the same for all.

    Both kinds of pairs weigh the same: links of one person all speak of the same fact, and the odds that pairs are of
    two people, if counted once a link, cut people apart.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import, and prediction needs none of it

    mean, std = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    fitted = LogisticRegression(C=_STRENGTH, max_iter=1000, class_weight="balanced").fit((values - mean) / std, same)
    weights = fitted.coef_[0] / std
    return weights, float(fitted.intercept_[0] - weights @ mean)


def _pairs_in_photos(image: Int[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """Return all pairs of rows of one photo."""
    order = np.argsort(image, kind="stable")
    ends = np.flatnonzero(np.diff(image[order], append=image.max(initial=0) + 1))
    pairs = list(_blocks(order, ends))
    return tuple(np.concatenate([pair[side] for pair in pairs] or [np.zeros(0, np.int64)]) for side in range(2))  # type: ignore[return-value]


def _blocks(order: np.ndarray, ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    start = 0
    for end in (ends + 1).tolist():
        first, second = np.triu_indices(end - start, 1)
        yield order[start:end][first], order[start:end][second]
        start = end
