"""A person detector learns coloured rectangles; its losses against plain loops; what it exports; what it refuses."""

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.tiny import equal, one_process, rows, tiny_recipe, weights
from trustpose.files import InputError
from trustpose.geometry.boxes import paired_iou
from trustpose.heads.stages import Stage
from trustpose.models.runtime.backends import BoxDetector
from trustpose.models.spec import ModelSpec, output_kind
from trustpose.networks.centre_detector import CentreDetector
from trustpose.networks.light_baseline import light_baseline
from trustpose.training.crops import normalise
from trustpose.training.detector_task import centre_loss, detector_spec, detector_task, sides_loss
from trustpose.training.loop import fit
from trustpose.training.people import open_photos, with_pseudo_labels
from trustpose.training.recipe import DataOptions, Recipe
from trustpose.training.tasks import make_task

SIDE, WIDE, HIGH = 64, 80, 60  # of views, and of photos


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """26 dark photos with one or two bright red rectangles; the last one is marked as incompletely boxed."""
    folder = tmp_path_factory.mktemp("rectangles")
    (folder / "train").mkdir()
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, 27):
        photo = random.integers(0, 30, (HIGH, WIDE, 3), dtype=np.uint8)
        images.append({"id": number, "file_name": f"{number:04d}.png", "width": WIDE, "height": HIGH})
        for side in range(1 + number % 2):
            low = random.integers([2 + 40 * side, 2], [12 + 40 * side, 20])
            size = random.integers([16, 24], [26, 38])
            photo[low[1] : low[1] + size[1], low[0] : low[0] + size[0]] = (230, 40, 40)
            box = [*low.tolist(), *size.tolist()]
            common = {"image_id": number, "category_id": 1, "iscrowd": 0, "area": int(size.prod()), "bbox": box}
            annotations.append({"id": len(annotations) + 1, "num_keypoints": 0, "keypoints": [0] * 51, **common})
        cv2.imwrite(str(folder / "train" / images[-1]["file_name"]), photo[..., ::-1])
    images[-1]["all_people_boxed"] = False
    categories = [{"id": 1, "name": "person"}]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (folder / "train_gt.json").write_text(text)
    return folder


def small_recipe(epochs: int = 1, **train) -> Recipe:
    recipe = tiny_recipe((Stage(epochs, 0.0, 0.0),), **({"lr": 3e-3, "batch_size": 8, "optimiser": "adamw"} | train))
    data = DataOptions(folds=3)
    return replace(recipe, system="detector", network="light-mobilenetv2-050", height=SIDE, width=SIDE, data=data)


@pytest.mark.slow
def test_it_learns_rectangles_and_what_it_exports_finds_them(data, tmp_path, monkeypatch):
    # a checkpoint after each epoch takes more than half of the time
    monkeypatch.setattr("trustpose.training.loop.write_checkpoint", lambda *_: None)
    recipe = small_recipe(60, lr=1e-2, clip=5.0, warmup=5, schedule="cosine", validate_every=60, checkpoint_every=1000)
    task = detector_task(recipe, data, None)
    before = task.validate()
    still = {name: value.clone() for name, value in task.model.state_dict().items() if is_still(name)}
    numbers = fit(task, recipe, tmp_path / "training", one_process())
    assert before["box.AP50"] < 0.2 < 0.7 < numbers["box.AP50"] and numbers["box.recall50"] > 0.7
    after = task.model.state_dict()
    assert len(still) > 20 and all(torch.equal(after[name], value) for name, value in still.items())

    folder = tmp_path / "model"
    task.export(folder)
    assert output_kind(folder) == "boxes" and not (folder / "training").exists()
    detector = BoxDetector(ModelSpec.read(folder))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    photos, found = open_photos(data)[0], []
    for row, labelled in enumerate(photos.box):
        pixels = cv2.imread(str(data / "train" / photos.file_name[row]))[..., ::-1]
        expected, image = by_module(task.model, pixels)
        (maps,) = session.run(["boxes"], {"image": image})
        np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-3)
        found += (paired_iou(labelled[:, None], detector(pixels).xyxy).max(axis=1, initial=0) > 0.5).tolist()
    assert np.mean(found) > 0.7
    assert len(BoxDetector(ModelSpec.read(folder))(np.full((90, 200, 3), 12, np.uint8))) == 0
    again = detector_task(recipe, data, folder)  # and a training can start from it
    assert equal({name: value.cpu() for name, value in after.items()}, weights(again))


def is_still(name: str) -> bool:
    return name.startswith("backbone.features.") and int(name.split(".")[2]) < 4


