"""Our own head: expected OPKS and visibility of each keypoint and expected OKS, from what is seen at the peaks.

A keypoint is one token: the encoder's features at the heatmap's peak, the heatmap around it, and the shape of the
person's box. One layer reads each token, the same for all; one reads all of them as one body, with the mean of the
encoder's map. What is said of a keypoint is the sum of what its token says and what the body says. Expected OKS is a
mean of expected OPKS, as OKS is of OPKS, weighed by what the head learns of who counts.

Everything is detached and read at K places only, so the head costs little beside any network; it is small because the
labels are few. All but these layers see no label: `pool` has no parameters, and a frozen network's pooled maps, a few
kilobytes a crop where its maps are a megabyte, are stored once. It is written for few operators and few weights: each
operator costs a call, and each weight its way from memory, which in batches of 1 is more than the arithmetic. So in
evaluation batch norm and calibration are parts of the layers beside them.

What it learns are proper scores, whose minimum is the honest answer: cross-entropy of the three visibilities, and
cross-entropy of OPKS on labelled keypoints and of OKS, both as the probability that they are the mean of. `calibrate`
then fits one slope and offset for each answer on people held out.

Where the parts come from. Detached features, labelled × expected OPKS: HPCVNet (poster). One OKS of the pose from the
features: OKS-Net, section III-C. Three visibilities from the encoder: the metamodel, section 3. Keypoints as tokens: Li
et al., TokenPose, ICCV 2021, here with one layer for attention, which was no better on people held out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trustpose.trust.heads import Source, Tensors, Trust, TrustHead, mean_where
from trustpose.trust.peaks import REACH, around, at_peaks, peaks, sizes, told
from trustpose.trust.simcc_peaks import READ, read_simcc
from trustpose.trust.targets import TrustTargets

CLASSES = 3
_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class TokenAnswers:
    """Logits: visibility (B, K, 3) of v = 0, 1, 2, opks (B, K) of OPKS of what is labelled. oks (B,): 0–1."""

    visibility: Float[Tensor, "B K 3"]
    opks: Float[Tensor, "B K"]
    oks: Float[Tensor, " B"]


class KeypointTokens(TrustHead):
    """The encoder's map, heatmaps (or a SimCC network's logits and tokens) and the person's box to all three fields of
    `Trust`.

    token: numbers kept of each keypoint. hidden: of the whole body. dropout: in training. box: whether the person's
    box is read: its shape tells what of the body is in view, which the crop, always of one shape, does not. tokens: the
    width of a SimCC network's tokens; None for a network with heatmaps.
    """

    reads: tuple[Source, ...] = ("backbone",)
    reads_tokens = True
    reads_places = True
    calibration_visibility: Tensor  # slope, then the offset of each class
    calibration_opks: Tensor  # slope, offset
    calibration_oks: Tensor

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        keypoints: int = 17,
        *,
        token: int = 32,
        hidden: int = 128,
        dropout: float = 0.1,
        box: bool = True,
        tokens: int | None = None,
        detach: bool = True,
    ):
        super().__init__(channels, height, width, keypoints, detach)
        for name, number in (("token", token), ("hidden", hidden)):
            if number < 1:
                raise ValueError(f"{name}: expected 1 or more, got {number}")
        self.reads_box = box
        self.reads_simcc = tokens is not None
        read = (2 * REACH + 1) ** 2 + 1 if tokens is None else tokens + READ
        self.token = NormalisedLinear(channels + read + 2 * box, (keypoints, token), dropout)
        self.whole = NormalisedLinear(channels, (hidden,), dropout)
        self.body = nn.Linear(keypoints * token, hidden, bias=False)
        self.from_token = nn.Linear(token, CLASSES + 2, bias=False)
        self.from_body = nn.Linear(hidden, keypoints * (CLASSES + 2))
        self.dropout = nn.Dropout(dropout)
        for name, value in (("visibility", [1.0, 0, 0, 0]), ("opks", [1.0, 0]), ("oks", [1.0, 0])):
            self.register_buffer(f"calibration_{name}", torch.tensor(value))

    def pool(self, maps: Tensors, xy: Float[Tensor, "B K 2"] | None = None) -> Tensors:
        """Tokens before any parameter (B, K, T), and the mean of the encoder's map (B, C)."""
        encoded, *estimates = maps
        box = estimates.pop() if self.reads_box else None
        encoded = encoded.permute(0, 2, 3, 1)  # (B, h, w, C)
        if self.reads_simcc:
            columns, rows, given = estimates
            tokens = [read_simcc(encoded, columns, rows, given, xy)]
        else:
            (heatmaps,) = estimates
            peak, height = peaks(heatmaps) if xy is None else told(heatmaps, xy)
            tokens = [at_peaks(encoded, peak, sizes(heatmaps)[1:]), around(heatmaps, peak), height]
        if box is not None:
            tokens.append(box[:, None] + torch.zeros(self.keypoints, 1, device=box.device))  # (B, K, 2)
        return torch.cat(tokens, dim=2), encoded.mean(dim=(1, 2))

    def logits(self, pooled: Tensors) -> TokenAnswers:
        visibility, opks, share, in_pose = self.components(pooled)
        return TokenAnswers(visibility, opks.flatten(1), (share.softmax(dim=1) * in_pose.sigmoid()).sum(dim=(1, 2)))

    def trust(self, raw: TokenAnswers) -> Trust:
        visibility = raw.visibility.softmax(dim=-1)
        quality = (1 - visibility[..., 0]) * raw.opks.sigmoid()
        return Trust(quality=quality, visibility=visibility, pose_quality=raw.oks)

    def components(self, pooled: Tensors) -> Tensors:
        """Of visibility (B, K, 3) and OPKS (B, K, 1); of each keypoint's share of OKS, and of OPKS in it (B, K, 1)."""
        tokens, mean = pooled
        each = self.dropout(self.token(tokens).relu())  # (B, K, D)
        body = self.dropout(self._body(each.flatten(1), mean).relu())
        of_token, of_body, bias = self._last()
        found = F.linear(body, of_body, bias).reshape(-1, self.keypoints, len(of_token)) + each @ of_token.t()
        return found.split([CLASSES, 1, 1, 1], dim=2)

    def _body(self, each: Float[Tensor, "B D"], whole: Float[Tensor, "B C"]) -> Float[Tensor, "B H"]:
        """One layer on all keypoints and the whole crop."""
        if self.training:
            return F.linear(each, self.body.weight) + self.whole(whole)
        weight, bias = self.whole.folded()
        return F.linear(torch.cat([each, whole], dim=1), torch.cat([self.body.weight, weight], dim=1), bias)

    def _last(self) -> tuple[Float[Tensor, "6 D"], Float[Tensor, "rows H"], Float[Tensor, " rows"]]:
        """The last layer, calibrated: weights of each token for its own keypoint, of the body for all, and the bias."""
        rows = [*range(CLASSES + 2), CLASSES]  # OPKS twice, the second time as OKS reads it
        visibility, opks, oks = self.calibration_visibility, self.calibration_opks, self.calibration_oks
        as_is = torch.ones_like(opks[:1]), torch.zeros_like(opks[:1])
        slope = torch.cat([visibility[:1].repeat(CLASSES), opks[:1], as_is[0], oks[:1]])[:, None]
        offset = torch.cat([visibility[1:], opks[1:], as_is[1], oks[1:]])
        body = self.from_body.weight.view(self.keypoints, CLASSES + 2, -1)[:, rows] * slope
        bias = self.from_body.bias.view(self.keypoints, -1)[:, rows] * slope[:, 0] + offset
        return self.from_token.weight[rows] * slope, body.flatten(0, 1), bias.flatten()


