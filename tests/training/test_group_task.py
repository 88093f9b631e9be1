"""Trust heads on the people that a bottom-up network groups: what they learn from, the training, and its model."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import trustpose as tp
from tests.training.tiny import COLOURS, one_process
from trustpose.export.inner_tensors import FEATURES, find_maps
from trustpose.export.onnx import write_onnx
from trustpose.files import InputError
from trustpose.geometry.oks import oks
from trustpose.images import fold_of
from trustpose.models.outputs.tags import TagOutput
from trustpose.models.spec import InputSpec, ModelSpec
from trustpose.predict.bottom_up import BottomUpNetwork, GroupHead
from trustpose.predict.model_lists import describe_model
from trustpose.skeletons import COCO_17
from trustpose.training.group_task import group_task
from trustpose.training.loop import fit
from trustpose.training.recipe import Recipe
from trustpose.training.recipes import find_recipe

SIZE, PHOTOS, FEW = (128, 96), 24, 5


class ColourNetwork(nn.Module):
    """Heatmaps that are 1 where a joint's colour is, from features that measure the distance to every colour."""

    def __init__(self) -> None:
        super().__init__()
        ends = torch.tensor(COLOURS[:17], dtype=torch.float32) / 255
        self.features = nn.Sequential(nn.Conv2d(3, 102, 1), nn.ReLU())
        self.last, self.tags = nn.Conv2d(102, 17, 1), nn.Conv2d(102, 17, 1)
        with torch.no_grad():
            sign = torch.tensor([1.0, -1.0])
            weight = torch.einsum("s,cd->scd", sign, torch.eye(3)).repeat(17, 1, 1, 1)  # (K, sign, colour, colour)
            self.features[0].weight.copy_(weight.reshape(102, 3, 1, 1))
            self.features[0].bias.copy_((-sign[None, :, None] * ends[:, None]).reshape(102))
            self.last.weight.copy_(-8 * torch.eye(17).repeat_interleave(6, dim=1)[..., None, None])
            self.last.bias.fill_(1.0)
            self.tags.weight.zero_(), self.tags.bias.zero_()

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(image[:, :, 2::4, 2::4])
        return self.last(features).relu(), self.tags(features)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("colours")
    write_onnx(ColourNetwork(), ["heatmaps", "tags"], folder / "model.onnx", 128, 128, free_size=32)
    inputs = InputSpec("image", "NCHW", "float32", 128, 128, "RGB", 1 / 255, (0.0,) * 3, (1.0,) * 3, 32, 128)
    output = TagOutput(17, 4.0, tuple(range(17)), offset=2.0, sigma=1.0, decoding="argmax-quarter")
    spec = ModelSpec(folder / "model.onnx", "colours", "unknown", "made up", inputs, output, COCO_17)
    (folder / "model.json").write_text(json.dumps(spec.to_json()))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Photos of one person of all seventeen dots, and every other of five dots that are nobody."""
    folder = tmp_path_factory.mktemp("people")
    (folder / "train").mkdir()
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, PHOTOS + 1):
        photo = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        joints = 17 if number % 2 else FEW
        cells = random.permutation(10 * 14)[:joints]
        xy = np.stack([cells % 14, cells // 14], axis=1) * 8 + [10, 10]  # apart
        for (x, y), colour in zip(xy.tolist(), COLOURS, strict=False):
            photo[y - 2 : y + 3, x - 2 : x + 3] = colour
        images.append({"id": number, "file_name": f"{number}.png", "width": SIZE[0], "height": SIZE[1]})
        if joints == 17:
            keypoints = [value for x, y in xy.tolist() for value in (x, y, 2)]
            person = {"image_id": number, "category_id": 1, "iscrowd": 0, "area": 2000, "bbox": [2, 2, 124, 92]}
            annotations.append({"id": number, "num_keypoints": 17, "keypoints": keypoints, **person})
        cv2.imwrite(str(folder / "train" / f"{number}.png"), photo[..., ::-1])
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints), "skeleton": []}]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (folder / "train_gt.json").write_text(text)
    return folder


def small(**train) -> Recipe:
    recipe = find_recipe("bottom-up-trust")
    train = replace(recipe.train, batch_size=16, epochs=20, warmup=0, ema=0.0, flip_test=False, **train)
    return replace(recipe, train=train, data=replace(recipe.data, folds=0), frozen=replace(recipe.frozen, views=3))


def test_the_features_are_those_before_the_heatmaps(model):
    features = find_maps(ModelSpec.read(model), ("features",))["features"]
    assert features.shape == (102, 32, 32)


def test_groups_have_the_targets_of_their_people(model, data, tmp_path):
    task = group_task(small(), data, model, tmp_path)
    groups = task.training
    assert set(groups.view) == {0, 1, 2} and set(task.held_out.view) == {0, 1}
    assert (fold_of(groups.image_id, 5) != 0).all() and (fold_of(task.held_out.image_id, 5) == 0).all()
    whole = groups.view < 2
    np.testing.assert_array_equal(groups.is_person[whole], groups.image_id[whole] % 2 == 1)
    false, own = ~groups.is_person, groups.is_person & (groups.view == 0)
    assert (groups.oks[false] == 0).all() and (groups.opks[false] == 0).all() and (groups.v[false] == 0).all()
    file = json.loads((data / "train_gt.json").read_text())["annotations"]
    predictor = tp.load(model)
    for image, found in zip(groups.image_id[own].tolist(), groups.oks[own].tolist(), strict=True):
        (person,) = [one for one in file if one["image_id"] == image]
        poses = predictor(data / "train" / f"{image}.png")
        keypoints = np.array(person["keypoints"], float).reshape(1, 17, 3)
        expected = oks(poses.xy, keypoints[..., :2], keypoints[..., 2], np.array([2000.0]), COCO_17.sigmas)
        assert len(poses) == 1 and found == pytest.approx(expected[0], abs=1e-6) and found > 0.8
    mirrored = groups.is_person & (groups.view == 1)  # left eyes are found where right ones are labelled
    assert (groups.oks[mirrored] < 0.5).mean() > 0.5 and (groups.v[mirrored] == 2).all()
    parts = groups.is_person & (groups.view == 2)
    assert (groups.v[parts] == 0).any() and (groups.v[parts] == 2).any()  # joints beyond a part are not labelled


def test_groups_of_a_flip_test_are_learnt_from_too(model, data, tmp_path):
    """The network tells joints by their colours, which stay where they are in a mirror: means of both views are low."""
    recipe = small()
    both = replace(recipe, train=replace(recipe.train, flip_test=True))
    assert find_recipe("bottom-up-trust").train.flip_test
    alone = group_task(recipe, data, model, tmp_path / "alone").training
    groups = group_task(both, data, model, tmp_path / "both").training
    assert len(groups) > len(alone)
    predictors = tp.load(model), tp.load(model, flip=True)
    numbers = []
    for image in np.unique(groups.image_id[groups.is_person]).tolist():
        found = [len(predictor(data / "train" / f"{image}.png")) for predictor in predictors]
        assert ((groups.view == 0) & (groups.image_id == image)).sum() == sum(found)
        assert ((alone.view == 0) & (alone.image_id == image)).sum() == found[0]
        numbers.append(found)
    assert np.sum(numbers, axis=0).min() > 0


def test_a_training_gives_a_model_whose_expected_oks_knows_nobody(model, data, tmp_path):
    recipe = small()
    task = group_task(recipe, data, model, tmp_path / "training")
    numbers = fit(task, recipe, tmp_path / "training", one_process())
    assert numbers["groups.auroc"] > 0.95
    out = tmp_path / "model"
    task.export(out)
    spec = ModelSpec.read(out)
    assert spec.trust is not None and spec.trust.file == "trust.onnx" and spec.trust.maps == {"features": FEATURES}
    assert "presence by group-tokens" in describe_model(out)["trust"]
    before, after = tp.load(model), tp.load(out)
    for number in (1, 2):
        photo = data / "train" / f"{number}.png"
        plain, poses = before(photo), after(photo)
        np.testing.assert_array_equal(plain.xy, poses.xy)
        assert plain.pose_quality is None and poses.quality is not None and poses.visibility is not None
        grouped = BottomUpNetwork(spec).group(cv2.imread(str(photo))[..., ::-1])
        with torch.no_grad():
            trust = task.head.eval()(torch.from_numpy(grouped.tokens), torch.from_numpy(grouped.whole))
        np.testing.assert_allclose(poses.pose_quality, trust.pose_quality.numpy(), atol=1e-4)
        np.testing.assert_allclose(poses.presence, trust.presence.numpy(), atol=1e-4)
        np.testing.assert_array_equal(poses.ranking_score, poses.presence * poses.pose_quality)
        np.testing.assert_allclose(poses.visibility.sum(axis=2), 1, atol=1e-5)
        ranking = poses.ranking_score
        assert (ranking > 0.5).all() == (number == 1) and (ranking < 0.2).all() == (number == 2)
    wider = replace(grouped, whole=np.pad(grouped.whole, ((0, 0), (0, 2))))
    with pytest.raises(
        InputError, match=r"trust\.onnx: reads \d+ numbers as whole, a group has \d+; .* train it again"
    ):
        GroupHead(spec, spec.trust)(wider)
    nobody = BottomUpNetwork(spec)(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    assert len(nobody) == 0 and nobody.visibility is not None and nobody.visibility.shape == (0, 17, 3)


def test_photos_that_the_network_has_seen_teach_but_do_not_calibrate(model, data, tmp_path):
    recipe = small()
    task = group_task(replace(recipe, data=replace(recipe.data, fold=1, folds=2)), data, model, tmp_path)
    trained, held_out = np.unique(task.training.image_id), np.unique(task.held_out.image_id)
    assert len(trained) + len(held_out) == PHOTOS
    assert set(fold_of(trained, 2).tolist()) == {0, 1}
    assert (fold_of(held_out, 2) == 1).all() and (fold_of(held_out, 10) == 1).all()


def test_what_it_refuses(model, data, tmp_path):
    with pytest.raises(InputError, match="give its folder"):
        group_task(small(), data, None, tmp_path)
    with pytest.raises(InputError, match=r"head group-tokens: .*unexpected keyword"):
        group_task(replace(small(), head_options={"tokens": 3}), data, model, tmp_path)
    with pytest.raises(InputError, match="gives heatmaps, expected a network that gives fields or tags or centres"):
        group_task(small(), data, Path("default"), tmp_path)
    text = json.loads((model / "model.json").read_text())
    trust = {"outputs": {"quality": "quality"}, "head": "group-tokens", "area": "file", "parameters": 1}
    (tmp_path / "model.json").write_text(json.dumps(text | {"trust": trust}))
    with pytest.raises(InputError, match=r"trust\.file': expected the head's own graph"):
        ModelSpec.read(tmp_path)
