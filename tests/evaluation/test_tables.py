"""The tables of papers beside an audit's numbers: against plain loops, pycocotools and the numbers of coco-analyze."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.cli.cases import run
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.io.coco.results import read_results
from trustpose.metrics.matching import pair_oks


@pytest.fixture(scope="module")
def files(data_dir: Path) -> tuple[Path, Path]:
    return data_dir / "coco" / "dev_gt.json", data_dir / "results" / "simplepose.dev.json"


@pytest.fixture(scope="module")
def record(files) -> Audit:
    return audit(*files, area="file", table=("thresholds", "scoring-errors,non-0@0.3"), draws=0)


def test_thresholds_are_those_of_pycocotools(files, record) -> None:
    truth, results = files
    coco = COCO(truth)
    evaluation = COCOeval(coco, coco.loadRes(str(results)), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]
    thresholds = record.tables["thresholds"]
    assert list(thresholds) == [f"AP{step}" for step in range(50, 100, 5)]
    np.testing.assert_allclose([threshold.AP for threshold in thresholds.values()], precision.mean(axis=1), atol=1e-12)
    assert np.mean([threshold.AP for threshold in thresholds.values()]) == pytest.approx(record.ap.AP)
    assert np.mean([threshold.oracle_AP for threshold in thresholds.values()]) == pytest.approx(record.oracle_ap.AP)
    assert thresholds["AP75"].oracle_AP == pytest.approx(record.oracle_ap.AP75)


def test_scoring_errors_are_those_of_coco_analyze(record) -> None:
    """The counts that `test_diagnosis_reference` has from its run."""
    scoring_errors = record.tables["scoring-errors"]
    assert [
        scoring_errors.errors,
        scoring_errors.errors_by_optimal_score,
        scoring_errors.reordered_images,
        scoring_errors.images,
    ] == [0, 1, 121, 365]


def test_histograms_are_of_poses_near_people_whom_several_are_near(files, record) -> None:
    details, near, score = record.details, defaultdict(list), read_results(files[1]).score
    pairs = pair_oks(details.poses, details.truth, sigmas=details.sigmas, area="file")
    size = details.truth.area_of_all("file")
    for pose, person, oks in zip(pairs.pose.tolist(), pairs.person.tolist(), pairs.oks.tolist(), strict=True):
        if oks > 0.1 and size[person] >= 32**2 and details.truth.num_keypoints[person] > 0:
            near[person].append((-oks, pose))
    contested = [sorted(poses) for poses in near.values() if len(poses) > 1]
    scores = [[score[pose] for _, pose in part] for poses in contested for part in (poses[:1], poses[1:])]
    closest, others = (np.concatenate(scores[side::2]) for side in (0, 1))
    found = record.tables["scoring-errors"].score
    assert len(found.edges) == 20 and found.edges[0] == min(closest.min(), others.min())
    for counts, values in ((found.closest, closest), (found.others, others)):
        by_hand = [
            ((values >= low) & (values < high)).sum() + (high == found.edges[-1]) * (values == high).sum()
            for low, high in zip(found.edges, found.edges[1:], strict=False)
        ]
        assert list(counts) == by_hand
    assert found.overlap == sum(map(min, found.closest, found.others)) > 0


def test_non_0_leaves_out_what_is_predicted_absent(files, tmp_path) -> None:
    """Precision and recall of both wrists by the formula in `metrics.localisation`, counted in a loop."""
    truth, results = files
    rows, generator = json.loads(results.read_text()), np.random.default_rng(0)
    for row in rows:
        row["visibility"] = generator.dirichlet([1, 1, 3], 17).tolist()
    (tmp_path / "results.json").write_text(json.dumps(rows))
    record = audit(truth, tmp_path / "results.json", area="file", table=["non-0@0.3"], draws=0)
    details = record.details
    poses = read_results(tmp_path / "results.json").poses[details.measured]
    steps = np.linspace(0.5, 0.95, 10)

    def by_hand(joint: int, *, non_0: bool) -> tuple[float, float]:
        hits, predicted, labels = 0.0, 0, 0
        for visibility, score, opks, is_labelled in zip(
            *(column[:, joint] for column in (poses.visibility, poses.score, details.opks, details.labelled)),
            strict=True,
        ):
            labels += is_labelled
            if score >= 0.3 and not (non_0 and visibility[0] == max(visibility)):
                predicted += 1
                hits += is_labelled * (opks >= steps).mean()
        return hits / predicted, hits / labels

    expected = [np.mean([by_hand(joint, non_0=way) for joint in (9, 10)], axis=0) for way in (False, True)]
    wrist = record.tables["non-0"]["wrist"]
    np.testing.assert_allclose([wrist.AP, wrist.AR, wrist.non_0_AP, wrist.non_0_AR], np.ravel(expected), rtol=1e-12)
    assert wrist.non_0_AR < wrist.AR
    every = audit(truth, tmp_path / "results.json", area="file", table=["non-0"], draws=0)
    means = [
        np.mean([getattr(keypoint_type, name) for keypoint_type in every.keypoint_types.values()])
        for name in ("AP", "AR")
    ]
    assert [every.tables["non-0"]["mean"].AP, every.tables["non-0"]["mean"].AR] == pytest.approx(means)


def test_they_stand_in_json_and_terminal(files, tmp_path, capsys) -> None:
    truth, results = files
    flip = results.with_name("simplepose_flip.dev.json")
    options = [
        "--table",
        "thresholds",
        "--table",
        "scoring-errors,non-0",
        "--draws",
        "0",
        "--json",
        tmp_path / "a.json",
    ]
    assert run("audit", "--gt", truth, results, flip, *options) == 0
    shown = capsys.readouterr().out
    first, second = (record["tables"] for record in json.loads((tmp_path / "a.json").read_text()))
    gain = second["thresholds"]["AP85"]["AP"] - first["thresholds"]["AP85"]["AP"]
    assert f"{gain:+.3f}" in shown and "Scoring errors" in shown and "mAPK of simplepose.dev.json" in shown
    assert first["non-0"]["mean"]["non_0_AP"] is None and "null without the poses' visibility" in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thresholds@0.5", "expected thresholds, scoring-errors, non-0 or non-0@SCORE"),
        ("non-0@low", "expected a number after @"),
    ],
)
def test_wrong_names_are_one_line(files, capsys, text, said) -> None:
    assert run("audit", "--gt", files[0], files[1], "--table", text) == 2
    assert said in capsys.readouterr().err
