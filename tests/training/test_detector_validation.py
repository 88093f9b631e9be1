"""Validation of a detector: one that knows the answers is right everywhere, whatever the photos' sizes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from tests.training.test_detector_task import SIDE, small_recipe
from trustpose.codecs.boxes import encode_centres
from trustpose.datasets.photo_boxes import BoxedPhotos
from trustpose.networks.centre_detector import CentreDetector
from trustpose.training.detector_task import DetectorTask

SIZES = [(1280, 960), (700, 1000), (64, 64), (300, 50)]
BOXES = [
    np.array([[100.0, 100, 500, 800], [700, 200, 1200, 900]]),
    np.array([[50.0, 60, 600, 900]]),
    np.zeros((0, 4)),
    np.array([[10.0, 2, 130, 48], [150, 4, 290, 46]]),
]


class Knowing(nn.Module):
    """Gives the photos' answers, one after another, with sure logits; `shift` moves its boxes, in input pixels."""

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.answers = [self._answer(size, box, shift) for size, box in zip(SIZES, BOXES, strict=True)]

    @staticmethod
    def _answer(size, box, shift) -> torch.Tensor:
        scale = SIDE / max(size)
        wide, high = (-(-round(side * scale) // 32) * 32 // CentreDetector.stride for side in size)
        bumps, sides, _ = encode_centres(box * scale + shift, wide, high, CentreDetector.stride)
        y, x = (np.indices(bumps.shape) + 0.5) * CentreDetector.stride
        distances = np.stack([x - sides[0], y - sides[1], sides[2] - x, sides[3] - y])
        centre = np.clip(bumps, 1e-3, 0.999)
        logit = np.log(centre / (1 - centre))
        return torch.from_numpy(np.concatenate([logit[None], distances])[None].astype(np.float32))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        answer = self.answers.pop(0)
        assert answer.shape[2:] == tuple(side // CentreDetector.stride for side in image.shape[2:])
        return answer


@pytest.fixture
def photos(tmp_path):
    names = [f"{index}.png" for index in range(len(SIZES))]
    for name, (width, height) in zip(names, SIZES, strict=True):
        cv2.imwrite(str(tmp_path / name), np.zeros((height, width, 3), np.uint8))
    crowds = [np.zeros((0, 4)), np.array([[0.0, 0, 40, 40]]), np.array([[5.0, 5, 60, 60]]), np.zeros((0, 4))]
    return BoxedPhotos(tmp_path, np.arange(4) + 5, names, BOXES, crowds)


def validated(photos: BoxedPhotos | None, model: nn.Module, training: BoxedPhotos) -> dict[str, float]:
    task = DetectorTask(small_recipe(), CentreDetector(), training, photos)
    task.model = model
    return task.validate()


def test_who_knows_everything_is_right(photos):
    numbers = validated(photos, Knowing(), photos)
    assert set(numbers) == {"box.AP", "box.AP50", "box.AP75", "box.AR", "box.recall50"}
    assert all(value == pytest.approx(1) for value in numbers.values())


def test_who_is_a_little_off_is_right_at_low_overlaps_only(photos):
    numbers = validated(photos, Knowing(shift=1.0), photos)
    assert numbers["box.AP"] < 0.95 and numbers["box.AP50"] == pytest.approx(1)


def test_without_people_or_photos(photos):
    assert validated(None, Knowing(), photos) == {}
    nobody = replace(photos.select(np.array([2])), crowd=[np.zeros((0, 4))])
    model = Knowing()
    model.answers = model.answers[2:]
    assert all(np.isnan(value) for value in validated(nobody, model, photos).values())
