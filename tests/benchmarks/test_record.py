"""Benchmarks that are quick end with one line of JSON: on made-up files, and on a little of the real data."""

import json
import math

import numpy as np
import pytest

from tests.made_up_results import made_up_results
from trustpose.skeletons import COCO_17


def last_line(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def made_up(tmp_path):
    """A ground truth of 20 people on 10 photos, and results."""
    random = np.random.default_rng(0)
    annotations = []
    for number in range(1, 21):
        x, y = random.uniform(0, 300, 2)
        xy = random.uniform(0, 100, (17, 2)) + np.array([x, y])
        keypoints = np.c_[xy, np.full(17, 2)].round(2).ravel().tolist()
        annotations.append(
            {
                **{"id": number, "image_id": number % 10, "category_id": 1, "iscrowd": 0, "num_keypoints": 17},
                **{"keypoints": keypoints, "bbox": [x, y, 100, 100], "area": 5000.0},
            }
        )
    truth = {
        "images": [{"id": number, "width": 400, "height": 400, "file_name": f"{number}.jpg"} for number in range(10)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints), "skeleton": []}],
    }
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(made_up_results(truth)))
    return ["--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json"]


def test_evaluation_beside_peers_on_made_up_files(run_benchmark, made_up, capsys):
    pytest.importorskip("faster_coco_eval")
    run_benchmark("evaluation", *made_up, "--runs", 1, "--photos", 3)  # ends the program if the ten numbers differ
    record = last_line(capsys)
    assert "1" in record and set(record) <= {"1", "2"}
    for of_cores in record.values():
        assert set(of_cores) == {"files", "small_files"}
        clock, processor = (of_cores["files"][measure] for measure in ("clock", "processor"))
        assert set(clock) == set(processor) == {"loading", "evaluation", "both"}
        assert clock["both"]["pycocotools"] > 0


def test_evaluation_of_copies_of_made_up_files(run_benchmark, made_up, capsys):
    run_benchmark("large_files", "evaluation", *made_up, "--copies", 3)
    record = last_line(capsys)
    assert record["results"] == 60 and 0 < record["AP"] < 1


def test_a_missing_ground_truth_is_one_line(run_benchmark, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_benchmark("evaluation", "--gt", tmp_path / "gt.json")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}/gt.json: no such file")


# what the commands print is in docs/benchmarks; here they get a little of the data
QUICK = {
    "cameras": (["--part", "priors"], "priors"),
    "perfect_fields": (["--photos", 4, "--no-crowds", "--only", "tags"], "ap"),
}


@pytest.mark.parametrize("name", QUICK)
def test_a_little_of_the_real_data(name, run_benchmark, data_dir, capsys):
    assert data_dir.is_dir()
    options, key = QUICK[name]
    run_benchmark(name, *options)
    record = last_line(capsys)
    assert key in record
    assert all(math.isfinite(value) for value in numbers_in(record[key]))


def numbers_in(value) -> list[float]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] if isinstance(value, (int, float)) else [number for part in parts for number in numbers_in(part)]