def by_module(module: torch.nn.Module, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The torch module's maps, centres as probabilities, of a photo of 80 × 60 brought to 64 × 48 of 64 × 64 pixels,
    and that input."""
    small = cv2.warpAffine(pixels, np.array([[0.8, 0, 0], [0, 0.8, 0]]), (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    image = normalise(torch.from_numpy(small[None]))
    with torch.no_grad():
        maps = module.eval()(image).numpy()
    maps[:, 0] = 1 / (1 + np.exp(-maps[:, 0]))
    return maps, image.numpy()


def test_it_goes_on_where_it_was_stopped(data, tmp_path):
    """By the seed the same; stopped within the second epoch and gone on with, the same."""
    recipe = small_recipe(2, checkpoint_every=1, ema=0.5)
    whole = detector_task(recipe, data, None)
    numbers = fit(whole, recipe, tmp_path / "whole", one_process())
    task, calls = detector_task(recipe, data, None), []
    compute = task.losses

    class Killed(BaseException):
        pass

    def losses(*arguments):
        calls.append(0)
        if len(calls) == 4:
            raise Killed
        return compute(*arguments)

    task.losses = losses
    with pytest.raises(Killed):
        fit(task, recipe, tmp_path / "out", one_process())
    task = detector_task(recipe, data, None)
    assert repr(fit(task, recipe, tmp_path / "out", one_process())) == repr(numbers)
    assert equal(weights(whole), weights(task))
    assert rows(tmp_path / "whole" / "train.csv") == rows(tmp_path / "out" / "train.csv")


def test_parts_of_a_batch_add_up(data):
    """Counts, and with them losses, of a batch are those of its halves together."""
    task = detector_task(small_recipe(), data, None)
    task.stage(Stage(1, 0.0, 0.0))
    samples = [task.samples(0)[index] for index in range(4)]
    whole, parts = task.collate(samples), [task.collate(samples[:2]), task.collate(samples[2:])]
    totals = task.counts(whole)
    for name, total in totals.items():
        torch.testing.assert_close(sum(task.counts(part)[name] for part in parts), total)
    assert totals["people"] == sum(len(view.box) for view in samples)
    task.model.eval()  # batch norm sees the parts
    with torch.no_grad():
        expected = task.losses(task.model, whole, totals)
        found = [task.losses(task.model, part, totals) for part in parts]
    for name, value in expected.items():
        torch.testing.assert_close(found[0][name] + found[1][name], value)
    assert task.describe(whole) == {"image_id": [view.image_id for view in samples]}
    image_ids = {task.samples(0)[index].image_id for index in range(len(task.samples(0)))}
    assert 26 not in image_ids and 8 <= len(image_ids) < 25  # without the fold and the incomplete photo


def test_what_is_ignored_is_no_background_but_centres_count(data):
    task = detector_task(small_recipe(), data, None)
    view = task.samples(0)[0]
    all_ignored = replace(view, ignored=np.ones_like(view.ignored))
    batch = task.collate([view, all_ignored])
    assert batch["counted"][0].sum() >= batch["counted"][1].sum() == (batch["bumps"][1] == 1).sum()


def test_the_loss_of_centres_against_a_loop():
    random = np.random.default_rng(0)
    logit, bumps = random.normal(size=(2, 3, 4)) * 3, random.random((2, 3, 4))
    bumps[0, 1, 2] = bumps[1, 0, 0] = 1
    counted = (random.random((2, 3, 4)) < 0.7).astype(float)
    expected = 0.0
    for position in np.ndindex(2, 3, 4):
        p, y = 1 / (1 + np.exp(-logit[position])), bumps[position]
        loss = -((1 - p) ** 2) * np.log(p) if y == 1 else -((1 - y) ** 4) * p**2 * np.log(1 - p)
        expected += counted[position] * loss
    found = centre_loss(*(torch.from_numpy(array.astype(np.float32)) for array in (logit, bumps, counted)))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    sure = centre_loss(torch.tensor([[[90.0, -90]]]), torch.tensor([[[0.0, 1]]]), torch.ones(1, 1, 2))
    assert float(sure) == pytest.approx(180)


def giou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two boxes xyxy, by the paper's algorithm 1."""
    both = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return both / union - (hull - union) / hull


def test_the_loss_of_sides_against_a_loop():
    random = np.random.default_rng(1)
    sides = random.uniform(1, 40, (2, 4, 3, 5))
    low = random.uniform(-10, 30, (2, 2, 3, 5))
    box = np.concatenate([low, low + random.uniform(2, 40, (2, 2, 3, 5))], axis=1)
    weight = random.random((2, 3, 5)) * (random.random((2, 3, 5)) < 0.6)
    expected = 0.0
    for index, row, column in np.ndindex(2, 3, 5):
        x, y = (column + 0.5) * CentreDetector.stride, (row + 0.5) * CentreDetector.stride
        left, top, right, bottom = sides[index, :, row, column]
        told = np.array([x - left, y - top, x + right, y + bottom])
        expected += weight[index, row, column] * (1 - giou(told, box[index, :, row, column]))
    loss = sides_loss(
        *(torch.from_numpy(array.astype(np.float32)) for array in (sides, box, weight)), CentreDetector.stride
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_where_it_starts_from(data, tmp_path):
    """A pose network gives its backbone; another network, or none where one is wanted, is one line."""
    recipe = replace(small_recipe(), strategy=replace(small_recipe().strategy, starts_from="trained"))
    with pytest.raises(InputError, match="tiny: starts from a trained light-mobilenetv2-050; give its folder or file"):
        detector_task(recipe, data, None)
    network = light_baseline()
    save_file(network.state_dict(), tmp_path / "network.safetensors")
    task = make_task(recipe, data, tmp_path / "network.safetensors", tmp_path)
    assert equal(weights(task, "backbone."), {f"backbone.{k}": v for k, v in network.backbone.state_dict().items()})
    for change in ({"network": "light-efficientnet-lite0"}, {"head": "oks-net"}, {"deepen": 4}):
        with pytest.raises(
            InputError, match="have the backbone of light-mobilenetv2-050 or movenet-multipose or picodet-s"
        ):
            detector_task(replace(recipe, **change), data, None)
    for height, width in ((100, 100), (128, 192)):
        with pytest.raises(InputError, match="expected the same multiple of 64"):
            detector_task(replace(recipe, height=height, width=width), data, None)


def test_a_detector_of_another_kind(data, tmp_path):
    task = detector_task(small_recipe(), data, None)
    task.export(tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    tensors["sides.1.bias"] = torch.zeros(3)
    save_file(tensors, tmp_path / "model" / "model.safetensors")
    with pytest.raises(InputError, match=r"tensor sides\.1\.bias: the detector has \[4\], the file \[3\]") as error:
        detector_task(small_recipe(), data, tmp_path / "model")
    assert "\n" not in str(error.value)
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        detector_task(small_recipe(), data, tmp_path / "model" / "model.onnx")


def test_what_is_exported_takes_any_size(data, tmp_path):
    detector_task(small_recipe(), data, None).export(tmp_path / "model")
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx", providers=["CPUExecutionProvider"])
    module = CentreDetector()
    module.load_state_dict(load_file(tmp_path / "model" / "model.safetensors"))
    for height, width in ((96, 32), (64, 160)):
        image = np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)
        (found,) = session.run(["boxes"], {"image": image})
        with torch.no_grad():
            answer = module.eval()(torch.from_numpy(image))
        np.testing.assert_allclose(found[:, 0], answer[:, 0].sigmoid(), atol=1e-5)
        np.testing.assert_allclose(found[:, 1:], answer[:, 1:], rtol=1e-4)


def test_a_start_that_finds_people_fills_in_where_not_all_are_boxed(data):
    """What is found beside the labels is a person where the detector is sure, and ignored where it is not."""
    photos, is_complete = open_photos(data)
    assert list(photos.image_id[~is_complete]) == [26]
    row = len(photos) - 1
    labelled = photos.box[row]
    positions = np.array([labelled[0], labelled[0] + 3, [60.0, 40, 76, 56], [4.0, 44, 20, 58]])
    scores = [0.9, 0.9, 0.8, 0.2]

    class Told(torch.nn.Module):
        """Says those boxes of any photo: one that is labelled, one beside it, a sure new one and an unsure one."""

        def __init__(self):
            super().__init__()
            self.still = torch.nn.Parameter(torch.zeros(1))

        def forward(self, image):
            answer = torch.full((1, 5, image.shape[2] // 8, image.shape[3] // 8), -9.0)
            for (x0, y0, x1, y1), score in zip(positions * 0.8, scores, strict=True):  # 80 pixels become 64
                column, line = int((x0 + x1) / 16), int((y0 + y1) / 16)
                x, y = column * 8 + 4, line * 8 + 4
                sides = [x - x0, y - y0, x1 - x, y1 - y]
                answer[0, :, line, column] = torch.tensor([math.log(score / (1 - score)), *sides])
            return answer

    spec = detector_spec(small_recipe(), Path())
    more = with_pseudo_labels(photos, np.array([row]), Told(), spec)
    np.testing.assert_allclose(more.box[row], [*labelled, positions[2]], atol=1e-3)
    np.testing.assert_allclose(more.crowd[row], [*photos.crowd[row], positions[3]], atol=1e-3)
    for index in range(row):
        assert more.box[index] is photos.box[index] and more.crowd[index] is photos.crowd[index]


def test_only_a_start_that_finds_people_trains_on_photos_that_say_too_little(data, tmp_path):
    recipe = replace(small_recipe(), data=DataOptions(folds=0))
    task = detector_task(recipe, data, None)
    assert 26 not in task.views.photos.image_id
    task.export(tmp_path / "model")
    assert 26 in detector_task(recipe, data, tmp_path / "model").views.photos.image_id
