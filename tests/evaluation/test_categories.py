"""Several categories: AP as pycocotools has it, people compared with their own category only, draws of photos."""

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.cases import run, small_files
from tests.coco_cases import coco_cases, pycocotools_numbers
from tests.made_up_results import made_up_results
from trustpose.evaluation.audit import audit
from trustpose.evaluation.batch import Batch
from trustpose.evaluation.precision import ScorePrecision
from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth


@st.composite
def several_categories(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]], np.ndarray]:
    """`coco_cases` whose people and results are of four categories, one of them without people."""
    truth, results, sigmas = draw(coco_cases())
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for row in truth["annotations"]:
        row["category_id"] = int(random.integers(1, 4))
    for row in results:
        row["category_id"] = int(random.integers(1, 5))
    keypoints = truth["categories"][0]["keypoints"]
    truth["categories"] = [{"id": i, "name": f"animal {i}", "keypoints": keypoints} for i in (2, 1, 4, 3)]
    return truth, results, sigmas


@settings(max_examples=60)
@given(several_categories())
def test_ap_is_pycocotools_mean_over_categories(tmp_path_factory: pytest.TempPathFactory, case) -> None:
    truth, results, sigmas = case
    folder = tmp_path_factory.mktemp("case")
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    truth_file = read_coco_truth(folder / "gt.json", "all")
    results_file = read_results(folder / "results.json", truth=truth_file)
    batch, precision = Batch(truth_file, results_file, sigmas=sigmas, area="segment"), ScorePrecision()
    precision.add(batch, batch.score)
    ours = precision.mean()
    expected = pycocotools_numbers(copy.deepcopy(truth), copy.deepcopy(results), sigmas)
    np.testing.assert_allclose(list(asdict(ours).values()), expected, rtol=0, atol=1e-12)


@pytest.fixture
def two_animals(tmp_path: Path) -> Path:
    """gt.json and results.json of four animals in three photos, cats 1 and 3, dogs 2 and 4; a cat and a dog in one."""
    results, truth = small_files(tmp_path)
    for rows in (results, truth["annotations"]):
        for i, row in enumerate(rows):
            row["category_id"] = 7 if i % 2 == 0 else 9
    names = truth["categories"][0]["keypoints"]
    truth["categories"] = [{"id": 7, "name": "cat", "keypoints": names}, {"id": 9, "name": "dog", "keypoints": names}]
    for result in results:
        del result["annotation_id"]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_all_is_the_mean_over_separate_categories(two_animals: Path) -> None:
    files = two_animals / "gt.json", two_animals / "results.json"
    together = audit(*files, category="all", draws=40)
    by_itself = {name: audit(*files, category=name, draws=40) for name in ("cat", "dog")}
    assert set(together.categories) == {"cat", "dog"}
    for name, one in by_itself.items():
        fields = asdict(together.categories[name])
        assert (fields.pop("n"), fields.pop("oracle_AP")) == (2, one.oracle_ap.AP)
        assert fields == one.ap.as_dict()
        assert one.categories == {}
    assert together.ap.AP == pytest.approx(np.mean([one.ap.AP for one in by_itself.values()]))
    assert together.headroom == pytest.approx(np.mean([one.headroom or 0 for one in by_itself.values()]))
    assert together.pose.n == 4
    assert together.errors.swap == 0  # no pose is matched to another category
    drawn = [one.details.draws.values["ap.AP"] for one in by_itself.values()]
    with np.errstate(invalid="ignore"):
        expected = np.nanmean(drawn, axis=0)
    np.testing.assert_allclose(together.details.draws.values["ap.AP"], expected)
    np.testing.assert_array_equal(together.details.poses.image_id, [1, 1, 2, 3])  # the file's own


def test_the_command_line_prints_and_writes_each(two_animals: Path, capsys) -> None:
    files = ["--gt", two_animals / "gt.json", "--results", two_animals / "results.json", "--draws", 0]
    assert run("audit", *files, "--category", "all", "--json", two_animals / "audit.json") == 0
    printed = capsys.readouterr().out
    assert "AP by category" in printed
    assert "note: ap, oracle_ap, headroom: means over 2 categories; all other numbers pool them" in printed
    assert all(any(row.split()[1:3] == [name, "│"] for row in printed.splitlines()) for name in ("cat", "dog"))
    record = json.loads((two_animals / "audit.json").read_text())
    assert set(record["categories"]["cat"]) == {*record["ap"], "oracle_AP", "n"}
    assert run("audit", *files) == 2
    assert "several categories (cat, dog), expected one, chosen by its name or id, or all" in capsys.readouterr().err


def test_without_people_every_category_is_unknown(two_animals: Path) -> None:
    truth = json.loads((two_animals / "gt.json").read_text())
    (two_animals / "gt.json").write_text(json.dumps(truth | {"annotations": []}))
    record = audit(two_animals / "gt.json", two_animals / "results.json", category="all", area="box", draws=5)
    assert record.headroom is None
    assert {name: (category["AP"], category["n"]) for name, category in record.as_dict()["categories"].items()} == {
        "cat": (None, 0),
        "dog": (None, 0),
    }


def test_all_expects_the_same_keypoints(two_animals: Path) -> None:
    truth = json.loads((two_animals / "gt.json").read_text())
    truth["categories"][1]["keypoints"] = truth["categories"][1]["keypoints"][:5]
    (two_animals / "gt.json").write_text(json.dumps(truth))
    with pytest.raises(InputError, match="'cat' and 'dog' have different keypoints, all expects the same"):
        read_coco_truth(two_animals / "gt.json", "all")


def test_people_of_another_category_are_not_named_by_results_that_are_left_out(two_animals: Path) -> None:
    results = json.loads((two_animals / "results.json").read_text())
    for i, row in enumerate(results):
        row["annotation_id"] = i + 1
    (two_animals / "results.json").write_text(json.dumps(results))
    truth = read_coco_truth(two_animals / "gt.json", "cat")
    np.testing.assert_array_equal(read_results(two_animals / "results.json", truth=truth).poses.annotation_id, [1, 3])


def test_ap10k(data_dir: Path, tmp_path: Path) -> None:
    """File: layouts/ap10k/test_ap10k.json, two animals of 54 categories."""
    path = data_dir / "layouts/ap10k/test_ap10k.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    truth = json.loads(path.read_text())
    results = made_up_results(truth)
    (tmp_path / "results.json").write_text(json.dumps(results))
    record = audit(path, tmp_path / "results.json", category="all", draws=0)
    assert {name: category.n for name, category in record.categories.items()} == {"antelope": 1, "jaguar": 1}
    sigmas = record.details.sigmas
    for result in results:
        del result["bbox"]
    assert record.ap.AP == pytest.approx(pycocotools_numbers(truth, results, sigmas)[0], abs=1e-12)
