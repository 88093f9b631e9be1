"""The record of an audit's localisation: PCK and its relatives, PCP; None where a number cannot be computed."""

from dataclasses import dataclass

Number = float | None


@dataclass(frozen=True)
class PartRate:
    """The share of correct predictions of one joint or limb among the n labels that count."""

    rate: Number
    n: int


@dataclass(frozen=True)
class Curve:
    """Shares at each fraction of the reference length: `total`, and of each group of joints or limbs."""

    fractions: tuple[float, ...]
    total: tuple[Number, ...]
    groups: dict[str, tuple[Number, ...]]


@dataclass(frozen=True)
class Localisation:
    """One metric: a joint or limb is correct within `fraction` of `reference`.

    `total` pools the joints of all groups, `all` those outside too (MPII's pelvis and thorax), `mean` is the mean of
    the groups, `auc` the mean height of the total's curve. `error` is the mean error of all joints in reference
    lengths, None for limbs, and where a joint has no prediction. `groups` join left and right; `parts` are all joints
    or limbs by name. `people` count; `without_result` of them have no result and are wrong throughout;
    `without_reference` others are left out, as they have no reference length.
    """

    title: str
    fraction: float
    reference: str
    total: Number
    all: Number
    mean: Number
    auc: Number
    error: Number
    groups: dict[str, Number]
    parts: dict[str, PartRate]
    people: int
    without_result: int
    without_reference: int
    curve: Curve

    @property
    def headline(self) -> str:
        """The number that the metric is known by: "error" of NME, "total" of the others."""
        return "error" if self.title == "NME" else "total"
