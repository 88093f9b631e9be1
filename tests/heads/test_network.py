"""Every head on networks of every kind: shapes, ranges, gradients, options, and the same numbers from ONNX."""

from dataclasses import is_dataclass

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional

from tests.heads.small import KEYPOINTS, NETWORKS, boxes, crops, network, shared_network, with_head
from tests.networks.random_weights import randomise
from trustpose.export.trust_folder import export_onnx
from trustpose.heads.heads import Trust, average_flipped
from trustpose.heads.hpcvnet import HPCVNet, KeypointOutputs, add_heatmap_layers
from trustpose.heads.network import HEADS, attach, new_head, run
from trustpose.heads.oks_net import OKSNet

pytestmark = pytest.mark.usefixtures("narrow_metamodel")
FIELDS = {
    "oks-net": {"pose_quality"},
    "hpcvnet": {"quality", "pose_quality", "labelled"},
    "metamodel": {"visibility"},
    "keypoint-tokens": {"quality", "visibility", "pose_quality"},
}
OPTIONS = [
    ("keypoint-tokens", {}),
    ("keypoint-tokens", {"presence": True}),
    ("oks-net", {}),
    ("oks-net", {"attention": "none"}),
    ("oks-net", {"attention": "spatial"}),
    ("oks-net", {"window": None}),
    ("oks-net", {"downsampling": "max-pool"}),
    ("oks-net", {"downsampling": "residual"}),
    ("oks-net", {"squash": "clip"}),
    ("hpcvnet", {}),
    ("hpcvnet", {"gate": "hard"}),
    ("hpcvnet", {"squash": "sigmoid", "relu": True}),
    ("metamodel", {}),
    ("metamodel", {"bottleneck": (16, 8), "reduced": 12}),
]


def _check(trust: Trust, head: str, batch: int) -> None:
    shapes = {
        "quality": (batch, KEYPOINTS),
        "visibility": (batch, KEYPOINTS, 3),
        "pose_quality": (batch,),
        "labelled": (batch, KEYPOINTS),
        "presence": (batch,),
    }
    filled = trust.filled()
    assert set(filled) - {"presence"} == FIELDS[head]
    for name, value in filled.items():
        assert value.shape == shapes[name]
        assert ((value >= 0) & (value <= 1)).all()
    if trust.visibility is not None:
        assert torch.allclose(trust.visibility.sum(-1), torch.ones(batch, KEYPOINTS))


@pytest.mark.parametrize("name", NETWORKS)
def test_heads_read_any_network(name):
    with torch.no_grad():
        for head, builder in HEADS.items():
            outputs, maps = run(shared_network(name), crops(1), builder.reads)
            made = new_head(head, [one.shape[1:] for one in maps], KEYPOINTS).eval()
            _check(made(*maps, outputs.heatmaps[-1], *boxes(made, 1)), head, batch=1)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160)])
def test_crops_of_any_size_and_heatmaps_left_as_they_are(head, height, width):
    both = with_head(head, height, width)
    images = crops(1, height, width)
    with torch.no_grad():
        outputs, trust = both(images, *boxes(both.head, 1))
        alone = shared_network()(images)
    assert torch.equal(outputs.heatmaps[-1], alone.heatmaps[-1])
    _check(trust, head, batch=1)


@pytest.mark.parametrize(("head", "options"), OPTIONS)
def test_every_option_trains_every_parameter_of_its_head(head, options):
    both = with_head(head, **options)
    both.head.train()
    _, raw = both.raw(crops(4), *boxes(both.head, 4))
    parts = [part for part in vars(raw).values() if part is not None] if is_dataclass(raw) else [raw]
    torch.stack([part.sin().sum() for part in parts]).sum().backward()
    for name, parameter in both.head.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
    _check(both.head.trust(raw), head, batch=4)


