"""P(occluded) corrected by places: against the same written out by hand, mirrored people, and a rule to be found."""

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss

from tests.heads.small import KEYPOINTS, crops, network
from tests.networks.random_weights import randomise
from trustpose.export.trust_folder import export_onnx
from trustpose.heads.keypoint_tokens import KeypointTokens
from trustpose.heads.network import attach
from trustpose.heads.occlusion import FREQUENCIES, Occlusion, fit_occlusion
from trustpose.heads.targets import TrustTargets
from trustpose.heads.token_calibration import calibrate, uncalibrated_components

MIRROR = torch.tensor([0, 2, 1, 4, 3])  # a nose, and left and right of two


def filled(layers: Occlusion, seed: int = 0) -> Occlusion:
    """Random weights, the same for both joints of a pair."""
    generator = torch.Generator().manual_seed(seed)
    for buffer in layers.buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.randn(buffer.shape, generator=generator) / 2)
    layers.mirror.copy_(MIRROR)
    layers.first_bias.copy_(layers.first_bias[torch.minimum(MIRROR, torch.arange(5))])
    return layers


def people(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of visibility and of OPKS, places with boxes."""
    generator = torch.Generator().manual_seed(seed)
    box = torch.rand(count, 1, 2, generator=generator).expand(-1, 5, -1)
    position = torch.rand(count, 5, 2, generator=generator)
    logits = torch.randn(count, 5, 4, generator=generator)
    return logits[..., :3], logits[..., 3], torch.cat([position, box], dim=2)


def test_by_hand():
    layers, (visibility, opks, position) = filled(Occlusion(5, 6, box=True)), people(4)
    found = layers(visibility, opks, position).softmax(2).double().numpy()
    weights = {name: buffer.double().numpy() for name, buffer in layers.named_buffers()}
    logits, of_opks, positions = (part.double().numpy() for part in (visibility, opks, position))
    for person, joint in np.ndindex(4, 5):
        index, side = int(MIRROR[joint]), -1 if MIRROR[joint] < joint else 1
        said = []
        for first in (joint, index):
            absent, occluded, seen = logits[person, first]
            said += [occluded - seen, np.log(np.exp(occluded) + np.exp(seen)) - absent, of_opks[person, first]]
        (x, y), (far_x, far_y) = (positions[person, one, :2] * 2 - 1 for one in (joint, index))
        waves = [value * frequency for frequency in FREQUENCIES for value in (side * x, y)]
        inputs = [
            *said,
            side * x,
            y,
            side * far_x,
            far_y,
            *np.sin(waves),
            *np.cos(waves),
            *positions[person, joint, 2:],
        ]
        hidden = (weights["first"] @ inputs + weights["first_bias"][joint]).clip(0)
        hidden = (weights["second"] @ hidden + weights["second_bias"]).clip(0)
        absent, occluded, seen = np.exp(logits[person, joint])
        share = 1 / (1 + seen / occluded * np.exp(-(weights["last"] @ hidden + weights["last_bias"])[0]))
        labelled = (occluded + seen) / (absent + occluded + seen)
        expected = [1 - labelled, labelled * share, labelled * (1 - share)]
        np.testing.assert_allclose(found[person, joint], expected, atol=1e-5)


def test_a_mirrored_person_gets_the_mirrored_correction():
    layers, (visibility, opks, position) = filled(Occlusion(5, 8, box=True), 1), people(6, 1)
    probabilities = layers(visibility, opks, position)
    turned = torch.cat([1 - position[..., :1], position[..., 1:]], dim=2)[:, MIRROR]
    mirrored = layers(visibility[:, MIRROR], opks[:, MIRROR], turned)
    middle = MIRROR != torch.arange(5)  # the nose's own place is not mirrored
    torch.testing.assert_close(mirrored[:, MIRROR][:, middle], probabilities[:, middle], atol=1e-5, rtol=0)


def rule(count: int, seed: int) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """People whose left joints are hidden on one side of the crop, right ones on the other; v of a tenth is unknown."""
    said = people(count, seed)
    side = torch.where(MIRROR < torch.arange(5), -1, 1)
    hidden = (said[2][..., 0] - 0.5) * side > 0.2
    labelled = torch.rand(count, 5, generator=torch.Generator().manual_seed(seed + 1)) < 0.8
    return said, torch.where(labelled, torch.where(hidden, 1, 2), 0)


def test_it_finds_where_joints_are_hidden():
    said, v = rule(1500, 2)
    mask = torch.rand(v.shape, generator=torch.Generator().manual_seed(5)) < 0.9
    layers, state = Occlusion(5, 16, box=True), torch.get_rng_state()
    torch.testing.assert_close(layers(*said).softmax(2), said[0].softmax(2))  # not fitted yet: changes nothing
    fit_occlusion(layers, said, v, mask, MIRROR)
    assert torch.equal(torch.get_rng_state(), state)
    new, truth = rule(500, 9)
    used = (truth > 0).numpy()
    before, after = ((logits[..., 1] - logits[..., 2]).sigmoid().numpy()[used] for logits in (new[0], layers(*new)))
    occluded = truth.numpy()[used] == 1
    assert average_precision_score(occluded, after) > 0.95 > 0.5 > average_precision_score(occluded, before)
    assert log_loss(occluded, after) < 0.25 < log_loss(occluded, before)
    torch.testing.assert_close(layers(*new).softmax(2)[..., 0], new[0].softmax(2)[..., 0])
    again, scrambled = Occlusion(5, 16, box=True), torch.where(mask, v, (v + 1) % 3)
    fit_occlusion(again, said, scrambled, mask, MIRROR)  # what is unknown does not matter, and draws are the same
    assert all(
        torch.equal(buffer, second_buffer)
        for buffer, second_buffer in zip(layers.buffers(), again.buffers(), strict=True)
    )


def test_nothing_is_fitted_to_nobody():
    layers, said = Occlusion(5, 4, box=True), people(3)
    fit_occlusion(layers, said, torch.zeros(3, 5, dtype=torch.long), torch.ones(3, 5, dtype=torch.bool), MIRROR)
    torch.testing.assert_close(layers(*said).softmax(2), said[0].softmax(2))


@pytest.mark.parametrize("box", [True, False])
def test_a_calibrated_head_answers_what_was_fitted(box):
    """Calibrated by its own outputs: in evaluation the corrected probabilities come out, in training the plain ones."""
    generator = torch.Generator().manual_seed(3)
    head = randomise(KeypointTokens(4, 8, 6, 5, token=8, hidden=12, box=box, occlusion=8, dropout=0.0)).eval()
    maps = [torch.randn(64, 4, 8, 6, generator=generator), torch.randn(64, 5, 16, 12, generator=generator)]
    pooled = head.pool((*maps, torch.rand(64, 2, generator=generator)) if box else tuple(maps))
    assert pooled[2].shape == (64, 5, 4 if box else 2)
    v = torch.randint(0, 3, (64, 5), generator=generator)
    opks = torch.rand(64, 5, generator=generator) * (v > 0)
    targets = TrustTargets(opks, opks.sum(1) / (v > 0).sum(1), v)
    assert head.occlusion is not None
    calibrate(head, uncalibrated_components(head, pooled), targets, None, None)
    plain = head.trust(head.logits(pooled))
    losses = calibrate(head, uncalibrated_components(head, pooled), targets, None, (pooled[2], MIRROR))
    corrected = head.trust(head.logits(pooled))
    assert (plain.visibility - corrected.visibility).abs().max() > 1e-3
    for name in ("quality", "pose_quality"):
        torch.testing.assert_close(getattr(plain, name), getattr(corrected, name))
    expected = log_loss(v.flatten(), corrected.visibility.detach().flatten(0, 1).double(), labels=[0, 1, 2])
    assert losses["visibility"] == pytest.approx(expected, abs=1e-5)


def test_the_same_in_onnx(tmp_path):
    module = attach("keypoint-tokens", network("tiny"), 64, 64, occlusion=6).eval()
    filled(randomise(module.head).occlusion)
    path, image, box = tmp_path / "model.onnx", crops(3), torch.rand(3, 2)
    export_onnx(module, path, 64, 64)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["visibility"], {"image": image.numpy(), "box": box.numpy()})
    assert KEYPOINTS == len(MIRROR)
    with torch.no_grad():
        expected = module(image, box)[1].visibility.numpy()
        module.head.occlusion.last.zero_()
        plain = module(image, box)[1].visibility.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - plain).max() > 1e-3
