"""Our own head: expected OPKS and visibility of each keypoint and expected OKS, from what is seen at the peaks.

A keypoint is one token: the network's features and the encoder's at the heatmap's peak, the heatmap around it, what all
other heatmaps say at that place (a left wrist's peak on the right wrist's map is a swap, on the elbow's an inversion),
and a few numbers: where the peak is, how high, the highest one elsewhere, mean, spread and mass of the map, and the
OKS that the map itself expects there under two kernels. Attention between the tokens, and one more for the whole crop,
judges them as one body: limbs too long, two keypoints in one place, a face seen from behind.

Everything is detached and read at K places only, so the head costs little beside any network; it is small because
the labels are few. All but the last layers see no label: `digest` has no parameters, and a frozen network's digests,
a few kilobytes a crop where its maps are a megabyte, are stored once.

What it learns are proper scores, whose minimum is the honest answer: cross-entropy of the three visibilities, and
cross-entropy of OPKS on labelled keypoints and of OKS, both as the probability that they are the mean of. `calibrate`
then fits one slope and offset for each answer on people held out.

Where the parts come from. Detached features, labelled × expected OPKS: HPCVNet (poster). One OKS of the pose from the
features: OKS-Net, section III-C. Three visibilities from the encoder: the metamodel, section 3. Expected OKS of a
heatmap: Gu et al., On the Calibration of Human Pose Estimation, 2023, section 4. Tokens of keypoints that attend to
each other: Li et al., TokenPose, ICCV 2021.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trustpose.trust.heads import Source, Tensors, Trust, TrustHead, mean_where
from trustpose.trust.targets import TrustTargets

REACH = 4  # map pixels around a peak that are read, on each side
CELL = 4  # map pixels on a side of the cells that second peaks and moments are found in
NUMBERS = 13
CLASSES = 3
REDUCED = 32  # channels of the encoder's map for the whole crop
_KERNELS = (3.0, 8.0)  # deviations, map pixels at a height of 64: about a wrist's and a hip's
_EPSILON = 1e-4


@dataclass(frozen=True, eq=False)
class TokenAnswers:
    """Logits: visibility (B, K, 3) of v = 0, 1, 2; opks (B, K) of a keypoint's OPKS if it is labelled; oks (B,)."""

    visibility: Float[Tensor, "B K 3"]
    opks: Float[Tensor, "B K"]
    oks: Float[Tensor, " B"]


class KeypointTokens(TrustHead):
    """Features, the encoder's map and heatmaps to all three fields of `Trust`.

    others: ((C, h, w),), the encoder's map. token: its width. layers: of attention. dropout: in training. box: whether
    the person's box is read: its shape tells what of the body is in view, which the crop, always 3:4, does not.
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
        token: int = 96,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        box: bool = True,
        detach: bool = True,
    ):
        super().__init__(channels, height, width, keypoints, detach)
        self.reads_box = box
        ((encoder_channels, encoder_height, encoder_width),) = others
        self.shapes = (*self.shapes, *others)
        read = channels + encoder_channels + (2 * REACH + 1) ** 2 + keypoints + NUMBERS + 2 * box
        self.normalise = nn.BatchNorm1d(read)
        self.embed = nn.Linear(read, token)
        self.identity = nn.Parameter(torch.randn(keypoints, token) * 0.02)
        self.whole = nn.Sequential(
            nn.BatchNorm2d(encoder_channels),
            nn.Conv2d(encoder_channels, REDUCED, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Dropout(2 * dropout),
            nn.Linear(REDUCED * encoder_height * encoder_width, token),
        )
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(token, heads, dropout) for _ in range(layers)))
        self.last = nn.LayerNorm(token)
        self.per_keypoint = nn.Linear(token, CLASSES + 1)
        self.bias = nn.Parameter(torch.zeros(keypoints, CLASSES + 1))
        self.per_pose = nn.Linear(token, 1)
        for name, value in (("visibility", [1.0, 0, 0, 0]), ("opks", [1.0, 0]), ("oks", [1.0, 0])):
            self.register_buffer(f"calibration_{name}", torch.tensor(value))

    def digest(self, maps: Tensors) -> Tensors:
        """Tokens before any parameter (B, K, T), and the encoder's map (B, C, h, w)."""
        features, encoded, heatmaps, *box = maps
        x, y, height = peaks(heatmaps)
        rows, columns = heatmaps.shape[2:]
        place = torch.stack([(x + 0.5) / columns, (y + 0.5) / rows], dim=-1)[:, :, None] * 2 - 1  # (B, K, 1, 2)
        seen = [F.grid_sample(one, place, align_corners=False)[..., 0].transpose(1, 2) for one in (features, encoded)]
        tokens = [*seen, around(heatmaps, x, y), across(heatmaps, x, y), numbers(heatmaps, x, y, height)]
        tokens += [one[:, None].expand(-1, heatmaps.shape[1], -1) for one in box]
        return torch.cat(tokens, dim=2), encoded  # (B, K, T), (B, C, h, w)

    def answer(self, digest: Tensors) -> TokenAnswers:
        tokens, encoded = digest
        normal = self.normalise(tokens.flatten(0, 1)).view(tokens.shape)
        x = self.embed(self.dropout(normal)) + self.identity  # (B, K, D)
        x = torch.cat([x, self.whole(encoded)[:, None]], dim=1)  # (B, K + 1, D)
        x = self.last(self.blocks(x))
        each = self.per_keypoint(x[:, :-1]) + self.bias  # (B, K, 4)
        visibility = each[..., :CLASSES] * self.calibration_visibility[0] + self.calibration_visibility[1:]
        opks = each[..., CLASSES] * self.calibration_opks[0] + self.calibration_opks[1]
        # the mean over labelled keypoints, which OKS is, and what the whole crop says beyond that
        expected = _expected_oks(visibility, opks).clamp(_EPSILON, 1 - _EPSILON)
        oks = (expected.logit() + self.per_pose(x[:, -1])[:, 0]) * self.calibration_oks[0] + self.calibration_oks[1]
        return TokenAnswers(visibility, opks, oks)

    def trust(self, raw: TokenAnswers) -> Trust:
        visibility = raw.visibility.softmax(dim=-1)
        return Trust(
            quality=(1 - visibility[..., 0]) * raw.opks.sigmoid(), visibility=visibility, pose_quality=raw.oks.sigmoid()
        )


