"""Our own head: expected OPKS and visibility of each keypoint and expected OKS, from what is seen at the peaks.

A keypoint is one token: the network's features and the encoder's at the heatmap's peak, the heatmap around it, what all
other heatmaps say at that place (a left wrist's peak on the right wrist's map is a swap, on the elbow's an inversion),
and a few numbers: where the peak is, how high, the highest one elsewhere, the map's mass, mean and spread. Attention
between the tokens, and one more for the whole crop, judges them as one body: limbs too long, two keypoints in one
place, a face seen from behind.

Everything is detached and read at K places only, so the head costs little beside any network; it is small because
the labels are few. All but the last layers see no label: `digest` has no parameters, and a frozen network's digests,
a few kilobytes a crop where its maps are a megabyte, are stored once. It is written for few and cheap operators, as a
small network's few milliseconds leave little room: lookups instead of interpolation, tables instead of arithmetic.

What it learns are proper scores, whose minimum is the honest answer: cross-entropy of the three visibilities, and
cross-entropy of OPKS on labelled keypoints and of OKS, both as the probability that they are the mean of. `calibrate`
then fits one slope and offset for each answer on people held out.

Where the parts come from. Detached features, labelled × expected OPKS: HPCVNet (poster). One OKS of the pose from the
features: OKS-Net, section III-C. Three visibilities from the encoder: the metamodel, section 3. Tokens of keypoints
that attend to each other: Li et al., TokenPose, ICCV 2021.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trustpose.trust.heads import Source, Tensors, Trust, TrustHead, mean_where
from trustpose.trust.peaks import NUMBERS, REACH, around, at_peaks, numbers, peaks, sizes
from trustpose.trust.targets import TrustTargets

CLASSES = 3
_EPSILON = 1e-4


@dataclass(frozen=True, eq=False)
class TokenAnswers:
    """Logits: visibility (B, K, 3) of v = 0, 1, 2; opks (B, K) of a keypoint's OPKS if it is labelled; oks (B,)."""

    visibility: Float[Tensor, "B K 3"]
    opks: Float[Tensor, "B K"]
    oks: Float[Tensor, " B"]


class KeypointTokens(TrustHead):
    """Features, the encoder's map and heatmaps to all three fields of `Trust`.

    others: ((C, h, w),), the encoder's map. token: its width. layers, heads: of attention. dropout: in training. box:
    whether the person's box is read: its shape tells what of the body is in view, which the crop, always 3:4, does not.
    """

    reads: tuple[Source, ...] = ("features", "backbone")
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
        others: tuple[tuple[int, int, int], ...],
        token: int = 64,
        layers: int = 2,
        heads: int = 1,
        dropout: float = 0.1,
        box: bool = True,
        detach: bool = True,
    ):
        super().__init__(channels, height, width, keypoints, detach)
        for name, number, least in (("token", token, 1), ("layers", layers, 0), ("heads", heads, 1)):
            if number < least:
                raise ValueError(f"{name}: expected {least} or more, got {number}")
        self.reads_box = box
        self.shapes = (*self.shapes, *others)
        read = channels + others[0][0] + (2 * REACH + 1) ** 2 + keypoints + NUMBERS + 2 * box
        self.normalise = nn.BatchNorm1d(read)
        self.embed = nn.Linear(read, token)
        self.identity = nn.Parameter(torch.randn(keypoints, token) * 0.02)
        self.whole = nn.Sequential(nn.BatchNorm1d(others[0][0]), nn.Linear(others[0][0], token))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(token, heads, dropout) for _ in range(layers)))
        self.last = nn.LayerNorm(token)
        self.per_keypoint = nn.Linear(token, CLASSES + 1)
        self.bias = nn.Parameter(torch.zeros(keypoints, CLASSES + 1))
        self.per_pose = nn.Linear(token, 1)
        for name, value in (("visibility", [1.0, 0, 0, 0]), ("opks", [1.0, 0]), ("oks", [1.0, 0])):
            self.register_buffer(f"calibration_{name}", torch.tensor(value))

    def digest(self, maps: Tensors) -> Tensors:
        """Tokens before any parameter (B, K, T), and the mean of the encoder's map (B, C)."""
        features, encoded, heatmaps, *box = maps
        x, y, height = peaks(heatmaps)  # (B, K, 1) each
        tokens = [at_peaks(one, x, y, sizes(heatmaps)[1:]) for one in (features, encoded, heatmaps)]
        tokens += [around(heatmaps, x, y), numbers(heatmaps, x, y, height)]
        tokens += [one[:, None] + 0 * height for one in box]  # (B, K, 2)
        return torch.cat(tokens, dim=2), encoded.mean(dim=(2, 3))

    def answer(self, digest: Tensors) -> TokenAnswers:
        tokens, mean = digest
        x = torch.cat([self._embedded(tokens) + self.identity, self.whole(mean)[:, None]], dim=1)  # (B, K + 1, D)
        x = self.last(self.blocks(x))
        body, whole = x.split([self.keypoints, 1], dim=1)
        visibility, opks = (self.per_keypoint(body) + self.bias).split([CLASSES, 1], dim=2)
        visibility = visibility * self.calibration_visibility[0] + self.calibration_visibility[1:]
        opks = opks.flatten(1) * self.calibration_opks[0] + self.calibration_opks[1]
        # the mean over labelled keypoints, which OKS is, and what the whole crop says beyond that
        expected = _expected_oks(visibility, opks).clamp(_EPSILON, 1 - _EPSILON)
        oks = (expected.logit() + self.per_pose(whole).flatten()) * self.calibration_oks[0] + self.calibration_oks[1]
        return TokenAnswers(visibility, opks, oks)

    def trust(self, raw: TokenAnswers) -> Trust:
        visibility = raw.visibility.softmax(dim=-1)
        return Trust(
            quality=(1 - visibility[..., 0]) * raw.opks.sigmoid(), visibility=visibility, pose_quality=raw.oks.sigmoid()
        )

    def _embedded(self, tokens: Float[Tensor, "B K T"]) -> Float[Tensor, "B K D"]:
        """Normalised, then embedded; in evaluation by one product."""
        if self.training:
            normal = self.normalise(tokens.flatten(0, 1)).view(tokens.shape)
            return self.embed(self.dropout(normal))
        norm, weight = self.normalise, self.embed.weight
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = self.embed.bias + weight @ (norm.bias - norm.running_mean * scale)
        return tokens @ (weight * scale).t() + shift


