"""A network, its trust head and its parallel branch as the one module that a `training.network_task` trains."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.symmetric_transformer import SymmetricTransformer
from trustpose.training.losses import plain
from trustpose.trust.heads import TrustHead, estimates_of
from trustpose.trust.network import run


class Learner(nn.Module):
    """A network, with or without a head, that returns plain dicts, lists and tensors.

    Wrappings for processes and precision do not support dataclasses in results. `parallel`: the frozen branch beside a
    network with a symmetric transformer, which then has no head.
    """

    def __init__(self, network: nn.Module, head: TrustHead | None, parallel: nn.Module | None = None):
        super().__init__()
        self.network = network
        self.head = head
        self.parallel = parallel

    def forward(
        self,
        image: Float[Tensor, "B 3 H W"],
        box: Float[Tensor, "B 2"],
        asks_head: bool,
        lesson: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return heatmaps: of each stage, with the background's if the network has it; coordinates, if it has them;
        centred: of the parallel branch's; raw: the input of the head's losses, a dataclass as a dict of its fields.

        lesson: for a network in parts, what its `learn` takes; then that is returned.
        """
        if lesson is not None:
            return dict(self.network.learn(image, **lesson))  # type: ignore `objectives.check_parts` has seen to it
        if self.parallel is not None and isinstance(self.network, SymmetricTransformer):
            outputs, centred = self.network.with_parallel(image, self.parallel)
            return {"heatmaps": outputs.heatmaps, "centred": centred}
        if self.head is None or not asks_head:
            return _answer(self.network(image))
        outputs, maps = run(self.network, image, self.head.reads)
        raw = self.head.raw(*maps, *estimates_of(outputs), *([box] if self.head.reads_box else []))
        return _answer(outputs) | {"raw": plain(raw)}


def _answer(outputs: Outputs) -> dict[str, Any]:
    coordinates = {} if outputs.coordinates is None else {"coordinates": outputs.coordinates}
    return {"heatmaps": outputs.others.get("beliefs", outputs.heatmaps)} | coordinates
