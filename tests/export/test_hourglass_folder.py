"""pytorch-pose's hourglass, imported: preprocessed as in its project, by both backends."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import trustpose as tp
from tests.networks import official_names as names
from trustpose.export.model_folder import Provenance
from trustpose.export.public_checkpoints import import_checkpoint
from trustpose.models.spec import ModelSpec
from trustpose.networks.preparation import preparation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hourglass") / "model"
    tensors = names.state_dict(names.hourglass(1), filled=True)
    options = {"file": Path("hg.pth"), "family": None, "height": 128, "width": 128, "skeleton": None, "channels": None}
    import_checkpoint(tensors, "hourglass-1", out, provenance=Provenance("hg", "unknown", "hg.pth"), **options)
    return out


def test_its_crops_are_of_whole_pixels(folder: Path) -> None:
    assert json.loads((folder / "model.json").read_text())["crop"]["cutting"] == "whole-pixels"
    spec = ModelSpec.read(folder)
    assert spec.cutting == "whole-pixels" and spec.input.std == (1.0, 1.0, 1.0)


def test_its_mean_is_its_data_sets() -> None:
    coco, mpii = (preparation("pytorch-pose", "hourglass-1", keypoints) for keypoints in (17, 16))
    assert coco.mean == (0.45660767, 0.43688232, 0.40614182) and mpii.mean == (0.44044283, 0.44402671, 0.43268284)
    assert coco.cutting == mpii.cutting == "whole-pixels" and coco.offset == mpii.offset == 2.0


def test_both_backends_give_the_same_poses(folder: Path) -> None:
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    boxes = np.array([[10.0, 20, 200, 280], [150.3, 30, 390, 290], [0, 0, 50, 60]])
    onnx = tp.load(folder, flip=True)(image, boxes=boxes)
    in_torch = tp.load(folder, backend="torch", device="cpu", flip=True)(image, boxes=boxes)
    assert onnx.score is not None and in_torch.score is not None
    np.testing.assert_allclose(in_torch.score, onnx.score, atol=1e-4)
    assert (np.abs(in_torch.xy - onnx.xy).max(axis=2) < 1e-2).mean() > 0.95  # a tie between two peaks may go either way
