"""DeepCut as a system: from photos to a folder, and from a photo to people by one command."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from typer.testing import CliRunner  # noqa: E402

import trustpose as tp  # noqa: E402
from tests.predict.tiny_fields import WIDTH, boxes_of, made_up_people, write_maps  # noqa: E402
from tests.training.dots import write_photos_of_dots  # noqa: E402
from tests.training.test_bottom_up_task import small_recipe  # noqa: E402
from trustpose.cli import app  # noqa: E402
from trustpose.codecs.part_maps import PartCodec  # noqa: E402
from trustpose.files import InputError  # noqa: E402
from trustpose.geometry.crops import Grid  # noqa: E402
from trustpose.grouping.deepcut_terms import PairwiseTerms, fit_pairwise  # noqa: E402
from trustpose.models.outputs.parts import PartOutput  # noqa: E402
from trustpose.models.spec import ModelSpec  # noqa: E402
from trustpose.skeletons import COCO_17  # noqa: E402
from trustpose.training.part_maps import part_counts, part_losses  # noqa: E402
from trustpose.training.tasks import make_task  # noqa: E402


def _terms(photos: int = 40) -> PairwiseTerms:
    """Terms of `made_up_people`, three side by side."""
    parts: list[list[np.ndarray]] = [[], [], [], [], []]
    for seed in range(photos):
        xy, labelled = made_up_people(3, seed)
        box = boxes_of(xy, labelled)
        scale = np.sqrt(np.prod(box[:, 2:] - box[:, :2], axis=1))
        person, joint = np.nonzero(labelled)
        for column, values in zip(
            parts, (xy[person, joint], scale[person], joint, person, np.full(len(person), seed)), strict=True
        ):
            column.append(values)
    return fit_pairwise(*(np.concatenate(column) for column in parts), classes=17)


def _tensors(xy: np.ndarray, labelled: np.ndarray) -> dict[str, np.ndarray]:
    box = boxes_of(xy, labelled)
    maps = PartCodec(Grid((4.0, 4.0))).encode(
        xy, labelled, np.sqrt(np.prod(box[:, 2:] - box[:, :2], axis=1)), WIDTH // 4, 192 // 4
    )
    refinements = maps.refinement.reshape(-1, *maps.part.shape[1:])
    return {"parts": 0.9 * maps.part, "refinements": refinements, "scales": maps.scale[None]}


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A folder with a network that sees three made-up people in any photo, and their pairwise terms."""
    folder = tmp_path_factory.mktemp("deepcut")
    _terms().save(folder / "pairwise.npz")
    return write_maps(folder, "parts", _tensors(*made_up_people(3)), {"pairwise": "pairwise.npz"})


def test_perfect_maps_group_into_their_people(network):
    xy, labelled = made_up_people(3)
    poses = tp.load(network)(np.zeros((192, 256, 3), np.uint8))
    assert len(poses) == 3
    order = np.argsort(poses.xy[:, 0, 0])
    np.testing.assert_array_equal(~poses.missing[order], labelled)
    np.testing.assert_allclose(poses.xy[order][labelled], xy[labelled], atol=1e-3)
    np.testing.assert_allclose(poses.score[order][labelled], 0.9, atol=1e-6)
    np.testing.assert_allclose(poses.pose_score[order], 0.9 * labelled.mean(axis=1), atol=1e-6)


def test_a_mirrored_photo_gives_mirrored_maps():
    """Both views of one photo average to the photo's own maps."""
    xy, labelled = made_up_people(2)
    index = COCO_17.flip_index
    mirrored = xy[:, index] * [-1, 1] + [WIDTH - 1, 0]
    arrays = [array[None] for array in _tensors(xy, labelled).values()]
    other = [array[None] for array in _tensors(mirrored, labelled[:, index]).values()]
    output = PartOutput(17, 4.0)
    averaged = output.average_flipped(arrays, other, index)
    both = (arrays[0] > 0) & (averaged[0] > 0.89)  # cells of a part in both views: their grids are 3/4 of a cell apart
    assert both.sum() > 0.4 * (arrays[0] > 0).sum()
    offsets = (arrays[1].reshape(17, 2, 48, 64), averaged[1].reshape(17, 2, 48, 64))
    joint, y, x = np.nonzero(both[0])
    away = np.abs(offsets[1][joint, :, y, x] - offsets[0][joint, :, y, x])
    assert away.max() < 1e-3


