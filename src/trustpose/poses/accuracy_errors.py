"""What held-out people say of accuracy that is expected without labels: the record that travels with `ErrorModel`, in a
calibrator, a model and beside results. `calibration.accuracy` fits and reads it.
"""

from dataclasses import dataclass

from trustpose.poses.measure_errors import is_ascending, is_rising


@dataclass(frozen=True)
class AccuracyErrors:
    """How OKS and OPKS of held-out people lay around what was expected of them, and what these people were like.

    Args:
        borders: ascending, between ranges of expected OKS; b borders make b + 1 ranges.
        oks: of each range, quantiles of OKS at equally spaced shares (½ / Q, 3⁄2 / Q, …).
        clustering: variance of a photo's sum of OKS − expected OKS, in units of what independent people would have.
        joints: the K joints.
        spread: of each joint, variance of labelled people's OPKS, in units of q (1 − q) of the expected OPKS q.
        joint_clustering: as `clustering`, of a joint.
        expected: mean expected OKS.
        columns: names of what people are compared by.
        quantiles: of each column, at equally spaced shares from 0 to 1.
        recall: share of labelled people that AP is to count as found.
        people: number of people it was fitted on.
        photos: number of their photos.

    Raises:
        ValueError: naming the field that is wrong.
    """

    borders: tuple[float, ...]
    oks: tuple[tuple[float, ...], ...]
    clustering: float
    joints: tuple[str, ...]
    spread: tuple[float, ...]
    joint_clustering: float
    expected: float
    columns: tuple[str, ...]
    quantiles: tuple[tuple[float, ...], ...]
    recall: float
    people: int
    photos: int

    def __post_init__(self) -> None:
        if not is_ascending(self.borders):
            raise ValueError("borders: expected ascending numbers")
        if len(self.oks) != len(self.borders) + 1 or len({len(range_) for range_ in self.oks}) != 1:
            raise ValueError("oks: expected as many quantiles in each range, one range more than borders")
        if not all(is_rising((0.0, *quantiles, 1.0)) for quantiles in self.oks):
            raise ValueError("oks: expected quantiles from 0 to 1 that never fall")
        if len(self.spread) != len(self.joints):
            raise ValueError("spread: expected a number for each joint")
        if len(self.quantiles) != len(self.columns) or len({len(column) for column in self.quantiles}) > 1:
            raise ValueError("quantiles: expected as many for each column")
        if not all(is_rising(column) for column in self.quantiles):
            raise ValueError("quantiles: expected numbers that never fall")
        if not (0 < self.recall <= 1 and 0 <= self.expected <= 1):
            raise ValueError("recall: expected shares from 0 to 1")
        if self.people < 1 or self.photos < 1 or self.clustering <= 0 or self.joint_clustering <= 0:
            raise ValueError("people: expected positive numbers")