class Block(nn.Module):
    """Attention between tokens, then two layers on each, both added to what came in (Vaswani et al., 2017)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
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
        split = self.project(self.before(x)).unflatten(2, (3, self.heads, -1))  # (B, T, 3, heads, D / heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, T, D / heads)
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(dim=-1)  # (B, heads, T, T)
        x = x + self.dropout(self.join((weights @ value).transpose(1, 2).flatten(2)))
        return x + self.dropout(self.each(self.after(x)))


def peaks(
    heatmaps: Float[Tensor, "B K h w"],
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"], Float[Tensor, "B K"]]:
    """Column and row of each map's highest pixel, and how high it is."""
    height, at = heatmaps.flatten(2).max(dim=2)
    width = heatmaps.shape[3]
    return (at % width).to(heatmaps.dtype), (at // width).to(heatmaps.dtype), height


def around(
    heatmaps: Float[Tensor, "B K h w"], x: Float[Tensor, "B K"], y: Float[Tensor, "B K"]
) -> Float[Tensor, "B K P"]:
    """Each map's pixels around its own peak, row by row; 0 beyond the map."""
    padded = F.pad(heatmaps, (REACH,) * 4)
    width = padded.shape[3]
    side = torch.arange(2 * REACH + 1, device=heatmaps.device)
    offsets = (side[:, None] * width + side).flatten()  # (P,), from the window's first pixel
    start = (y * width + x).long()  # the peak less REACH either way, in the padded map
    return padded.flatten(2).gather(2, start[..., None] + offsets)


def across(
    heatmaps: Float[Tensor, "B K h w"], x: Float[Tensor, "B K"], y: Float[Tensor, "B K"]
) -> Float[Tensor, "B K K"]:
    """Row k: what all maps say at keypoint k's peak."""
    at = (y * heatmaps.shape[3] + x).long()  # (B, K)
    keypoints = heatmaps.shape[1]
    return heatmaps.flatten(2).gather(2, at[:, None].expand(-1, keypoints, -1)).transpose(1, 2)


def numbers(
    heatmaps: Float[Tensor, "B K h w"],
    x: Float[Tensor, "B K"],
    y: Float[Tensor, "B K"],
    height: Float[Tensor, "B K"],
) -> Float[Tensor, "B K 13"]:
    """The peak's place (−1 to 1), the highest cell elsewhere, and the map's mass, mean, spread and expected OKS.

    All of them but the peak from cells of 4 × 4 map pixels: coarse, and a sixteenth of the work.
    """
    rows, columns = heatmaps.shape[2:]
    unit = rows / 64
    highest = F.max_pool2d(heatmaps, CELL, ceil_mode=True)  # (B, K, r, c)
    mass = F.avg_pool2d(F.relu(heatmaps), CELL, ceil_mode=True, count_include_pad=False).flatten(2)  # (B, K, r·c)
    r, c = highest.shape[2:]
    cell_y = (torch.arange(r, device=x.device, dtype=x.dtype) * CELL + (CELL - 1) / 2).repeat_interleave(c)
    cell_x = (torch.arange(c, device=x.device, dtype=x.dtype) * CELL + (CELL - 1) / 2).repeat(r)
    dx, dy = (cell_x - x[..., None]) / unit, (cell_y - y[..., None]) / unit  # (B, K, r·c)
    is_near = torch.maximum(dx.abs(), dy.abs()) * unit < 1.5 * CELL + 0.5
    second, at = highest.flatten(2).masked_fill(is_near, -1.0).max(dim=2)
    distance = dx.square() + dy.square()
    total = mass.sum(dim=2) + _EPSILON
    share = mass / total[..., None]
    kernels = torch.stack([(-distance / (2 * deviation**2)).exp() for deviation in _KERNELS], dim=2)  # (B, K, 2, r·c)
    expected = (kernels @ share[..., None])[..., 0]  # (B, K, 2)
    found = [
        x / columns * 2 - 1,
        y / rows * 2 - 1,
        height,
        second,
        height - second,
        dx.gather(2, at[..., None])[..., 0] / 16,
        dy.gather(2, at[..., None])[..., 0] / 16,
        total.log(),
        (dx * share).sum(2) / 8,
        (dy * share).sum(2) / 8,
        (distance * share).sum(2).sqrt() / 8,
    ]
    return torch.cat([torch.stack(found, dim=2), expected], dim=2)


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