def test_one_command_from_a_photo_to_people(network, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((192, 256, 3), np.uint8))
    command = ["predict", str(tmp_path / "photo.png"), "--model", str(network), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(rows) == 3 and all(len(row["keypoints"]) == 51 for row in rows)


def test_a_training_gives_a_folder_that_predicts(tmp_path):
    (tmp_path / "people").mkdir()
    data = write_photos_of_dots(tmp_path / "people")
    recipe = small_recipe(2, kinds=("parts",), lr=3e-3)
    task = make_task(recipe, data, None, tmp_path)
    batch = task.collate([task.samples(0)[index] for index in range(2)])
    terms = task.losses(task.model, batch, task.counts(batch))
    assert set(terms) == {"heatmaps", "parts", "refinements", "scales"}
    task.export(tmp_path / "model")
    output = ModelSpec.read(tmp_path / "model").expect(PartOutput)
    assert output.pairwise == "pairwise.npz"
    learnt = PairwiseTerms.load(tmp_path / "model" / "pairwise.npz", 17)
    np.testing.assert_allclose(learnt.bias, task.terms.bias, rtol=1e-5)
    poses = tp.load(tmp_path / "model")(cv2.imread(str(data / "train" / "1.png"))[..., ::-1])
    assert poses.xy.shape[1:] == (17, 2) and poses.skeleton.name == "coco17"
    (tmp_path / "model" / "pairwise.npz").unlink()
    with pytest.raises(InputError, match=r"pairwise\.npz: is not a file of pairwise terms"):
        tp.load(tmp_path / "model")


def test_losses_are_torchs_over_the_cells_that_teach():
    random = torch.Generator().manual_seed(0)
    parts = (torch.rand(2, 3, 4, 5, generator=random) < 0.3).float()
    batch = {"parts": parts, "counted": torch.rand(2, 4, 5, generator=random) < 0.7}
    batch["refinements"] = torch.randn(2, 3, 2, 4, 5, generator=random) * parts[:, :, None]
    batch["scales"] = 50.0 * parts.amax(dim=1)
    maps = {
        "parts": torch.randn(2, 3, 4, 5, generator=random),
        "refinements": torch.randn(2, 6, 4, 5, generator=random) * 3,
        "scales": torch.rand(2, 1, 4, 5, generator=random) * 90 + 10,
    }
    totals = part_counts(batch)
    terms = part_losses(maps, batch, totals, 4)
    entropy = distance = error = 0.0
    for b, k, y, x in np.ndindex(2, 3, 4, 5):
        p, t = torch.sigmoid(maps["parts"][b, k, y, x]), parts[b, k, y, x]
        if t or batch["counted"][b, y, x]:
            entropy -= float(torch.log(p if t else 1 - p))
        if t:
            away = (
                maps["refinements"].view(2, 3, 2, 4, 5)[b, k, :, y, x] - batch["refinements"][b, k, :, y, x]
            ).abs() / 4
            distance += float(torch.where(away < 1, away**2 / 2, away - 0.5).sum())
    for b, y, x in np.ndindex(2, 4, 5):
        if batch["scales"][b, y, x] > 0:
            error += abs(float(torch.log(maps["scales"][b, 0, y, x] / 50)))
    assert terms["parts"].item() == pytest.approx(entropy / int(parts.sum()), rel=1e-4)
    assert terms["refinements"].item() == pytest.approx(distance / int(parts.sum()), rel=1e-4)
    assert terms["scales"].item() == pytest.approx(error / int((batch["scales"] > 0).sum()), rel=1e-4)


def test_other_skeletons_need_terms_of_their_own(network, tmp_path):
    text = json.loads(network.with_suffix(".json").read_text())
    text["skeleton"], text["output"]["keypoints"] = "lsp14", 14
    del text["output"]["pairwise"]
    (tmp_path / "parts.json").write_text(json.dumps(text))
    with pytest.raises(
        InputError, match=r"output\.pairwise': expected a file, the shipped terms are for coco17's joints"
    ):
        ModelSpec.read(tmp_path / "parts.json")
    spec = ModelSpec.read(network)
    assert replace(spec.expect(PartOutput), pairwise=None).files == () and spec.expect(PartOutput).files == (
        "pairwise.npz",
    )
