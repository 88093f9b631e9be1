"""`FastSetting`: the smaller models that replace a model where speed matters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FastSetting:
    """The field 'fast' of a spec.

    network, detector: names of model folders next to the model's own; detector None: the default one. costs: measured
    numbers of the faster models, each with the model's own number, numbers and texts by name.
    """

    network: str
    detector: str | None = None
    costs: Mapping[str, float | int | str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the field's JSON."""
        value: dict[str, Any] = {"network": self.network}
        value |= {"detector": self.detector} if self.detector is not None else {}
        return value | ({"costs": dict(self.costs)} if self.costs else {})

    def describe(self) -> str:
        """Describe the costs in one line."""
        return ", ".join(f"{name} {value}" for name, value in self.costs.items()) or "costs not measured"
