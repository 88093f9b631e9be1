"""The loss of detectors that list boxes: who is assigned to whom, and that boxes and scores are learnt."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.training.tiny import one_process, tiny_recipe
from trustpose.files import InputError
from trustpose.heads.stages import Stage
from trustpose.models.runtime.backends import BoxDetector
from trustpose.models.spec import ModelSpec
from trustpose.networks.picodet import ListedBoxes
from trustpose.training.detector_task import assign, detector_task, listed_losses
from trustpose.training.loop import fit
from trustpose.training.people import find_boxes, open_photos
from trustpose.training.recipe import DataOptions, Recipe, check_network


def cells(side: int = 8, stride: int = 8, photos: int = 1, spread: float = 0.0) -> ListedBoxes:
    """A map of side × side cells whose boxes reach 1.5 strides to each side; scores 0.3, spread by so much."""
    at = (torch.arange(side) + 0.5) * stride
    middle = torch.stack([at.repeat(side), at.repeat_interleave(side)], dim=1)
    random = torch.Generator().manual_seed(0)
    sides = torch.zeros(photos, side**2, 4, 8)
    boxes = torch.cat([middle - 1.5 * stride, middle + 1.5 * stride], dim=1).repeat(photos, 1, 1)
    boxes += spread * stride * torch.randn(boxes.shape, generator=random)
    scores = 0.3 + spread * 0.2 * torch.rand(photos, side**2, generator=random)
    return ListedBoxes(scores, boxes, sides, middle, torch.full((side**2,), float(stride)))


def iou(first, second) -> float:
    across, down = (min(first[index + 2], second[index + 2]) - max(first[index], second[index]) for index in (0, 1))
    common = max(float(across), 0) * max(float(down), 0)
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (first, second)]
    return common / (sum(areas) - common)


def test_cells_are_assigned_one_by_one():
    found = cells(spread=0.3)
    people = torch.tensor([[[2.0, 4, 40, 50], [20, 20, 61, 63], [50, 2, 51, 3], [0, 0, 64, 64]]])
    is_real = torch.tensor([[True, True, True, False]])
    person, quality, is_any = assign(found, people, is_real)
    claims: dict[int, list[tuple[float, int]]] = {}
    aligned = torch.zeros(3, 64)
    for number, box in enumerate(people[0, :3]):
        inside = [n for n, (x, y) in enumerate(found.middle) if box[0] < x < box[2] and box[1] < y < box[3]]
        for n in inside:
            aligned[number, n] = found.scores[0, n] * iou(box, found.boxes[0, n]) ** 6
        for n in sorted(inside, key=lambda n: -float(aligned[number, n]))[:13]:
            claims.setdefault(n, []).append((iou(box, found.boxes[0, n]), number))
    owner = {n: max(claim)[1] for n, claim in claims.items()}
    assert 20 < len(owner) <= 26 and any(len(claim) > 1 for claim in claims.values())
    assert is_any[0].nonzero()[:, 0].tolist() == sorted(owner)
    assert all(int(person[0, n]) == who for n, who in owner.items())
    for number in (0, 1):
        own = [n for n in owner if owner[n] == number]
        best = max(iou(people[0, number], found.boxes[0, n]) for n in own)
        highest = max(float(aligned[number, n]) for n in own)
        expected = torch.tensor([float(aligned[number, n]) / highest * best for n in own])
        torch.testing.assert_close(quality[0, own], expected, atol=1e-4, rtol=1e-3)
    assert (quality[0, ~is_any[0]] == 0).all() and 2 not in owner.values()  # too small for any cell's middle


@pytest.mark.parametrize("people", [[[10.0, 12, 34, 44], [30, 22, 62, 60]], [[8.0, 8, 56, 56]]])
def test_boxes_and_scores_are_learnt(people):
    """Numbers that any network could give become the boxes that they are to be."""
    first_cells, expected = cells(), torch.tensor([people])
    logits = torch.full((1, 64), -1.0, requires_grad=True)
    sides = torch.zeros(1, 64, 4, 8, requires_grad=True)
    optimiser = torch.optim.Adam([logits, sides], lr=0.1)
    is_real, counted = torch.ones(expected.shape[:2], dtype=torch.bool), torch.ones(1, 64, dtype=torch.bool)
    for _ in range(120):
        away = sides.softmax(dim=-1) @ torch.arange(8.0) * 8
        boxes = torch.cat([first_cells.middle - away[..., :2], first_cells.middle + away[..., 2:]], dim=-1)
        listed = first_cells._replace(scores=logits.sigmoid(), boxes=boxes, sides=sides)
        losses = listed_losses(listed, expected, is_real, counted)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    for index, box in enumerate(expected[0]):
        person, _, is_any = assign(listed, expected, is_real)
        own = (is_any & (person == index))[0].nonzero()[:, 0]
        best = own[listed.scores[0, own].argmax()]
        assert iou(box, boxes[0, best].detach()) > 0.9 and listed.scores[0, best] > 0.6
    assert listed.scores[0, ~is_any[0]].max() < 0.2


def test_nobody_and_what_is_ignored():
    first_cells, nobody = cells(photos=2), torch.zeros(2, 1, 4)
    is_real, counted = torch.zeros(2, 1, dtype=torch.bool), torch.ones(2, 64, dtype=torch.bool)
    losses = listed_losses(first_cells, nobody, is_real, counted)
    assert float(losses["scores"]) > 0 and float(losses["boxes"]) == float(losses["bins"]) == 0
    counted[0] = False
    half = listed_losses(first_cells, nobody, is_real, counted)["scores"]
    torch.testing.assert_close(half, losses["scores"] / 2)


@pytest.fixture
def data(tmp_path) -> Path:
    """Six photos of 100 × 80 pixels with a bright rectangle each."""
    (tmp_path / "train").mkdir()
    images, annotations = [], []
    for number in range(1, 7):
        photo = np.full((80, 100, 3), 30, np.uint8)
        photo[10:70, 8 * number : 8 * number + 30] = 220
        images.append({"id": number, "file_name": f"{number}.png", "width": 100, "height": 80})
        common = {"image_id": number, "category_id": 1, "iscrowd": 0, "area": 1800, "bbox": [8 * number, 10, 30, 60]}
        annotations.append({"id": number, "num_keypoints": 0, "keypoints": [0] * 51, **common})
        cv2.imwrite(str(tmp_path / "train" / f"{number}.png"), photo)
    categories = [{"id": 1, "name": "person"}]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (tmp_path / "train_gt.json").write_text(text)
    return tmp_path


def picodet_recipe(**train) -> Recipe:
    recipe = tiny_recipe((Stage(1, 0.0, 0.0),), **({"lr": 1e-4, "batch_size": 4, "optimiser": "adamw"} | train))
    return replace(recipe, system="detector", network="picodet-s", height=128, width=128, data=DataOptions(folds=3))


def test_picodet_goes_on_learning_and_what_is_exported_finds_the_same(data, data_dir, tmp_path):
    published = data_dir / "small-networks" / "picodet-s.onnx"
    task = detector_task(picodet_recipe(), data, published)
    still = {name: value.clone() for name, value in task.model.state_dict().items()}
    fit(task, picodet_recipe(), tmp_path / "training", one_process())
    after = task.model.state_dict()
    changed = {name for name, value in still.items() if not torch.equal(after[name].cpu(), value)}
    assert changed and not any(name.startswith(("backbone.stem", "backbone.blocks.0")) for name in changed)
    task.export(tmp_path / "model")
    detector = BoxDetector(ModelSpec.read(tmp_path / "model"), min_score=0.01)
    assert detector.spec.output.kind == "box-list" and detector.spec.input.size == "128×128, photo stretched"
    photos, _ = open_photos(data)
    pixels, scale = photos.photo(0)
    box, score = find_boxes(task.model, photos, 0, detector.spec, 0.01)
    detections = detector(pixels)
    box = np.clip(box, 0, [100, 80, 100, 80])
    some = (box[:, 2:] > box[:, :2]).all(axis=1)  # prediction leaves out what lies outside the photo
    box, score = box[some], score[some]
    assert (scale == 1).all() and len(detections) == len(box) >= 1 and detections.score is not None
    np.testing.assert_allclose(detections.score, score, atol=1e-4)
    np.testing.assert_allclose(detections.xyxy, box, atol=0.01)
    again = detector_task(picodet_recipe(), data, tmp_path / "model")
    assert all(torch.equal(value.cpu(), after[name].cpu()) for name, value in again.model.state_dict().items())


def test_parts_of_a_batch_add_up(data, data_dir):
    task = detector_task(picodet_recipe(), data, data_dir / "small-networks" / "picodet-s.onnx")
    samples = [task.samples(0)[index] for index in range(4)]
    samples[0] = replace(samples[0], box=np.zeros((0, 4)), ignored=np.ones_like(samples[0].ignored))
    whole, parts = task.collate(samples), [task.collate(samples[:1]), task.collate(samples[1:])]
    totals = task.counts(whole)
    assert totals["people"] == sum(len(view.box) for view in samples)
    with torch.no_grad():
        expected = task.losses(task.model, whole, totals)
        found = [task.losses(task.model, part, totals) for part in parts]
    assert all(float(value) == 0 for value in found[0].values())
    for name, value in expected.items():
        torch.testing.assert_close(found[0][name] + found[1][name], value)
        assert float(value) > 0


def test_where_picodet_starts_from(data, tmp_path):
    recipe = picodet_recipe()
    trained = replace(recipe, strategy=replace(recipe.strategy, starts_from="trained"))
    with pytest.raises(InputError, match="starts from a trained picodet-s; give its folder or file"):
        detector_task(trained, data, None)
    with pytest.raises(InputError, match=r"none\.onnx: "):
        detector_task(recipe, data, tmp_path / "none.onnx")


def test_recipes_of_detectors_alone_may_name_it():
    check_network(picodet_recipe())
    with pytest.raises(InputError, match=r"network: expected one of .*, got 'picodet-s'"):
        check_network(replace(picodet_recipe(), system="network"))
