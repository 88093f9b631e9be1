"""Detectors by name; torchvision's adapters with a stand-in for the network, and with the real one where it works."""

import importlib
import re

import numpy as np
import pytest

from tests.predict.tiny_people import write_people
from tests.predict.torchvision_operators import stand_in
from tests.tiny_onnx import write_network
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.predict.boxes import whole_photo
from trustpose.predict.detectors import TORCHVISION, TorchvisionDetector, load_detector
from trustpose.predict.single_stage import PeopleDetector


def test_by_name(tmp_path):
    assert load_detector("whole") is whole_photo
    np.testing.assert_array_equal(whole_photo(np.zeros((3, 5, 3), np.uint8)).xyxy, [[0, 0, 5, 3]])
    path = write_people(tmp_path)
    for name, scores in ((path, [0.9, 0.4]), (path.with_suffix(".json"), [0.9, 0.4])):
        detector = load_detector(str(name))
        assert isinstance(detector, PeopleDetector)
        np.testing.assert_allclose(detector(np.zeros((64, 64, 3), np.uint8)).score, scores)
    assert len(load_detector(str(path), min_score=0.0)(np.zeros((64, 64, 3), np.uint8))) == 3


def test_wrong_names(tmp_path):
    top_down = write_network(tmp_path)
    for name, message in (
        ("yolo", "expected one of default, whole, NETWORK.onnx, fasterrcnn"),
        (str(tmp_path / "none.onnx"), "no such file"),
        (str(top_down), "is not a detector"),
        (TORCHVISION[0], "needs a file with its weights"),
    ):
        with pytest.raises(InputError, match=message):
            load_detector(name)
    with pytest.raises(InputError, match="apply only to torchvision's detectors"):
        load_detector("whole", tmp_path / "weights.pth")


def test_without_the_extra(monkeypatch, tmp_path):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="torchvision")

    monkeypatch.setattr("trustpose.predict.detectors.import_module", missing)
    with pytest.raises(InputError, match=f"^{re.escape(not_installed('torchvision', 'train'))}$"):
        load_detector(TORCHVISION[0], tmp_path / "weights.pth")


@pytest.fixture
def torchvision():
    pytest.importorskip("torch", reason="the train extra is not installed")
    importlib.import_module("trustpose.networks.backbones")
    return importlib.import_module("torchvision")


def test_only_people_above_the_threshold_are_kept(torchvision, monkeypatch):
    """People only, at least the lowest score, in image pixels."""
    import torch

    class Fixed(torch.nn.Module):
        def forward(self, images):
            assert images[0].shape == (3, 40, 60) and images[0].max() == 1
            boxes = torch.tensor([[1.0, 2, 30, 40], [0, 0, 5, 5], [2, 2, 9, 9]])
            return [{"boxes": boxes, "labels": torch.tensor([1, 18, 1]), "scores": torch.tensor([0.9, 0.8, 0.2])}]

    monkeypatch.setattr(torchvision.models.detection, "ssdlite320_mobilenet_v3_large", lambda **_: Fixed())
    pixels = np.full((40, 60, 3), 255, np.uint8)
    boxes = TorchvisionDetector("ssdlite320-mobilenet-v3-large", None)(pixels)
    np.testing.assert_array_equal(boxes.xyxy, [[1, 2, 30, 40]])
    np.testing.assert_allclose(boxes.score, [0.9])
    assert len(TorchvisionDetector("ssdlite320-mobilenet-v3-large", None, 0.0)(pixels)) == 2


@pytest.fixture
def operators(torchvision, monkeypatch):  # noqa: ARG001  # skips where torch is missing
    """torchvision's two compiled operators, in Python where its wheel was built for another torch."""
    stand_in(monkeypatch)


@pytest.mark.slow
@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("name", ["fasterrcnn-mobilenet-v3-large-320-fpn", "ssdlite320-mobilenet-v3-large"])
def test_the_real_networks(tmp_path, name):
    """Random weights that call everything a person: boxes within the photo, the same from a weights file."""
    import torch

    torch.manual_seed(0)
    random = TorchvisionDetector(name, None)
    for module, tensor in random.module.named_parameters():
        if module.endswith("bias") and len(tensor) % 91 == 0:
            tensor.data.reshape(-1, 91)[:, 1] = 9.0
    torch.save(random.module.state_dict(), tmp_path / "weights.pth")
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    boxes = random(pixels)
    assert len(boxes) > 5 and (boxes.score > 0.9).all() and (np.diff(boxes.score) <= 0).all()
    assert (boxes.xyxy >= 0).all() and (boxes.xyxy <= (160, 120, 160, 120)).all()
    np.testing.assert_array_equal(load_detector(name, tmp_path / "weights.pth")(pixels).xyxy, boxes.xyxy)
    assert len(load_detector(name, tmp_path / "weights.pth", 1.1)(pixels)) == 0


def test_a_torchvision_for_another_torch(torchvision):
    if torchvision.extension._has_ops():
        pytest.skip("this torchvision was built for this torch")
    detector = TorchvisionDetector("ssdlite320-mobilenet-v3-large", None, 0.0)
    with pytest.raises(InputError, match="torchvision was built for another torch"):
        detector(np.zeros((40, 60, 3), np.uint8))


@pytest.mark.usefixtures("torchvision")
def test_weights_that_do_not_fit(tmp_path):
    import torch

    name = "ssdlite320-mobilenet-v3-large"
    tensors = TorchvisionDetector(name, None).module.state_dict()
    first = next(iter(tensors))
    for wrong, message in (
        ({key: tensor for key, tensor in tensors.items() if key != first}, f"tensor {first}: .* the file none"),
        (tensors | {"extra": torch.zeros(2)}, r"tensor extra: .* has none, the file \[2\]"),
        (tensors | {first: torch.zeros(2)}, r"tensor .* the file \[2\]"),
    ):
        torch.save(wrong, tmp_path / "weights.pth")
        with pytest.raises(InputError, match=rf"weights\.pth: {message}"):
            load_detector(name, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"none\.pth: no such file"):
        load_detector(name, tmp_path / "none.pth")
