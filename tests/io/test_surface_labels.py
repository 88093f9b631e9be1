"""Surfaces in COCO's layout: masks equal pycocotools', points come back, and errors name file and field."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_masks
from scipy.io import savemat

from tests.surface_cases import person_value, random_surface, surface_file
from trustpose.codecs.surface import to_iuv
from trustpose.files import InputError, write_json
from trustpose.io.coco.run_length_text import format_runs, parse_runs, read_run_lengths
from trustpose.io.coco.surface_labels import read_surface_truth, surface_truth_value
from trustpose.io.coco.surface_results import read_surface_results, write_surface_results
from trustpose.io.surface_mirror import read_uv_mirror
from trustpose.poses.run_lengths import RunLengths
from trustpose.poses.surfaces import Surfaces


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_run_lengths_are_those_of_pycocotools(seed: int, height: int, width: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    encoded = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs = RunLengths.of(mask)
    assert format_runs(runs.runs) == encoded["counts"].decode()
    np.testing.assert_array_equal(parse_runs(encoded["counts"].decode()), runs.runs)
    decoded = read_run_lengths({"size": [height, width], "counts": encoded["counts"].decode()})
    np.testing.assert_array_equal(decoded.mask, mask)


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=30))
def test_any_text_is_run_lengths_or_an_error(text: str) -> None:
    try:
        runs = parse_runs(text)
    except ValueError as error:
        assert str(error).startswith("counts: expected")
    else:
        assert (runs >= 0).all()


def test_people_come_back(tmp_path: Path) -> None:
    torso = np.zeros((256, 256), np.bool_)
    torso[20:100, 30:60] = True
    counts = coco_masks.encode(np.asfortranarray(torso.astype(np.uint8)))["counts"].decode()
    masks = [{"size": [256, 256], "counts": counts}, [], {"size": [256, 256], "counts": format_runs(np.array([65536]))}]
    without_points = {"id": 9, "image_id": 3, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 1.0}
    people = (without_points, person_value(4, dp_masks=masks), person_value(2, seed=1, id=8))
    truth = read_surface_truth(surface_file(tmp_path / "people.json", *people))
    assert repr(truth) == "SurfaceTruth(3 people, 6 points, masks of 1)"
    assert truth.annotation_id.tolist() == [9, 7, 8] and truth.person.tolist() == [1, 1, 1, 1, 2, 2]
    np.testing.assert_array_equal(truth.part[4:], people[2]["dp_I"])
    np.testing.assert_array_equal(truth.uv[:4, 1], people[1]["dp_V"])
    expected = 10 + np.array(people[1]["dp_x"]) / 256 * 40
    np.testing.assert_allclose(truth.xy()[:4, 0], expected)
    np.testing.assert_allclose(truth.xy(255)[:4, 1], 20 + np.array(people[1]["dp_y"]) / 255 * 60)
    mask = truth.mask(1)
    assert mask is not None and truth.mask(2) is None
    np.testing.assert_array_equal(mask, torso)
    assert truth.images is not None
    write_json(tmp_path / "again.json", surface_truth_value(truth, truth.images))
    again = read_surface_truth(tmp_path / "again.json")
    for name in ("box", "image_id", "annotation_id", "area", "person", "part", "uv", "xy_box"):
        np.testing.assert_array_equal(getattr(again, name), getattr(truth, name), name)
    np.testing.assert_array_equal(again.mask(1), mask)
    assert truth[np.array([2])].part.tolist() == truth.part[4:].tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dp_U": [0.5]}, "field 'dp_U': expected 5 numbers, as in 'dp_x', got 1"),
        ({"dp_V": None}, "field 'dp_V': expected a list of numbers from 0 to 1"),
        ({"dp_V": [0.5, 1.5, 0, 0, 0]}, "field 'dp_V': expected numbers from 0 to 1, got 1.5"),
        ({"dp_I": [1, 25, 0, 0, 0]}, "field 'dp_I': expected whole numbers from 0 to 24, got 25"),
        ({"dp_I": [1, 2.5, 0, 0, 0]}, "field 'dp_I': expected whole numbers from 0 to 24, got 2.5"),
        ({"dp_x": [1, True, 0, 0, 0]}, "field 'dp_x': expected a list of numbers from 0 to 256"),
        ({"dp_y": [-1, 0, 0, 0, 0]}, "field 'dp_y': expected numbers from 0 to 256, got -1"),
        ({"dp_masks": {}}, "field 'dp_masks': expected a list of at most 14 masks"),
        ({"dp_masks": [[], 3]}, "field 'dp_masks.1': expected run lengths"),
        ({"dp_masks": [{"size": [256, 256], "counts": "~~"}]}, "field 'dp_masks.0.counts': expected run lengths"),
        ({"dp_masks": [{"size": [256, 256], "counts": [5]}]}, "field 'dp_masks.0.counts': expected runs of 256 × 256"),
        ({"dp_masks": [{"size": [2, 2], "counts": [4]}]}, "field 'dp_masks.0.size': expected 256, 256, got 2, 2"),
        ({"dp_masks": [{"size": 3, "counts": [4]}]}, "field 'dp_masks.0.size': expected height and width"),
    ],
)
def test_errors_name_file_and_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = surface_file(tmp_path / "people.json", person_value(5, **changes))
    with pytest.raises(InputError) as error:
        read_surface_truth(path)
    assert str(error.value).startswith(f"{path}: annotation 0: ") and message in str(error.value)


def test_a_file_without_points(tmp_path: Path) -> None:
    person = person_value()
    del person["dp_x"]
    with pytest.raises(InputError, match="none has points"):
        read_surface_truth(surface_file(tmp_path / "people.json", person))


def test_results_come_back(tmp_path: Path) -> None:
    surfaces = Surfaces((random_surface(0), random_surface(1, 7, 9)), np.array([4, 5]), np.array([0.9, 0.2]))
    write_surface_results(tmp_path / "results.json", surfaces)
    again = read_surface_results(tmp_path / "results.json")
    assert again.image_id.tolist() == [4, 5] and again.score.tolist() == [0.9, 0.2]
    for surface, read_surface in zip(surfaces, again, strict=True):
        np.testing.assert_array_equal(to_iuv(read_surface), to_iuv(surface))
        np.testing.assert_allclose(read_surface.box, surface.box)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"uv_shape": [3, 4]}, "field 'uv_shape': expected [3, height, width]"),
        ({"uv_data": "!"}, "field 'uv_data': expected a PNG as base64"),
        ({"uv_data": ""}, "field 'uv_data': expected a PNG of 20 × 15 pixels, got no image"),
        ({"uv_shape": [3, 5, 5]}, "field 'uv_data': expected a PNG of 5 × 5 pixels, got 20 × 15"),
    ],
)
def test_errors_in_results(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    import json

    path = tmp_path / "results.json"
    write_surface_results(path, Surfaces((random_surface(0),), np.array([4]), np.array([0.9])))
    path.write_text(json.dumps([json.loads(path.read_text())[0] | changes]))
    with pytest.raises(InputError) as error:
        read_surface_results(path)
    assert str(error.value).startswith(f"{path}: result 0: ") and message in str(error.value)


def test_the_mirror_is_read_from_the_users_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tables = {name: np.empty((1, 24), object) for name in ("U_transforms", "V_transforms")}
    for cells in tables.values():
        for chart in range(24):
            cells[0, chart] = rng.random((256, 256))
    savemat(tmp_path / "uv.mat", tables)
    mirror = read_uv_mirror(tmp_path / "uv.mat")
    part, uv = np.array([3, 0]), np.array([[0.25, 0.5], [0.1, 0.2]])
    expected = [tables[name][0, 2][int(0.5 * 255), int(0.25 * 255)] for name in tables]  # row V, column U
    np.testing.assert_allclose(mirror.mirrored(part, uv)[0], expected, atol=1e-6)
    np.testing.assert_array_equal(mirror.mirrored(part, uv)[1], uv[1])
    savemat(tmp_path / "half.mat", {"U_transforms": tables["U_transforms"]})
    with pytest.raises(InputError, match="'V_transforms' is missing"):
        read_uv_mirror(tmp_path / "half.mat")
    (tmp_path / "text.mat").write_text("no MATLAB file, but more than the 128 bytes of a header " * 4)
    with pytest.raises(InputError, match="is not a MATLAB file"):
        read_uv_mirror(tmp_path / "text.mat")


def test_official_annotations_of_the_users_file() -> None:
    path = os.environ.get("TRUSTPOSE_DENSEPOSE")
    if not path:
        pytest.skip("set TRUSTPOSE_DENSEPOSE to a file of DensePose-COCO to read official annotations")
    truth = read_surface_truth(path)
    assert len(truth) and truth.part.min() >= 0 and truth.part.max() <= 24
    box = truth.box[truth.person]
    assert ((truth.xy() >= box[:, :2]) & (truth.xy() <= box[:, 2:])).all()
