"""Geodesic point similarity and its average precision: the numbers of Detectron2's evaluation, and cases by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.surface_cases import random_evaluation, random_mesh, surface_file
from trustpose.geometry.surface_mesh import PAPER_SCALE, SurfaceMesh
from trustpose.io.coco.surface_labels import read_surface_truth
from trustpose.metrics.surface import geodesic_point_similarity, mask_on_image, surface_precision
from trustpose.poses.surfaces import Surface

# `DensePoseCocoEval` of facebookresearch/detectron2 at 02b5c4e on `random_evaluation()` with `random_mesh()` in the
# place of SMPL's: AP, AP50, AP75, APm, APl, AR, AR50, AR75, ARm, ARl
DETECTRON2 = {
    "gpsm": [
        *(0.24792637534332018, 0.4341992579225135, 0.22478738524799652, 0.24118445315821954, 0.5782178217821782),
        *(0.35789473684210527, 0.5526315789473685, 0.3684210526315789, 0.3424242424242424, 0.575),
    ],
    "gps": [
        *(0.2764660810989517, 0.5949634249150927, 0.2142895818100295, 0.2570488079693787, 0.7366336633663366),
        *(0.39210526315789473, 0.6578947368421053, 0.3684210526315789, 0.35757575757575755, 0.775),
    ],
    "iou": [
        *(0.27440931042960626, 0.4341992579225135, 0.2695172284153682, 0.2769818819192175, 0.5400990099009901),
        *(0.4026315789473684, 0.5526315789473685, 0.4473684210526316, 0.396969696969697, 0.55),
    ],
}


@pytest.mark.parametrize("kind", DETECTRON2)
def test_average_precision_is_detectron2s(tmp_path: Path, kind: str) -> None:
    value, surfaces = random_evaluation()
    (tmp_path / "people.json").write_text(json.dumps(value))
    truth = read_surface_truth(tmp_path / "people.json")
    numbers = surface_precision(surfaces, truth, random_mesh(), kind)  # type: ignore[arg-type]
    np.testing.assert_allclose(list(vars(numbers).values()), DETECTRON2[kind], atol=1e-12)


def _line() -> SurfaceMesh:
    """Three vertices 0.1 m apart on the left hand (part 4), the middle one at u = 0.5, and one on part 1, 1 m away."""
    uv = np.array([[0.0, 0], [0.5, 0], [1, 0], [0.5, 0.5]])
    xyz = np.array([0.0, 0.1, 0.2, 1.0])
    distance = np.abs(xyz[:, None] - xyz)
    return SurfaceMesh(np.array([4, 4, 4, 1]), uv, np.arange(4), distance[np.tril_indices(4, -1)])


def test_similarity_by_hand() -> None:
    mesh = _line()
    part, uv = np.array([4, 4, 0, 1, 2]), np.array([[0.4, 0.3], [0.9, 0], [0, 0], [0, 0], [0, 0]])
    true_part, true_uv = np.array([4, 4, 4, 4, 0]), np.array([[0.6, 0], [0.1, 0], [0, 0], [0, 0], [0, 0]])
    expected = [1.0, np.exp(-(0.2**2) / (2 * 0.107**2)), 0.0, np.exp(-(1.0**2) / (2 * 0.107**2)), np.nan]
    np.testing.assert_allclose(mesh.similarity(part, uv, true_part, true_uv), expected)
    paper = mesh.similarity(part, uv, true_part, true_uv, PAPER_SCALE)
    assert paper[1] == pytest.approx(np.exp(-(0.2**2) / (2 * 0.255**2)))


def test_points_outside_the_box_count_as_background(tmp_path: Path) -> None:
    person = {
        "id": 1, "image_id": 3, "bbox": [10, 20, 51, 51], "area": 900,
        "dp_x": [0, 255], "dp_y": [0, 0], "dp_I": [4, 4], "dp_U": [0, 0], "dp_V": [0, 0],
    }  # fmt: skip
    truth = read_surface_truth(surface_file(tmp_path / "people.json", person))
    surface = Surface(np.full((20, 20), 4, np.uint8), np.zeros((20, 20, 2)), np.array([9.0, 19.0, 29.0, 39.0]))
    assert geodesic_point_similarity(surface, truth, 0, _line()) == 0.5  # the second point lies at x = 61
    assert not mask_on_image(truth, 0, 100, 120).any()  # no masks
    far = Surface(surface.part, surface.uv, np.array([70.0, 80.0, 90.0, 100.0]))
    assert geodesic_point_similarity(far, truth, 0, _line()) == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": np.array([4, 4, 4, 25])}, "part: expected numbers from 1 to 24"),
        ({"distances": np.zeros(3)}, "distances: expected those of 4 points, 6, got 3"),
    ],
)
def test_what_is_no_mesh(changes: dict[str, np.ndarray], message: str) -> None:
    mesh = _line()
    with pytest.raises(ValueError, match=message):
        SurfaceMesh(**{name: changes.get(name, getattr(mesh, name)) for name in ("part", "uv", "row", "distances")})