@pytest.mark.parametrize("head", HEADS)
def test_detached_heads_send_no_gradient_to_the_network(head):
    def gradients(detach: bool) -> list[torch.Tensor | None]:
        both = with_head(head, detach=detach)
        _, trust = both(crops(), *boxes(both.head, 2))
        torch.stack([value.square().sum() for value in trust.filled().values()]).sum().backward()
        assert all(parameter.grad is not None for parameter in both.head.parameters())
        return [parameter.grad for parameter in both.network.parameters()]

    assert all(gradient is None for gradient in gradients(detach=True))
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients(detach=False))


def test_the_backbones_map_is_what_the_coordinate_module_reads():
    plain = shared_network()
    with torch.no_grad():
        outputs, (encoded,) = run(plain, crops(), ("backbone",))
        assert torch.equal(encoded, plain.backbone(crops()))
        assert torch.equal(plain.head(plain.neck(encoded)), outputs.heatmaps[-1])
        assert encoded.shape[2:] == (2, 2)
    assert not plain.neck._forward_pre_hooks


def test_mspns_last_encoder_includes_what_the_stage_before_hands_over():
    two = shared_network("mspn-2")
    with torch.no_grad():
        _, (encoded,) = run(two, crops(), ("backbone",))
        first, last = two.stages
        _, _, skips, x = first(two.pool(two.stem(crops())), [])
        for layer, skip in zip(last.down, skips, strict=True):
            x = layer(x) + skip
    assert encoded.shape == (2, 2048, 2, 2)
    assert torch.allclose(encoded, x, atol=1e-5)


def test_the_hourglass_is_read_at_its_lowest_resolution():
    _, (encoded,) = run(shared_network("hourglass-1"), crops(1), ("backbone",))
    assert encoded.shape == (1, 256, 1, 1)


@pytest.mark.parametrize(("head", "options"), OPTIONS)
def test_onnx_gives_the_same_numbers_for_any_batch_size(head, options, tmp_path):
    is_tiny = options and "relu" not in options  # after the sigmoid, answers on its few channels hardly differ
    both = with_head(head, on="tiny" if is_tiny else "simple-baseline", **options)
    randomise(both.head)
    if isinstance(both.head, OKSNet):
        torch.nn.init.constant_(both.head.regress[-1].bias, 0.5)  # most answers are between 0 and 1, where they differ
    both.head.train()
    path = tmp_path / "network.onnx"
    export_onnx(both, path, 64, 64)
    assert both.head.training and not both.network.training
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    both.eval()
    for batch in (1, 3):
        images, box = crops(batch, seed=batch), boxes(both.head, batch)
        with torch.no_grad():
            outputs, trust = both(images, *box)
        expected = {"heatmaps": outputs.heatmaps[-1], **trust.filled()}
        assert [output.name for output in session.get_outputs()] == list(expected)
        blob = dict(zip(("image", "box"), (one.numpy() for one in (images, *box)), strict=False))
        found = dict(zip(expected, session.run(None, blob), strict=True))
        for name, value in expected.items():
            assert np.abs(value.numpy() - found[name]).max() < 1e-4 * max(1.0, float(value.abs().max())), name
    field = next(name for name in ("visibility", "pose_quality") if name in trust.filled())
    assert trust.filled()[field].std(dim=0).max() > 5e-4  # else agreement would say little


def test_deepened_networks_keep_their_features_and_their_heatmap_layer():
    for name in ("simple-baseline", "hourglass-1"):
        before, after = network(name), add_heatmap_layers(network(name))
        added = sum(p.numel() for p in after.parameters()) - sum(p.numel() for p in before.parameters())
        assert added == 4 * (256 * 256 + 2 * 256)
        with torch.no_grad():
            old, new = before(crops()), after.eval()(crops())
        assert torch.equal(old.features, new.features)
        assert new.heatmaps[-1].shape == old.heatmaps[-1].shape
        assert not torch.allclose(old.heatmaps[-1], new.heatmaps[-1])
        with pytest.raises(ValueError, match="was deepened"):
            add_heatmap_layers(after)
    with pytest.raises(ValueError, match="got MSPN"):
        add_heatmap_layers(shared_network("mspn-2"))


