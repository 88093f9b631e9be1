"""Every network of the zoo: shapes, gradients, one batch learnt by heart, the same numbers from its ONNX file."""

import numpy as np
import onnxruntime
import pytest
import torch

from tests.networks.overfitting import overfit
from tests.networks.random_weights import randomise
from trustpose.networks.export import export_onnx
from trustpose.networks.simple_baseline import simple_baseline
from trustpose.networks.zoo import ZOO, build

# Millions of parameters as the papers print them, 17 keypoints. All of `benchmarks/networks.py` is beside more numbers.
PRINTED = {
    "simple-baseline-r50": 34.0,
    "simple-baseline-r101": 53.0,
    "simple-baseline-r152": 68.6,
    "hrnet-w32": 28.5,
    "hrnet-w48": 63.6,
}
STAGES = {"hourglass": 1, "mspn": 4}  # heatmaps for each stack and stage
# Learnt here. The others take minutes on one core and were learnt once, with `benchmarks/networks.py --overfit NAME`;
# docs/parity.md has the results.
LEARNT_HERE = ("simple-baseline-r50", "hrnet-w32", "hourglass-1", "hourglass-2", "mspn-1", "mspn-2", "efficientnet-b0")


def _predictions(name: str) -> int:
    family, _, stages = name.partition("-")
    return STAGES[family] * int(stages) if family in STAGES else 1


@pytest.mark.parametrize("name", ZOO)
def test_shapes_and_parameters(name):
    with torch.device("meta"):
        network = build(name)
        for height, width in ((256, 192), (384, 288)):
            outputs = network(torch.zeros(1, 3, height, width))
            expected = (1, 17, height // 4, width // 4)
            assert [tuple(maps.shape) for maps in outputs.heatmaps] == [expected] * _predictions(name)
            assert outputs.features.shape == (1, network.feature_channels, height // 4, width // 4)
    assert network.keypoints == 17
    if name in PRINTED:
        parameters = sum(parameter.numel() for parameter in network.parameters())
        assert parameters / 1e6 == pytest.approx(PRINTED[name], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_every_parameter_has_a_finite_gradient(name):
    torch.manual_seed(0)
    network = build(name, keypoints=5)
    outputs = network(torch.randn(2, 3, 64, 64))
    assert outputs.heatmaps[-1].shape[1] == 5
    sum(maps.square().mean() for maps in outputs.heatmaps).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNT_HERE)
def test_one_batch_is_learnt_by_heart(name):
    torch.manual_seed(0)
    mean_oks, _ = overfit(build(name), steps=120, enough=0.95)
    assert mean_oks > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_onnx_gives_the_same_numbers_for_any_batch_size(name, tmp_path):
    network = randomise(build(name)).train()
    path = tmp_path / "network.onnx"
    export_onnx(network, path, 64, 64, features=True)
    assert network.training
    assert list(tmp_path.iterdir()) == [path]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [output.shape for output in session.get_outputs()] == [
        ["batch", 17, 16, 16],
        ["batch", network.feature_channels, 16, 16],
    ]
    network.eval()
    for batch in (1, 3):
        images = torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            outputs = network(images)
        found = session.run(None, {"image": images.numpy()})
        for ours, theirs in zip((outputs.heatmaps[-1].numpy(), outputs.features.numpy()), found, strict=True):
            scale = max(1.0, float(np.abs(ours).max()))  # random weights do not keep heatmaps within 0–1
            assert ours.std(axis=(2, 3)).max() > 1e-3 * scale  # else agreement would say little
            assert np.abs(ours - theirs).max() < 1e-4 * scale


@pytest.mark.parametrize(
    ("backbone", "options", "channels"),
    [
        ("mobilenetv3_small_050", {}, 256),
        ("convnext_atto", {}, 256),
        ("vit_tiny_patch16_224", {"img_size": (256, 192)}, 256),  # stride 16: two transposed convolutions
    ],
)
def test_any_timm_backbone(backbone, options, channels):
    with torch.device("meta"):
        network = simple_baseline(backbone, keypoints=7, **options)
        outputs = network(torch.zeros(1, 3, 256, 192))
    assert outputs.heatmaps[0].shape == (1, 7, 64, 48)
    assert outputs.features.shape == (1, channels, 64, 48)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build("hrnet-w99"), "name: expected one of simple-baseline-r50"),
        (lambda: simple_baseline("resnot50"), "backbone: expected the name of a timm network, got 'resnot50'"),
        (lambda: simple_baseline("swin_tiny_patch4_window7_224"), "channels last"),
        (lambda: build("hourglass-1", keypoints=0), "keypoints: expected 1 or more, got 0"),
    ],
)
def test_what_cannot_be_built_is_said(make, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        make()
