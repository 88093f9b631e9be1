"""P(occluded | labelled) of each keypoint, corrected by the keypoint's position.

Whether a joint is hidden shows in the pose: in its position in the crop, in that of its mirror joint, in the shape of
the person's box, and in the head's outputs for both joints. Two small layers read these, with the same weights for all
joints; right joints are mirrored, so that they are learnt together with left ones. They are fitted after the head, on
people that it has not seen, by `token_calibration.calibrate`, and are not trained with it: learnt together, the
positions were of no use (https://trustpose.github.io/trustpose/benchmarks/default-model.html).
P(labelled), expected OPKS and OKS stay as they are.

Positions enter as sines and cosines, so that a small layer can tell them apart: Vaswani et al., Attention Is All You
Need, NeurIPS 2017, section 3.5.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

FREQUENCIES = (1.5, 3.0, 6.0)  # radians from the crop's centre to its edge
PLACE = 2  # numbers
_OF_JOINT = 3  # numbers that the head says of a joint
_INPUTS = 2 * (_OF_JOINT + PLACE) + 2 * PLACE * len(FREQUENCIES)  # and the box
_DROPOUT, _DECAY, _RATE, _EPOCHS, _BATCH = 0.2, 0.05, 2e-3, 12, 512
_WARM_UP = 0.1  # part of the steps


class Occlusion(nn.Module):
    """Corrects logits of visibility (B, K, 3) by those of OPKS (B, K) and by positions (B, K, 2 or 4): x and y as
    fractions of the crop, and for a head that reads boxes the box's width and height as such fractions.

    hidden: width of both layers. box: whether positions have the box. Until it is fitted (`fit_occlusion`) it changes
    nothing. Its numbers are buffers, since the head's training does not change them. Raises ValueError for a width
    below 1.
    """

    mirror: Int[Tensor, " K"]
    first: Float[Tensor, "H inputs"]
    first_bias: Float[Tensor, "K H"]
    second: Float[Tensor, "H H"]
    second_bias: Float[Tensor, " H"]
    last: Float[Tensor, "1 H"]
    last_bias: Float[Tensor, " 1"]

    def __init__(self, keypoints: int, hidden: int, *, box: bool):
        super().__init__()
        if hidden < 1:
            raise ValueError(f"occlusion: expected 0 or more, got {hidden}")
        self.register_buffer("mirror", torch.arange(keypoints))
        shapes = {
            "first": (hidden, _INPUTS + PLACE * box),
            "first_bias": (keypoints, hidden),
            "second": (hidden, hidden),
            "second_bias": (hidden,),
            "last": (1, hidden),
            "last_bias": (1,),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))

    def forward(
        self, visibility: Float[Tensor, "B K 3"], opks: Float[Tensor, "B K"], positions: Float[Tensor, "B K P"]
    ) -> Float[Tensor, "B K 3"]:
        """Return logits with the same P(labelled)."""
        hidden = F.linear(self.inputs(visibility, opks, positions), self.first) + self.first_bias
        hidden = F.linear(hidden.relu(), self.second, self.second_bias).relu()
        return shift_occlusion_logit(visibility, F.linear(hidden, self.last, self.last_bias))

    def inputs(
        self, visibility: Float[Tensor, "B K 3"], opks: Float[Tensor, "B K"], positions: Float[Tensor, "B K P"]
    ) -> Float[Tensor, "B K inputs"]:
        """Return the layers' inputs for each joint: the logits of occluded against visible, of labelled and of OPKS,
        and the position, of the joint and of its mirror joint; sines and cosines of the position; and the box."""
        absent, occluded, seen = visibility.unbind(dim=2)
        labelled = visibility[..., 1:].logsumexp(dim=2)
        joint_logits = torch.stack([occluded - seen, labelled - absent, opks], dim=2)
        centred, box = positions[..., :PLACE] * 2 - 1, positions[..., PLACE:]
        is_right = self.mirror < torch.arange(len(self.mirror), device=positions.device)
        side = torch.stack(
            [1 - 2 * is_right.to(positions), torch.ones_like(is_right, dtype=positions.dtype)], dim=1
        )  # (K, 2)
        own_position, mirror_position = centred * side, centred[:, self.mirror] * side
        waves = torch.cat([own_position * frequency for frequency in FREQUENCIES], dim=2)
        return torch.cat(
            [joint_logits, joint_logits[:, self.mirror], own_position, mirror_position, waves.sin(), waves.cos(), box],
            dim=2,
        )


def shift_occlusion_logit(visibility: Float[Tensor, "B K 3"], by: Float[Tensor, "B K 1"]) -> Float[Tensor, "B K 3"]:
    """Add to the logit of occluded against visible; P(labelled) stays."""
    absent, labelled = visibility[..., :1], visibility[..., 1:]
    moved = torch.cat([labelled[..., :1] + by, labelled[..., 1:]], dim=2)
    return torch.cat([absent, moved + (labelled.logsumexp(2, True) - moved.logsumexp(2, True))], dim=2)


def fit_occlusion(
    layers: Occlusion,
    head_outputs: tuple[Float[Tensor, "N K 3"], Float[Tensor, "N K"], Float[Tensor, "N K P"]],
    v: Int[Tensor, "N K"],
    is_ternary: Bool[Tensor, "N K"],
    mirror: Int[Tensor, " K"],
) -> None:
    """Fit the layers to people that the head has not seen.

    head_outputs: what `Occlusion.forward` reads. v: COCO's 0, 1 or 2.
    Cross-entropy of occluded against visible of the labelled keypoints whose v is COCO's; AdamW with dropout, always
    with the same draws. mirror: the skeleton's `flip_index`. An earlier fit is replaced; with fewer than two such
    keypoints nothing is fitted.
    """
    layers.mirror.copy_(mirror)
    with torch.no_grad():
        inputs, used = layers.inputs(*head_outputs), is_ternary & (v > 0)
    mean, scale = inputs.flatten(0, 1).mean(0), inputs.flatten(0, 1).std(0) + 1e-3
    kind = torch.minimum(mirror, torch.arange(len(mirror), device=mirror.device))
    x, occluded = ((inputs - mean) / scale)[used], (v[used] == 1).float()
    start, kinds = (head_outputs[0][..., 1] - head_outputs[0][..., 2])[used], kind.expand(v.shape)[used]
    if len(x) < 2:
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _Layers(x.shape[1], len(mirror), len(layers.second)).to(x)
        _train(network, (x, kinds, start, occluded))
    first, second, last = network.first.weight.detach() / scale, network.second, network.last
    fitted = {
        "first": first,
        "first_bias": (network.kind.weight.detach() + network.first.bias.detach() - first @ mean)[kind],
        "second": second.weight,
        "second_bias": second.bias,
        "last": last.weight,
        "last_bias": last.bias,
    }
    for name, value in fitted.items():
        getattr(layers, name).copy_(value.detach())


class _Layers(nn.Module):
    """`Occlusion`'s layers in training: normalised inputs (N, inputs) and kinds of joint (N,) to corrections (N,)."""

    def __init__(self, inputs: int, kinds: int, hidden: int):
        super().__init__()
        self.kind = nn.Embedding(kinds, hidden)
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(_DROPOUT)
        for zero in (self.kind.weight, self.last.weight, self.last.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Float[Tensor, "N inputs"], kind: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
        hidden = self.dropout((self.first(x) + self.kind(kind)).relu())
        return self.last(self.dropout(self.second(hidden).relu()))[:, 0]


def _train(network: _Layers, samples: tuple[Tensor, ...]) -> None:
    """Minimise the cross-entropy over samples: inputs, kinds, the head's logits, and whether occluded."""
    count = len(samples[0])
    starts = [start for start in range(0, count, _BATCH) if count - start >= min(_BATCH, count)]  # whole batches only
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    steps = _EPOCHS * len(starts) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, steps, pct_start=_WARM_UP)
    for _ in range(_EPOCHS):
        order = torch.randperm(count)
        for first in starts:
            x, kind, start, occluded = (part[order[first : first + _BATCH]] for part in samples)
            loss = F.binary_cross_entropy_with_logits(start + network(x, kind), occluded)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
