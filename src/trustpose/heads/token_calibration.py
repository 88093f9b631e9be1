"""Calibrate `KeypointTokens` on people that it has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from trustpose.heads.heads import Tensors, Trust
from trustpose.heads.keypoint_tokens import KeypointTokens, TokenAnswers, tokens_losses
from trustpose.heads.occlusion import fit_occlusion
from trustpose.heads.targets import TrustTargets

_LEAST = 1e-6  # probability, as in `models.outputs.trust`
_NOTHING = {"visibility": [1.0, 0, 0, 0], "opks": [1.0, 0], "oks": [1.0, 0]}


@torch.no_grad()
def uncalibrated_components(head: KeypointTokens, pooled: Tensors) -> Tensors:
    """Return the head's `components` of pooled maps before any calibration, in evaluation mode, for `calibrate`."""
    saved, was_training = {name: getattr(head, f"calibration_{name}").clone() for name in _NOTHING}, head.training
    _set(head, {name: torch.tensor(value) for name, value in _NOTHING.items()})
    components = head.eval().components(pooled)
    _set(head, saved)
    head.train(was_training)
    return components


def calibrate(
    head: KeypointTokens,
    components: Tensors,
    targets: TrustTargets,
    labels: tuple[Tensor, Tensor] | None = None,
    occlusion_inputs: tuple[Tensor, Int[Tensor, " K"]] | None = None,
) -> Mapping[str, float]:
    """Fit the head's slopes and offsets, and `Occlusion` if it has that, on held-out people; return the resulting
    losses.

    components: `uncalibrated_components` of the head, or of others like it that have not seen these people, if it has
    (the folds of a cross-fit). labels: `is_known` and `is_ternary` of `tokens_losses`. occlusion_inputs: the last of
    the head's pooled maps, (N, K, 2 or 4), and the skeleton's `flip_index`, for `Occlusion`.

    One slope and an offset for each class of visibility (vector scaling with a single slope: Guo et al., On Calibration
    of Modern Neural Networks, ICML 2017, section 4.2), one slope and offset for OPKS, and for OKS, each by its own
    loss. An earlier calibration is replaced.
    """
    components = tuple(part.detach() for part in components)
    fitted = [torch.tensor(value, device=components[0].device, requires_grad=True) for value in _NOTHING.values()]
    _minimise(fitted, lambda: tokens_losses(_answers(components, fitted), targets, *(labels or ())))
    _set(head, {name: value.detach() for name, value in zip(_NOTHING, fitted, strict=True)})
    if head.occlusion is not None and occlusion_inputs is not None:
        with torch.no_grad():
            answers = _answers(components, fitted)
        ternary = torch.ones_like(targets.visibility, dtype=torch.bool) if labels is None else labels[1]
        fit_occlusion(
            head.occlusion,
            (answers.visibility, answers.opks, occlusion_inputs[0]),
            targets.visibility,
            ternary,
            occlusion_inputs[1],
        )
    final = apply_calibration(head, components, None if occlusion_inputs is None else occlusion_inputs[0])
    return {name: float(loss) for name, loss in tokens_losses(final, targets, *(labels or ())).items()}


@torch.no_grad()
def apply_calibration(head: KeypointTokens, components: Tensors, positions: Tensor | None = None) -> TokenAnswers:
    """Return the answers of `components`, as for `calibrate`, with the head's slopes, offsets and `Occlusion`."""
    answers = _answers(components, [getattr(head, f"calibration_{name}") for name in _NOTHING])
    if head.occlusion is None or positions is None:
        return answers
    return replace(answers, visibility=head.occlusion(answers.visibility, answers.opks, positions))


def flip_lines(mean: Trust, targets: TrustTargets, is_known: Bool[Tensor, "N K"]) -> dict[str, tuple[float, float]]:
    """Fit `models.outputs.trust.TrustOutput.flip` on people that the head has not seen.

    mean: the averages of both views' calibrated trust; targets: of the flip test's poses. Each line minimises the
    cross-entropy of expected OPKS, 0 for joints that are not labelled, and of expected OKS.
    """
    lines = {}
    for name, values, target, is_counted in (
        ("quality", mean.quality, targets.opks, is_known),
        ("pose_quality", mean.pose_quality, targets.oks, ~targets.oks.isnan()),
    ):
        if values is None or not is_counted.any():
            continue
        logit, expected = values[is_counted].double().logit(_LEAST), target[is_counted].double()
        line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
        _minimise([line], partial(_line_loss, line, logit, expected))
        slope, offset = line.tolist()
        lines[name] = (slope, offset)
    return lines


def calibrate_presence(head: KeypointTokens, logit: Tensor, is_present: Bool[Tensor, " B"]) -> None:
    """Fit slope and offset of `Presence` on held-out boxes of a detector. An earlier calibration is replaced.

    logit (B,): `presence_logit` of the head, or of one like it that has not seen these boxes' photos.
    """
    assert head.presence is not None
    line = torch.tensor([1.0, 0.0], requires_grad=True, device=logit.device)
    target = is_present.to(logit)
    _minimise([line], lambda: {"presence": F.binary_cross_entropy_with_logits(logit * line[0] + line[1], target)})
    head.presence.calibration.copy_(line.detach())


@torch.no_grad()
def presence_logit(head: KeypointTokens, pooled: Tensors) -> Tensor:
    """Return the logits (B,) of `Presence` as before any calibration, in evaluation mode."""
    presence = head.presence
    assert presence is not None
    saved, was_training = presence.calibration.clone(), head.training
    presence.calibration.copy_(torch.tensor([1.0, 0.0]))
    logit = presence.eval()(*pooled[:2])
    presence.calibration.copy_(saved)
    head.train(was_training)
    return logit


def _answers(components: Tensors, lines: Sequence[Tensor]) -> TokenAnswers:
    """Return the answers with slopes and offsets, in the order of `_NOTHING`."""
    visibility, opks, share, in_pose = components
    of_visibility, of_opks, of_oks = lines
    oks = (share.softmax(dim=1) * (in_pose * of_oks[0] + of_oks[1]).sigmoid()).sum(dim=(1, 2))
    opks = opks.flatten(1)
    return TokenAnswers(visibility * of_visibility[0] + of_visibility[1:], opks * of_opks[0] + of_opks[1], oks)


def _line_loss(line: Tensor, logit: Tensor, target: Tensor) -> Mapping[str, Tensor]:
    return {"line": F.binary_cross_entropy_with_logits(logit * line[0] + line[1], target)}


def _set(head: KeypointTokens, lines: Mapping[str, Tensor]) -> None:
    for name, value in lines.items():
        getattr(head, f"calibration_{name}").copy_(value)


def _minimise(values: list[Tensor], losses: Callable[[], Mapping[str, Tensor]]) -> None:
    """Minimise the sum of the losses over `values`, in place."""
    optimiser = torch.optim.LBFGS(values, max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimiser.zero_grad()
        loss = torch.stack(list(losses().values())).sum()
        loss.backward()
        return float(loss.detach())

    optimiser.step(closure)
