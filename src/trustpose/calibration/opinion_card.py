"""A calibrator's record of a second opinion: its source, whether it is used, and its effect."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trustpose.calibration.metrics import is_value
from trustpose.calibration.second import Second, label_of
from trustpose.files import InputError

BROUGHT = ("explained", "pose.pearson", "keypoint.pearson_pose_mean", "keypoint.pearson")


@dataclass(frozen=True)
class OpinionCard:
    """A second opinion at fitting: its name and results file, or the fingerprint of its network, if known; the number
    of results whose person it has; whether its calibrated trust is read, and whether the calibrator reads it at all.

    `before` and `after` are out-of-fold numbers of `BROUGHT` without and with it, and `change` their differences in
    paired draws, each with its 95 % interval. `explained` is the share of variance that decided.
    """

    name: str | None
    file: str
    sha256: str
    model: str | None
    people: int
    trust: bool
    kept: bool
    before: dict[str, list[float] | None]
    after: dict[str, list[float] | None]
    change: dict[str, list[float] | None]

    @property
    def label(self) -> str:
        """Its name in messages."""
        return label_of(self.name, self.file)

    def sentence(self) -> str:
        """Describe its effect, and whether it is used."""
        numbers = {name: (self.before.get(name), self.after.get(name)) for name in BROUGHT}
        shown = {name: (old[0], new[0]) for name, (old, new) in numbers.items() if old is not None and new is not None}
        labels = {"explained": "explained variance", "pose.pearson": "r(pose, OKS)"}
        gains = ", ".join(
            f"{label} {shown[name][0]:.3f} → {shown[name][1]:.3f}" for name, label in labels.items() if name in shown
        )
        return (
            f"{self.label}: {'is read' if self.kept else 'improves too little and is left out'} (out of fold {gains})"
        )

    @classmethod
    def of_dict(cls, value: dict[str, Any]) -> "OpinionCard":
        """Build from JSON values. Raises TypeError or ValueError if they are incomplete or wrong."""
        card = cls(**value)
        texts = {"file": card.file, "sha256": card.sha256}
        texts |= {name: one for name, one in (("name", card.name), ("model", card.model)) if one is not None}
        for name, text in texts.items():
            if not isinstance(text, str):
                raise ValueError(f"card: field 'opinions.{name}': expected a text")
        if type(card.people) is not int or type(card.trust) is not bool or type(card.kept) is not bool:
            raise ValueError("card: field 'opinions': expected a whole number of people, and true or false")
        for name in ("before", "after", "change"):
            numbers = getattr(card, name)
            if set(numbers) - set(BROUGHT) or not all(map(is_value, numbers.values())):
                raise ValueError(
                    f"card: field 'opinions.{name}': expected numbers and intervals of {', '.join(BROUGHT)}"
                )
        return card


def matching(cards: Sequence[OpinionCard], given: Sequence[Second]) -> tuple[Second, ...]:
    """Return the opinions that the calibrator reads, in its order, from those given now.

    All that were given at fitting may be given, in that order, or only those that are read. Raises InputError, by name,
    if one is lacking, unknown, or of another network.
    """
    read = [card for card in cards if card.kept]
    if not cards and given:
        raise InputError(f"{given[0].label}: the calibrator was fitted without a second opinion")
    wanted = list(cards) if len(given) == len(cards) else read
    if len(given) < len(wanted):
        absent = next((card for card in wanted if card.name not in {one.name for one in given}), wanted[len(given)])
        raise InputError(f"the calibrator was fitted with the {absent.label}: expected it beside the poses (--second)")
    if len(given) > len(wanted):
        raise InputError(f"expected {_count(len(wanted))}, as the calibrator was fitted with, got {len(given)}")
    for card, one in zip(wanted, given, strict=True):
        _check_same(card, one)
    return tuple(one for card, one in zip(wanted, given, strict=True) if card.kept)


def _check_same(card: OpinionCard, given: Second) -> None:
    if None not in (card.name, given.name) and card.name != given.name:
        raise InputError(f"{given.label}: the calibrator was fitted with the {card.label}")
    if None not in (card.model, given.model) and card.model != given.model:
        raise InputError(f"{given.label}: is another network than at fitting, by its files' fingerprint; fit again")


def _count(number: int) -> str:
    return "no second opinion" if not number else f"{number} second opinion{'s' * (number > 1)}"
