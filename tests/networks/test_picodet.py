"""PicoDet's published weights against its published graph; sizes, gradients, and what is refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from trustpose.files import InputError
from trustpose.networks.picodet import STRIDES, PicoDet

OUTPUTS = ["transpose_8.tmp_0", "concat_8.tmp_0"]


def test_it_is_the_published_network(data_dir):
    path = data_dir / "small-networks" / "picodet-s.onnx"
    network = PicoDet().eval()
    network.read(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    coarse = np.random.default_rng(0).normal(size=(2, 3, 20, 20)).astype(np.float32)
    image = coarse.repeat(16, axis=2).repeat(16, axis=3)
    answers = [session.run(OUTPUTS, {"image": one[None]}) for one in image]
    scores, boxes = (np.concatenate([answer[index] for answer in answers]) for index in (0, 1))
    with torch.inference_mode():
        outputs = network(torch.from_numpy(image))
    assert scores.max() > 0.1 and scores.std() > 0.005  # else agreement would say little
    np.testing.assert_allclose(outputs.scores.numpy(), scores[:, 0], atol=1e-4)
    np.testing.assert_allclose(outputs.boxes.numpy() / 320, boxes / 320, atol=1e-4)


def test_any_size_and_finite_gradients():
    torch.manual_seed(0)
    network = PicoDet()
    outputs = network(torch.randn(2, 3, 96, 160))
    cells = [-(-96 // stride) * -(-160 // stride) for stride in STRIDES]
    assert outputs.scores.shape == (2, sum(cells)) and outputs.boxes.shape == (2, sum(cells), 4)
    assert outputs.sides.shape == (2, sum(cells), 4, 8)
    assert outputs.stride.tolist() == [float(s) for s, count in zip(STRIDES, cells, strict=True) for _ in range(count)]
    assert outputs.middle[:2].tolist() == [[4.0, 4.0], [12.0, 4.0]] and outputs.middle[-1].tolist() == [160.0, 96.0]
    assert (outputs.boxes[..., :2] <= outputs.middle).all() and (outputs.boxes[..., 2:] >= outputs.middle).all()
    (outputs.scores.mean() + outputs.boxes.mean() / 100).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_places_are_exact_in_mixed_precision(data_dir):
    network = PicoDet().eval()
    network.read(data_dir / "small-networks" / "picodet-s.onnx")
    image = torch.randn(1, 3, 64, 320, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(image)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(image)
    assert {output.dtype for output in outputs} == {torch.float32}
    torch.testing.assert_close(outputs.middle, expected.middle, atol=0, rtol=0)
    middle = (outputs.boxes[..., :2] + outputs.boxes[..., 2:]).mean() / 2
    assert abs(float(middle - (expected.boxes[..., :2] + expected.boxes[..., 2:]).mean() / 2)) < 1


def test_another_network_is_refused(data_dir, tmp_path):
    with pytest.raises(InputError, match=r"tinypose\.onnx: expected the layers of PicoDet-S, as published"):
        PicoDet().read(data_dir / "small-networks" / "tinypose.onnx")
    model = onnx.load(data_dir / "small-networks" / "picodet-s.onnx")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "n1_0_h")
    weight.CopyFrom(onnx.numpy_helper.from_array(np.zeros((16, 3, 5, 5), np.float16), "n1_0_h"))
    onnx.save_model(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"other\.onnx: expected the layers of PicoDet-S"):
        PicoDet().read(tmp_path / "other.onnx")


def test_the_usual_size():
    with torch.device("meta"):
        network = PicoDet()
        assert network(torch.zeros(1, 3, 320, 320)).boxes.shape == (1, 2125, 4)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_146_056
    assert len(network.first_layers()) == 4
