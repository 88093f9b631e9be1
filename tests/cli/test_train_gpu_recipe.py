"""The recipe for one GPU, on a CPU and in small: from EfficientNet-Lite0's file in pieces to a model."""

import pytest
import torch

from tests.networks import official_names as names
from tests.people_cases import write_training_folder
from trustpose.cli import main
from trustpose.models.spec import ModelSpec
from trustpose.training.recipes import RECIPES

SMALL = (
    "--train.batch_size=4",
    "--train.workers=1",
    "--train.epochs=2",
    "--train.warmup=2",
    "--height=64",
    "--width=64",
)


def run(*words) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", "default-network-gpu", "--accelerator", "cpu", *map(str, words)])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_from_imagenet_weights_in_pieces_to_a_model(tmp_path, capsys):
    theirs = names.state_dict(names.efficientnet_lite0(), filled=True)
    torch.save(theirs, tmp_path / "lite0.pth")
    data = write_training_folder(tmp_path, photos=8)
    words = ("--data", data, "--model", tmp_path / "lite0.pth", *SMALL)
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(*words, "--out", whole) == 0, capsys.readouterr().err
    assert run(*words, "--out", out, "--minutes=1e-9") == 75
    loaded = torch.load(out / "training" / "checkpoint.pt", weights_only=True)
    assert loaded["place"]["step"] == 1
    came = loaded["model"]["network.backbone.features.blocks.5.3.conv_pwl.weight"]
    torch.testing.assert_close(came, theirs["_blocks.14._project_conv.weight"], atol=0.01, rtol=0)  # but for one step
    assert run(*words, "--out", out) == 0
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    spec = ModelSpec.read(out)
    assert (spec.network, spec.trust and spec.trust.head) == ("light-efficientnet-lite0", "keypoint-tokens")
    assert "epoch 1 of 2, step 1 of" in capsys.readouterr().err


def test_without_a_file_it_starts_from_imagenet_weights():
    recipe = RECIPES["default-network-gpu"]
    assert (recipe.strategy.starts_from, recipe.train.precision, recipe.train.weight_interpolation) == (
        "imagenet",
        "bf16-mixed",
        0,
    )
    assert [stage.trust_weight > 0 for stage in recipe.plan.stages] == [False, True]
