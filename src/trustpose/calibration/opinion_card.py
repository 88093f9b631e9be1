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
        texts |= {name: text for name, text in (("name", card.name), ("model", card.model)) if text is not None}
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


def matching(cards: Sequence[OpinionCard], seconds: Sequence[Second]) -> tuple[Second, ...]:
    """Return the opinions that the calibrator reads, in its order, from those given now.

    All that were given at fitting may be given, in that order, or only those that are read. Raises InputError, by name,
    if one is lacking, unknown, or of another network.
    """
    kept_cards = [card for card in cards if card.kept]
    if not cards and seconds:
        raise InputError(f"{seconds[0].label}: the calibrator was fitted without a second opinion")
    expected_cards = list(cards) if len(seconds) == len(cards) else kept_cards
    if len(seconds) < len(expected_cards):
        missing_card = next(
            (card for card in expected_cards if card.name not in {second.name for second in seconds}),
            expected_cards[len(seconds)],
        )
        raise InputError(
            f"the calibrator was fitted with the {missing_card.label}: expected it beside the poses (--second)"
        )
    if len(seconds) > len(expected_cards):
        raise InputError(
            f"expected {_count(len(expected_cards))}, as the calibrator was fitted with, got {len(seconds)}"
        )
    for card, second in zip(expected_cards, seconds, strict=True):
        _check_same(card, second)
    return tuple(second for card, second in zip(expected_cards, seconds, strict=True) if card.kept)


def _check_same(card: OpinionCard, second: Second) -> None:
    if None not in (card.name, second.name) and card.name != second.name:
        raise InputError(f"{second.label}: the calibrator was fitted with the {card.label}")
    if None not in (card.model, second.model) and card.model != second.model:
        raise InputError(f"{second.label}: is another network than at fitting, by its files' fingerprint; fit again")


def _count(number: int) -> str:
    return "no second opinion" if not number else f"{number} second opinion{'s' * (number > 1)}"
