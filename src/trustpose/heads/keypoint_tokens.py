"""Our own head: expected OPKS and visibility of each keypoint and expected OKS, from features at the peaks.

Each keypoint has a token: the encoder's features at the heatmap's peak, the heatmap around it, and the shape of the
person's box. One layer processes each token, shared by all; one processes all of them together, with the mean of the
encoder's map. A keypoint's prediction is the sum of the outputs for its token and for the body. Expected OKS is a
mean of expected OPKS, as OKS is of OPKS, weighted by learnt P(labelled).

Everything is detached and read at K positions only, so the head costs little on any network; it is small because
labels are few. Only these layers see labels: `pool` has no parameters, and a frozen network's pooled maps, a few
kilobytes a crop instead of a megabyte, are stored once. It uses few operators and few weights: each operator costs a
call, and each weight a memory access, which in batches of 1 costs more than the arithmetic. So in evaluation batch
norm and calibration are merged into the adjacent layers.

The losses are proper scores, minimised by calibrated predictions: cross-entropy of the three visibilities, and
cross-entropy of OPKS on labelled keypoints and of OKS, both as the probability of which they are the mean.
`token_calibration.calibrate` then fits one slope and offset for each prediction on held-out people, and `Occlusion`.

Sources of the parts. Detached features, labelled × expected OPKS: HPCVNet (poster). One OKS of the pose from the
features: OKS-Net, section III-C. Three visibilities from the encoder: the metamodel, section 3. Keypoints as tokens:
Li et al., TokenPose, ICCV 2021, here with one layer instead of attention, which was no better on held-out people.

Read a SimCC network's outputs at and around each keypoint's highest bins, without parameters. The counterpart of
`peaks` for networks with logits over columns and rows, and a token per keypoint, instead of maps.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trustpose.heads.heads import Source, Tensors, Trust, TrustHead, mean_where
from trustpose.heads.occlusion import Occlusion
from trustpose.heads.peaks import REACH, around, at_cells, at_peaks, nearest, peaks, pixels_at, shares, sizes, table
from trustpose.heads.targets import TrustTargets

OFFSETS = (-12, -8, -4, 0, 4, 8, 12)  # bins read relative to the highest one: about two sigmas of the labels
READ = 2 * (len(OFFSETS) + 1)
"""Numbers read per keypoint besides the tokens and the feature map's channels."""


def read_simcc(
    features: Float[Tensor, "B r c C"],
    columns: Float[Tensor, "B K X"],
    rows: Float[Tensor, "B K Y"],
    tokens: Float[Tensor, "B K D"],
    xy: Float[Tensor, "B K 2"] | None = None,
) -> tuple[Float[Tensor, "B K T"], Float[Tensor, "B K 2"]]:
    """Return for each keypoint: the feature map's cell, channels last, that contains it; its token; logits around both
    peaks minus the peaks; and the peaks. T = C + D + `READ`. Then the centres of its bins as fractions of the crop's
    width and height.

    A window that leaves the crop repeats its last bin. `xy`, in bins: positions to use instead of the peaks, except for
    NaN.
    """
    parts, positions = [tokens], []
    for axis, logits in enumerate((columns, rows)):
        _, bins = sizes(logits)
        height, position = logits.max(dim=2, keepdim=True)  # (B, K, 1)
        if xy is not None:
            given_position = nearest(xy[..., axis], bins)[..., None]
            position = torch.where(xy.isnan().any(dim=2, keepdim=True), position, given_position)
            height = logits.gather(2, position)
        bins_read = (position + table(np.array(OFFSETS), position)).clamp(0, bins - 1)  # (B, K, offsets)
        parts += [logits.gather(2, bins_read) - height, height]
        positions.append((position[..., 0], bins))
    (column, wide), (row, high) = positions
    share = torch.stack([(column + 0.5) / wide, (row + 0.5) / high], dim=2)
    return torch.cat([at_cells(features, row, column, (high, wide)), *parts], dim=2), share


CLASSES = 3
_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class TokenAnswers:
    """Logits: visibility (B, K, 3) of v = 0, 1, 2, opks (B, K) of OPKS of what is labelled, presence (B,) of a person
    in the box. oks (B,): 0–1."""

    visibility: Float[Tensor, "B K 3"]
    opks: Float[Tensor, "B K"]
    oks: Float[Tensor, " B"]
    presence: Float[Tensor, " B"] | None = None


