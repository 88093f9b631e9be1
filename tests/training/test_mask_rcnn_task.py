"""Keypoint R-CNN trained on whole photos: torchvision's losses fall, and its weights open in the adapter."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import trustpose as tp
from tests.predict.torchvision_operators import stand_in
from tests.training.dots import write_photos_of_dots
from tests.training.tiny import equal, one_process
from trustpose.files import InputError
from trustpose.heads.stages import Stage
from trustpose.predict.adapters import keypoint_rcnn
from trustpose.training import mask_rcnn_task
from trustpose.training.loop import fit
from trustpose.training.recipes import find_recipe
from trustpose.training.tasks import make_task


@pytest.fixture(scope="module")
def photos_of_dots(tmp_path_factory):
    return write_photos_of_dots(tmp_path_factory.mktemp("people"), 4)


def small_recipe():
    recipe = find_recipe("mask-rcnn")
    strategy = replace(recipe.strategy, stages=(Stage(1, 1.0, 0.0),), drops=(), starts_from="scratch")
    train = replace(recipe.train, batch_size=2, warmup=0, lr=1e-3, log_every=1)
    views = replace(recipe.bottom_up, smallest=1.0, largest=1.0)
    return replace(
        recipe, strategy=strategy, train=train, height=64, width=64, data=replace(recipe.data, folds=2), bottom_up=views
    )


@pytest.fixture(name="_torchvision")
def torchvision(monkeypatch):
    """torchvision's operators, whatever torch is, and a network that looks at few regions."""
    stand_in(monkeypatch)
    build = keypoint_rcnn.keypoint_rcnn

    def of_few_regions(**options):
        network = build(**options)
        network.rpn._pre_nms_top_n = network.rpn._post_nms_top_n = {"training": 20, "testing": 5}
        network.roi_heads.fg_bg_sampler.batch_size_per_image = 8
        return network

    for module in (keypoint_rcnn, mask_rcnn_task):
        monkeypatch.setattr(module, "keypoint_rcnn", of_few_regions)


@pytest.mark.slow
def test_a_training_gives_weights_for_the_adapter(photos_of_dots, tmp_path, _torchvision):
    recipe = small_recipe()
    task = make_task(recipe, photos_of_dots, None, tmp_path)
    batch = task.collate([task.samples(0)[index] for index in range(2)])
    target = batch["targets"][0]
    assert (target["boxes"][:, 2:] > target["boxes"][:, :2]).all() and (target["labels"] == 1).all()
    x, y = target["keypoints"][..., :2][target["keypoints"][..., 2] > 0].T
    assert ((x >= 0) & (x < 64) & (y >= 0) & (y < 64)).all()
    first = {name: weights.clone() for name, weights in task.model.state_dict().items()}
    numbers = fit(task, recipe, tmp_path / "training", one_process())
    assert set(numbers) == {"ap.AP", "ap.AP50", "ap.AP75", "ap.AR"}
    assert not equal(first, task.model.state_dict())
    task.export(tmp_path / "model")
    predictor = tp.load(f"keypointrcnn:{tmp_path / 'model' / mask_rcnn_task.WEIGHTS}", device="cpu")
    assert equal(predictor.estimator.module.state_dict(), task.network.state_dict())
    again = mask_rcnn_task.mask_rcnn_task(recipe, photos_of_dots, tmp_path / "model" / mask_rcnn_task.WEIGHTS)
    assert equal(again.model.state_dict(), task.model.state_dict())


@pytest.mark.slow
def test_keypoints_are_learnt_by_heart(photos_of_dots, _torchvision):
    """The regions stay the same, since only the keypoints' head is trained, on the same sample of them each time."""
    torch.manual_seed(0)
    task = mask_rcnn_task.mask_rcnn_task(small_recipe(), photos_of_dots, None)
    task.stage(Stage(1, 1.0, 0.0))
    task.train_mode()
    for name, weights in task.network.named_parameters():
        weights.requires_grad_(name.startswith("roi_heads.keypoint"))
    optimiser = torch.optim.Adam([weights for weights in task.model.parameters() if weights.requires_grad], 1e-4)
    batch = task.collate([task.samples(0)[0]])
    lost = []
    for _ in range(4):
        torch.manual_seed(1)
        terms = task.losses(task.model, batch, task.counts(batch))
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        lost.append(float(terms["loss_keypoint"].detach()))
    assert np.log(56 * 56) * 0.8 < lost[0] and lost[-1] < lost[0] - 0.05


@pytest.mark.parametrize(
    ("changes", "message"), [({"height": 96}, "height, width"), ({"network": "hrnet-w32"}, "network, head, deepen")]
)
def test_what_it_refuses(photos_of_dots, changes, message):
    with pytest.raises(InputError, match=message):
        mask_rcnn_task.mask_rcnn_task(replace(small_recipe(), **changes), photos_of_dots, None)


def test_without_photos_nothing_is_trained(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="holds no photos with keypoints"):
        mask_rcnn_task.mask_rcnn_task(small_recipe(), tmp_path, None)