class NormalisedLinear(nn.Module):
    """Batch norm of (B, …, read) and a linear layer, whose bias is of shape (…, D); in evaluation one product."""

    def __init__(self, read: int, bias: tuple[int, ...], dropout: float):
        super().__init__()
        self.norm = nn.BatchNorm1d(read)
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(nn.Linear(read, bias[-1]).weight.detach())
        self.bias = nn.Parameter(torch.randn(bias) * 0.02)

    def forward(self, x: Float[Tensor, "B *K T"]) -> Float[Tensor, "B *K D"]:
        if self.training:
            return self.dropout(self.norm(x.flatten(0, -2)).view(x.shape)) @ self.weight.t() + self.bias
        weight, bias = self.folded()
        return x @ weight.t() + bias

    def folded(self) -> tuple[Float[Tensor, "D T"], Float[Tensor, "*K D"]]:
        """Weight and bias of both together, as in evaluation."""
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return self.weight * scale, self.bias + self.weight @ (norm.bias - norm.running_mean * scale)


def tokens_losses(
    raw: TokenAnswers,
    targets: TrustTargets,
    is_known: Bool[Tensor, "B K"] | None = None,
    is_ternary: Bool[Tensor, "B K"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Cross-entropy of "visibility", of "opks" on labelled keypoints, and of "oks" on people who have one.

    is_known: the data set labels this joint; is_ternary: and its v is COCO's. Where only "labelled" is known, v > 0
    is P(1) + P(2). All if None.
    """
    v, is_labelled = targets.visibility, targets.visibility > 0
    known = torch.ones_like(is_labelled) if is_known is None else is_known
    ternary = known if is_ternary is None else is_ternary
    logs = raw.visibility.log_softmax(dim=-1)
    labelled = torch.where(is_labelled, logs[..., 1:].logsumexp(dim=-1), logs[..., 0])
    said = torch.where(ternary, logs.gather(2, v[..., None])[..., 0], labelled)
    has_oks = ~torch.isnan(targets.oks)
    oks, found = torch.where(has_oks, targets.oks, 0.5), raw.oks.float().clamp(_EPSILON, 1 - _EPSILON)
    return {
        "visibility": mean_where(-said, known),
        "opks": mean_where(F.binary_cross_entropy_with_logits(raw.opks, targets.opks, reduction="none"), is_labelled),
        "oks": mean_where(-(oks * found.log() + (1 - oks) * (1 - found).log()), has_oks),
    }


def calibrate(head: KeypointTokens, pooled: Tensors, targets: TrustTargets) -> Mapping[str, float]:
    """Fit the head's slopes and offsets on people that it was not trained on; gives the losses by then.

    One slope and an offset for each class of visibility (vector scaling with a single slope: Guo et al., On Calibration
    of Modern Neural Networks, ICML 2017, section 4.2), one slope and offset for OPKS, and for OKS, each by its own
    loss. What the head was calibrated to before is forgotten.
    """
    buffers: list[Tensor] = [getattr(head, f"calibration_{name}") for name in ("visibility", "opks", "oks")]
    for buffer in buffers:
        buffer.copy_(torch.tensor([1.0] + [0.0] * (len(buffer) - 1)))
    was_training = head.training
    head.eval()
    fitted = [buffer.clone().requires_grad_() for buffer in buffers]
    with torch.no_grad():
        visibility, opks, share, in_pose = head.components(pooled)
        opks = opks.flatten(1)

    def losses() -> dict[str, Tensor]:
        of_visibility, of_opks, of_oks = fitted
        oks = (share.softmax(dim=1) * (in_pose * of_oks[0] + of_oks[1]).sigmoid()).sum(dim=(1, 2))
        calibrated = visibility * of_visibility[0] + of_visibility[1:], opks * of_opks[0] + of_opks[1], oks
        return tokens_losses(TokenAnswers(*calibrated), targets)

    optimiser = torch.optim.LBFGS(fitted, max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimiser.zero_grad()
        loss = torch.stack(list(losses().values())).sum()
        loss.backward()
        return float(loss.detach())

    optimiser.step(closure)
    for buffer, value in zip(buffers, fitted, strict=True):
        buffer.copy_(value.detach())
    head.train(was_training)
    with torch.no_grad():
        return {name: float(loss) for name, loss in losses().items()}