class KeypointTokens(TrustHead):
    """Maps the encoder's map, heatmaps (or a SimCC network's logits and tokens) and the person's box to all three
    fields of `Trust`.

    token: size of each keypoint's representation. hidden: of the whole body's. dropout: in training. box: whether to
    read the person's box: its shape shows how much of the body is in view, unlike the crop, whose shape is fixed.
    presence: whether to predict `Trust.presence`, by layers of its own. occlusion: width of the layers that correct
    P(occluded) by the keypoints' positions (`Occlusion`), 0 for none. tokens: the width of a SimCC network's tokens;
    None for a network with heatmaps.
    """

    reads: tuple[Source, ...] = ("backbone",)
    reads_tokens = True
    reads_positions = True
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
        presence: bool = False,
        occlusion: int = 0,
        tokens: int | None = None,
        detach: bool = True,
    ):
        super().__init__(channels, height, width, keypoints, detach)
        for name, number in (("token", token), ("hidden", hidden)):
            if number < 1:
                raise ValueError(f"{name}: expected 1 or more, got {number}")
        self.reads_box = box
        self.reads_simcc = tokens is not None
        numbers_read = (2 * REACH + 1) ** 2 + 1 if tokens is None else tokens + READ
        self.token = NormalisedLinear(channels + numbers_read + 2 * box, (keypoints, token), dropout)
        self.whole = NormalisedLinear(channels, (hidden,), dropout)
        self.body = nn.Linear(keypoints * token, hidden, bias=False)
        self.from_token = nn.Linear(token, CLASSES + 2, bias=False)
        self.from_body = nn.Linear(hidden, keypoints * (CLASSES + 2))
        self.dropout = nn.Dropout(dropout)
        for name, value in (("visibility", [1.0, 0, 0, 0]), ("opks", [1.0, 0]), ("oks", [1.0, 0])):
            self.register_buffer(f"calibration_{name}", torch.tensor(value))
        sizes = (channels + numbers_read + 2 * box, channels, keypoints, token // 2, hidden // 2, dropout)
        self.presence = Presence(*sizes) if presence else None
        self.occlusion = Occlusion(keypoints, occlusion, box=box) if occlusion else None

    def pool(self, maps: Tensors, xy: Float[Tensor, "B K 2"] | None = None) -> Tensors:
        """Return tokens before any parameter (B, K, T), and the mean of the encoder's map (B, C); for `occlusion` also
        the positions read at, as fractions of the crop, and the box (B, K, 2 or 4)."""
        encoded, *estimates = maps
        box = estimates.pop() if self.reads_box else None
        encoded = encoded.permute(0, 2, 3, 1)  # (B, h, w, C)
        if self.reads_simcc:
            columns, rows, simcc_tokens = estimates
            token, position = read_simcc(encoded, columns, rows, simcc_tokens, xy)
            tokens = [token]
        else:
            (heatmaps,) = estimates
            peak, height = peaks(heatmaps) if xy is None else pixels_at(heatmaps, xy)
            tokens = [at_peaks(encoded, peak, sizes(heatmaps)[1:]), around(heatmaps, peak), height]
            position = shares(peak, sizes(heatmaps)[1:])
        positions = [position]
        if box is not None:
            boxes = box[:, None] + torch.zeros(self.keypoints, 1, device=box.device)  # (B, K, 2)
            tokens.append(boxes)
            positions.append(boxes)
        pooled = torch.cat(tokens, dim=2), encoded.mean(dim=(1, 2))
        return pooled if self.occlusion is None else (*pooled, torch.cat(positions, dim=2))

    def logits(self, pooled: Tensors) -> TokenAnswers:
        visibility, opks, share, in_pose = self.components(pooled)
        opks = opks.flatten(1)
        oks = (share.softmax(dim=1) * in_pose.sigmoid()).sum(dim=(1, 2))
        if self.occlusion is not None and not self.training:
            visibility = self.occlusion(visibility, opks, pooled[2])
        return TokenAnswers(visibility, opks, oks, None if self.presence is None else self.presence(*pooled[:2]))

    def trust(self, raw: TokenAnswers) -> Trust:
        visibility = raw.visibility.softmax(dim=-1)
        quality = (1 - visibility[..., 0]) * raw.opks.sigmoid()
        presence = None if raw.presence is None else raw.presence.sigmoid()
        return Trust(quality=quality, visibility=visibility, pose_quality=raw.oks, presence=presence)

    def components(self, pooled: Tensors) -> Tensors:
        """Return logits of visibility (B, K, 3) and OPKS (B, K, 1); each keypoint's weight in OKS, and its OPKS (B, K,
        1)."""
        tokens, mean, *_ = pooled
        encoded_tokens = self.dropout(self.token(tokens).relu())  # (B, K, D)
        body = self.dropout(self._body(encoded_tokens.flatten(1), mean).relu())
        of_token, of_body, bias = self._last()
        answers = (
            F.linear(body, of_body, bias).reshape(-1, self.keypoints, len(of_token)) + encoded_tokens @ of_token.t()
        )
        return answers.split([CLASSES, 1, 1, 1], dim=2)

    def _body(self, tokens: Float[Tensor, "B D"], whole: Float[Tensor, "B C"]) -> Float[Tensor, "B H"]:
        """Apply one layer to all keypoints and the whole crop."""
        if self.training:
            return F.linear(tokens, self.body.weight) + self.whole(whole)
        weight, bias = self.whole.folded()
        return F.linear(torch.cat([tokens, whole], dim=1), torch.cat([self.body.weight, weight], dim=1), bias)

    def _last(self) -> tuple[Float[Tensor, "6 D"], Float[Tensor, "rows H"], Float[Tensor, " rows"]]:
        """Return the last layer, calibrated: weights of each token for its own keypoint, of the body for all, and the
        bias."""
        rows = [*range(CLASSES + 2), CLASSES]  # OPKS twice, the second time as used in OKS
        visibility_line, opks_line, oks_line = self.calibration_visibility, self.calibration_opks, self.calibration_oks
        as_is = torch.ones_like(opks_line[:1]), torch.zeros_like(opks_line[:1])
        slope = torch.cat([visibility_line[:1].repeat(CLASSES), opks_line[:1], as_is[0], oks_line[:1]])[:, None]
        offset = torch.cat([visibility_line[1:], opks_line[1:], as_is[1], oks_line[1:]])
        body = self.from_body.weight.view(self.keypoints, CLASSES + 2, -1)[:, rows] * slope
        bias = self.from_body.bias.view(self.keypoints, -1)[:, rows] * slope[:, 0] + offset
        return self.from_token.weight[rows] * slope, body.flatten(0, 1), bias.flatten()


class Presence(nn.Module):
    """Maps tokens (B, K, T) and the mean of the encoder's map (B, C) to the logit (B,) of a person in the box.

    It shares no layer with the rest: learnt together, boxes without a person cost expected OKS much of its accuracy on
    people (https://trustpose.github.io/trustpose/trust.html).
    """

    calibration: Tensor  # slope, offset

    def __init__(self, inputs: int, channels: int, keypoints: int, token: int, hidden: int, dropout: float):
        super().__init__()
        self.token = NormalisedLinear(inputs, (keypoints, max(token, 1)), dropout)
        self.whole = NormalisedLinear(channels, (max(hidden, 1),), dropout)
        self.body = nn.Linear(keypoints * max(token, 1), max(hidden, 1), bias=False)
        self.last = nn.Linear(max(hidden, 1), 1)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))

    def forward(self, tokens: Float[Tensor, "B K T"], mean: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
        encoded_tokens = self.dropout(self.token(tokens).relu()).flatten(1)  # (B, K · D)
        body = self.dropout((self.body(encoded_tokens) + self.whole(mean)).relu())
        return self.last(body)[:, 0] * self.calibration[0] + self.calibration[1]


class NormalisedLinear(nn.Module):
    """Batch norm of (B, …, inputs) and a linear layer with a bias of shape (…, D); merged into one product in
    evaluation."""

    def __init__(self, inputs: int, bias: tuple[int, ...], dropout: float):
        super().__init__()
        self.norm = nn.BatchNorm1d(inputs)
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(nn.Linear(inputs, bias[-1]).weight.detach())
        self.bias = nn.Parameter(torch.randn(bias) * 0.02)

    def forward(self, x: Float[Tensor, "B *K T"]) -> Float[Tensor, "B *K D"]:
        if self.training:
            return self.dropout(self.norm(x.flatten(0, -2)).view(x.shape)) @ self.weight.t() + self.bias
        weight, bias = self.folded()
        return x @ weight.t() + bias

    def folded(self) -> tuple[Float[Tensor, "D T"], Float[Tensor, "*K D"]]:
        """Return weight and bias of both together, as in evaluation."""
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return self.weight * scale, self.bias + self.weight @ (norm.bias - norm.running_mean * scale)


def tokens_losses(
    raw: TokenAnswers,
    targets: TrustTargets,
    is_known: Bool[Tensor, "B K"] | None = None,
    is_ternary: Bool[Tensor, "B K"] | None = None,
    is_present: Bool[Tensor, " B"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Return cross-entropy of "visibility", of "opks" on labelled keypoints, of "oks" on people who have one, and of
    "presence" if the head predicts it.

    is_known: the data set labels this joint; is_ternary: and its v is COCO's. If only "labelled" is known, P(v > 0) is
    P(1) + P(2). is_present: the box holds a person. All if None.
    """
    v, is_labelled = targets.visibility, targets.visibility > 0
    is_known_joint = torch.ones_like(is_labelled) if is_known is None else is_known
    ternary = is_known_joint if is_ternary is None else is_ternary
    logs = raw.visibility.log_softmax(dim=-1)
    labelled = torch.where(is_labelled, logs[..., 1:].logsumexp(dim=-1), logs[..., 0])
    likelihood = torch.where(ternary, logs.gather(2, v[..., None])[..., 0], labelled)
    has_oks = ~torch.isnan(targets.oks)
    oks, predicted_oks = torch.where(has_oks, targets.oks, 0.5), raw.oks.float().clamp(_EPSILON, 1 - _EPSILON)
    losses = {
        "visibility": mean_where(-likelihood, is_known_joint),
        "opks": mean_where(F.binary_cross_entropy_with_logits(raw.opks, targets.opks, reduction="none"), is_labelled),
        "oks": mean_where(-(oks * predicted_oks.log() + (1 - oks) * (1 - predicted_oks).log()), has_oks),
    }
    if raw.presence is not None:
        present = torch.ones_like(raw.presence) if is_present is None else is_present.to(raw.presence)
        losses["presence"] = F.binary_cross_entropy_with_logits(raw.presence, present)
    return losses