class Block(nn.Module):
    """Attention between tokens, then two layers on each, both added to what came in (Vaswani et al., 2017)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: expected a divisor of the token's width, {width}, got {heads}")
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.after = nn.LayerNorm(width)
        self.each = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        count, width = sizes(x)
        query, key, value = self.project(self.before(x)).split(width, dim=2)  # (B, T, D) each
        if self.heads > 1:
            split = (-1, count, self.heads, width // self.heads)
            query, key, value = (one.reshape(split).transpose(1, 2) for one in (query, key, value))  # (B, heads, T, d)
        weights = (query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(dim=-1)
        seen = weights @ value
        if self.heads > 1:
            seen = seen.transpose(1, 2).reshape(-1, count, width)  # (B, T, D)
        x = x + self.dropout(self.join(seen))
        return x + self.dropout(self.each(self.after(x)))


def tokens_losses(
    raw: TokenAnswers,
    targets: TrustTargets,
    is_known: Bool[Tensor, "B K"] | None = None,
    is_ternary: Bool[Tensor, "B K"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Cross-entropy of "visibility", of "opks" on labelled keypoints, and of "oks" on people who have one.

    is_known: the data set speaks of this joint; is_ternary: and its v is COCO's. Where only "labelled" is known, v > 0
    is P(1) + P(2). All if None.
    """
    v, is_labelled = targets.visibility, targets.visibility > 0
    known = torch.ones_like(is_labelled) if is_known is None else is_known
    ternary = known if is_ternary is None else is_ternary
    logs = raw.visibility.log_softmax(dim=-1)
    labelled = torch.where(is_labelled, logs[..., 1:].logsumexp(dim=-1), logs[..., 0])
    said = torch.where(ternary, logs.gather(2, v[..., None])[..., 0], labelled)
    has_oks = ~torch.isnan(targets.oks)
    oks = torch.where(has_oks, targets.oks, 0.5)
    return {
        "visibility": mean_where(-said, known),
        "opks": mean_where(F.binary_cross_entropy_with_logits(raw.opks, targets.opks, reduction="none"), is_labelled),
        "oks": mean_where(F.binary_cross_entropy_with_logits(raw.oks, oks, reduction="none"), has_oks),
    }


def calibrate(head: KeypointTokens, digest: Tensors, targets: TrustTargets) -> Mapping[str, float]:
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
        plain = head.answer(digest)
        beyond = plain.oks - _expected_oks(plain.visibility, plain.opks).clamp(_EPSILON, 1 - _EPSILON).logit()

    def losses() -> dict[str, Tensor]:
        visibility = plain.visibility * fitted[0][0] + fitted[0][1:]
        opks = plain.opks * fitted[1][0] + fitted[1][1]
        expected = _expected_oks(visibility, opks).clamp(_EPSILON, 1 - _EPSILON).detach()
        oks = (expected.logit() + beyond) * fitted[2][0] + fitted[2][1]
        return tokens_losses(TokenAnswers(visibility, opks, oks), targets)

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


def _expected_oks(visibility: Float[Tensor, "B K 3"], opks: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """Σ P(labelled) × E[OPKS] / Σ P(labelled), from logits."""
    labelled = 1 - visibility.softmax(dim=-1)[..., 0]
    return (labelled * opks.sigmoid()).sum(1) / labelled.sum(1).clamp(min=_EPSILON)