def test_hpcvnet_multiplies_and_gates():
    raw = KeypointOutputs(
        opks=torch.tensor([[0.9, 1.2, 0.5], [0.4, 0.4, 0.4]]),
        labelled_logits=torch.tensor([[0.8, 0.6, 0.3], [0.1, 0.2, 0.4]]).logit(),
    )
    soft, hard = (HPCVNet(8, 8, 8, 3, gate=gate).trust(raw) for gate in ("soft", "hard"))
    assert torch.allclose(soft.quality, torch.tensor([[0.72, 0.6, 0.15], [0.04, 0.08, 0.16]]))
    assert torch.allclose(soft.pose_quality, torch.tensor([1.47 / 1.7, 0.4]))
    assert torch.allclose(hard.quality, torch.tensor([[0.9, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert torch.allclose(hard.pose_quality, torch.tensor([0.95, 0.0]))
    assert torch.equal(soft.labelled, hard.labelled)


def test_hpcvnets_score_branch_alone_predicts_opks_of_any_keypoint():
    network = attach("hpcvnet", shared_network(), 64, 64, branches="score").eval()
    outputs, raw = network.raw(torch.rand(2, 3, 64, 64))
    trust = network.head.trust(raw)
    assert raw.labelled_logits is None and trust.labelled is None and len(outputs.heatmaps) == 1
    assert torch.equal(trust.quality, raw.opks.clamp(0, 1))
    assert torch.allclose(trust.pose_quality, trust.quality.mean(dim=1))


def test_the_flip_test_averages_with_left_and_right_put_back():
    trust = Trust(quality=torch.tensor([[0.2, 0.4, 0.6]]), pose_quality=torch.tensor([0.3]))
    flipped = Trust(quality=torch.tensor([[0.0, 1.0, 0.0]]), pose_quality=torch.tensor([0.5]))
    mean = average_flipped(trust, flipped, torch.tensor([0, 2, 1]))
    assert torch.allclose(mean.quality, torch.tensor([[0.1, 0.2, 0.8]]))
    assert torch.allclose(mean.pose_quality, torch.tensor([0.4]))
    assert mean.visibility is None


def test_float16_and_bfloat16_stay_finite():
    head = HPCVNet(8, 8, 8, 3).eval()
    for dtype in (torch.bfloat16, torch.float16):
        trust = head.trust(KeypointOutputs(torch.zeros(2, 3, dtype=dtype), torch.full((2, 3), -40.0, dtype=dtype)))
        assert all(torch.isfinite(value).all() for value in trust.filled().values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: attach("oksnet", shared_network(), 64, 64), "head: expected one of oks-net, hpcvnet, metamodel"),
        (lambda: with_head("oks-net", window=0), "window: expected 1 or more"),
        (lambda: HEADS["metamodel"](8, 0, 4), "height: expected 1 or more, got 0"),
        (
            lambda: with_head("oks-net")(crops(2, 96, 64)),
            r"features: expected \(B, 256, 16, 16\), got \(2, 256, 24, 16\)",
        ),
        (lambda: run(torch.nn.Flatten(), crops(), ("backbone",)), "network: expected one of the zoo's.*got Flatten"),
    ],
)
def test_invalid_builds_and_inputs_are_reported(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_head_learns_from_its_networks_features():
    """Gradients point the right way: the head fits the mean of the features within a few steps."""
    both = with_head("oks-net")
    both.head.train()
    with torch.no_grad():
        outputs, _ = both(crops(8))
        goal = functional.normalize(outputs.features.mean((1, 2, 3)), dim=0).abs()
    optimiser = torch.optim.Adam(both.head.parameters(), lr=1e-3)
    losses = []
    for _ in range(15):
        loss = (both.head.raw(outputs.features, outputs.heatmaps[-1]) - goal).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
