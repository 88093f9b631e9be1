"""`tp.correct` and `trustpose correct`: accepted suspects restore the labels, nothing else changes, refusals."""

import copy
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

import trustpose as tp
from tests.cli.cases import run
from tests.reviews.test_review import files, labelled_and_posed
from trustpose.files import InputError
from trustpose.reviews import CorrectedLabels
from trustpose.reviews.hypotheses import HYPOTHESES
from trustpose.skeletons import COCO_17

JOINTS = list(COCO_17.keypoints)
FLIP = COCO_17.flip_index
LEFT, RIGHT, NOSE, EAR = (JOINTS.index(name) for name in ("left_wrist", "right_wrist", "nose", "left_ear"))
Labels = dict[str, Any]


def labels(seed: int = 0, people: int = 3) -> Labels:
    """A COCO file with fields of other programs, whole and fractional numbers."""
    random = np.random.default_rng(seed)
    annotations = []
    for i in range(people):
        xy, v = random.uniform(5, 400, (17, 2)).round(3), random.integers(1, 3, 17)
        v[EAR] = 0
        rows = [[x, y, int(k)] if k else [0, 0, 0] for (x, y), k in zip(xy.tolist(), v, strict=True)]
        rows[NOSE][:2] = [int(rows[NOSE][0]), int(rows[NOSE][1])]
        annotations.append({
            "id": 10 + i, "image_id": i + 1, "category_id": 1, "iscrowd": 0, "area": 5000.25, "bbox": [0, 0, 400, 410],
            "num_keypoints": 16, "keypoints": [number for row in rows for number in row],
            "segmentation": [[1, 2.5, 3, 4, 5, 6.125]], "attributes": {"tool": "né", "deep": [None, True, 1e-9]},
        })  # fmt: skip
    return {
        "info": {"year": 2017, "note": "größe"},
        "licenses": [],
        "images": [{"id": i + 1, "width": 640, "height": 480, "flickr": None} for i in range(people)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": JOINTS, "skeleton": [[1, 2]], "colour": "#fff"}],
        "mine": {"version": 2**60},
    }


def joint(file: Labels, person: int, keypoint: int) -> list[float]:
    return file["annotations"][person]["keypoints"][3 * keypoint : 3 * keypoint + 3]


def set_joint(file: Labels, person: int, keypoint: int, label: list[float]) -> None:
    row = file["annotations"][person]
    row["keypoints"][3 * keypoint : 3 * keypoint + 3] = label
    row["num_keypoints"] = sum(v > 0 for v in row["keypoints"][2::3])


def suspect(file: Labels, person: int, keypoint: int | None, kind: str, label: Any, chance: float = 0.8) -> Labels:
    row = file["annotations"][person]
    name = None if keypoint is None else JOINTS[keypoint]
    suggestion = np.round(label, 2).tolist()
    return {
        "annotation_id": row["id"], "image_id": row["image_id"], "keypoint": name, "kind": kind,
        "probability": chance, "suggestion": suggestion,
    }  # fmt: skip


def spoilt(right: Labels, kind: str, person: int = 1) -> tuple[Labels, list[Labels]]:
    """The file with an error of a kind, and the review that finds it."""
    wrong = copy.deepcopy(right)
    if kind == "person_swapped":
        rows = [joint(right, person, k) for k in range(17)]
        for k in range(17):
            set_joint(wrong, person, k, rows[FLIP[k]])
        return wrong, [suspect(wrong, person, None, kind, rows)]
    if kind == "swapped":
        set_joint(wrong, person, LEFT, joint(right, person, RIGHT))
        set_joint(wrong, person, RIGHT, joint(right, person, LEFT))
        return wrong, [suspect(wrong, person, k, kind, joint(right, person, k)) for k in (LEFT, RIGHT)]
    if kind == "invented":
        set_joint(wrong, person, EAR, [7.5, 9, 2])
        return wrong, [suspect(wrong, person, EAR, kind, [0, 0, 0])]
    x, y, v = joint(right, person, LEFT)
    label = {"missing": [0, 0, 0], "visibility": [x, y, 3 - v]}.get(kind, [x + 60, y, v])
    set_joint(wrong, person, LEFT, label)
    return wrong, [suspect(wrong, person, LEFT, kind, [x, y, v])]


def write(folder: Path, file: Labels, review: list[Labels], decisions: list[Labels] | None = None) -> None:
    (folder / "gt.json").write_text(json.dumps(file))
    (folder / "review.json").write_text(json.dumps(review))
    if decisions is not None:
        (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in decisions))


def decision(row: Labels, answer: str, **fields: Any) -> Labels:
    return {name: row[name] for name in ("annotation_id", "keypoint", "kind")} | {"decision": answer} | fields


def close(first: Labels, second: Labels) -> bool:
    """Equal but for the review's rounding of keypoints."""
    first, second = copy.deepcopy(first), copy.deepcopy(second)
    pairs = zip(first["annotations"], second["annotations"], strict=True)
    are_near = all(np.allclose(a.pop("keypoints"), b.pop("keypoints"), rtol=0, atol=0.0051) for a, b in pairs)
    return are_near and first == second


@pytest.mark.parametrize("kind", HYPOTHESES)
def test_an_accepted_suspect_of_each_kind_restores_the_file(kind: str, tmp_path: Path) -> None:
    right = labels()
    wrong, review = spoilt(right, kind)
    write(tmp_path, wrong, review, [decision(review[0], "accept", reviewer="Ann", time="2024-05-01")])
    assert not close(wrong, right)
    by_person = tp.correct(tmp_path / "gt.json", tmp_path / "review.json", decisions=tmp_path / "d.jsonl")
    by_chance = tp.correct(tmp_path / "gt.json", tmp_path / "review.json", accept_above=0.7)
    for corrected in (by_person, by_chance):
        assert close(corrected.labels, right) and len(corrected) >= 1
        if "swapped" in kind or kind in ("visibility", "invented"):  # which need no estimate
            assert corrected.labels == right
    assert by_person.changes[0].decided_by == "Ann" and by_person.changes[0].time == "2024-05-01"
    assert by_chance.changes[0].decided_by == "accepted above 0.7"
    assert len(tp.correct(tmp_path / "gt.json", tmp_path / "review.json", accept_above=0.8)) == 0


def test_the_command_writes_the_file_that_pycocotools_loads_and_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    right = labels()
    wrong, review = spoilt(right, "missing")
    write(tmp_path, wrong, review)
    out = ("--out", "corrected.json")
    assert run("correct", "gt.json", "--review", "review.json", "--accept-above", "0.5", *out) == 0
    assert "corrected.json: 1 keypoints of 1 people changed" in capsys.readouterr().out
    coco = COCO("corrected.json")
    assert coco.loadAnns(11)[0]["num_keypoints"] == 16 and len(coco.getAnnIds()) == 3
    np.testing.assert_allclose(coco.loadAnns(11)[0]["keypoints"], right["annotations"][1]["keypoints"], atol=0.0051)
    (row,) = csv.DictReader(io.StringIO(Path("corrected.changes.csv").read_text()))
    x, y, v = review[0]["suggestion"]
    assert row == {
        "annotation_id": "11", "image_id": "2", "keypoint": "left_wrist", "kind": "missing", "probability": "0.8",
        "old_x": "0", "old_y": "0", "old_v": "0", "new_x": f"{x}", "new_y": f"{y}", "new_v": f"{int(v)}",
        "decided_by": "accepted above 0.5", "time": "", "overruled": "",
    }  # fmt: skip


def test_later_decisions_overrule_earlier_ones_and_corrections_are_written(tmp_path: Path) -> None:
    wrong, review = spoilt(labels(), "position")
    accept, skip = decision(review[0], "accept"), decision(review[0], "skip")
    manual = decision(review[0], "correct", value=[31, 32.5, 1])

    def corrected(*decisions: Labels, accept_above: float | None = None) -> CorrectedLabels:
        write(tmp_path, wrong, review, list(decisions))
        paths = tmp_path / "gt.json", tmp_path / "review.json"
        return tp.correct(*paths, decisions=tmp_path / "d.jsonl", accept_above=accept_above)

    assert corrected(accept, skip).labels == wrong and len(corrected(skip, accept)) == 1
    assert corrected(skip, accept_above=0.1).labels == wrong  # a decision precedes the probability
    assert joint(corrected(accept, manual).labels, 1, LEFT) == [31, 32.5, 1]
    removed = corrected(decision(review[0], "correct", value=[31, 32.5, 0])).labels
    assert joint(removed, 1, LEFT) == [0, 0, 0] and removed["annotations"][1]["num_keypoints"] == 15
    wrong, review = spoilt(labels(), "person_swapped")
    skeleton = [[k, 2 * k, 2] for k in range(17)]
    whole = corrected(decision(review[0], "correct", keypoints=skeleton, reviewer="Ben"))
    assert np.array(whole.labels["annotations"][1]["keypoints"]).reshape(17, 3).tolist() == skeleton
    assert {change.decided_by for change in whole.changes} == {"Ben"} and len(whole) == 17


def test_of_suspects_that_contradict_each_other_the_most_probable_wins(tmp_path: Path) -> None:
    wrong, review = spoilt(labels(), "swapped")
    moved = suspect(wrong, 1, LEFT, "position", [50, 60, 2], chance=0.7)
    write(tmp_path, wrong, [*review, moved], [decision(moved, "accept", reviewer="Ann")])
    paths = tmp_path / "gt.json", tmp_path / "review.json"
    by_chance = tp.correct(*paths, accept_above=0.5)
    assert by_chance.labels == labels() and by_chance.accepted == 3
    assert [change.overruled for change in by_chance.changes] == [("position (0.70)",), ()]
    assert "position (0.70)" in by_chance.log()
    with_person = tp.correct(*paths, decisions=tmp_path / "d.jsonl", accept_above=0.5)
    assert joint(with_person.labels, 1, LEFT) == [50, 60, 2]
    assert joint(with_person.labels, 1, RIGHT) == joint(labels(), 1, RIGHT)
    assert with_person.changes[0].overruled == ("swapped (0.80)",)


def test_a_skipped_other_side_of_a_swap_stays(tmp_path: Path) -> None:
    wrong, review = spoilt(labels(), "swapped")
    write(tmp_path, wrong, review, [decision(review[0], "accept"), decision(review[1], "skip")])
    done = tp.correct(tmp_path / "gt.json", tmp_path / "review.json", decisions=tmp_path / "d.jsonl")
    assert [change.keypoint for change in done.changes] == ["left_wrist"]
    assert joint(done.labels, 1, RIGHT) == joint(wrong, 1, RIGHT) == joint(done.labels, 1, LEFT)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_else_changes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("labels")
    file = labels(data.draw(st.integers(0, 99)), people=4)
    if data.draw(st.booleans()):
        del file["annotations"][2]["num_keypoints"]
    review = []
    for kind in data.draw(st.lists(st.sampled_from(["position", "missing", "invented", "visibility"]), max_size=6)):
        person, k = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 16))
        old = joint(file, person, k)
        label = {"invented": [0, 0, 0], "visibility": [*old[:2], 3 - old[2]]}.get(kind, [old[0] + 9, old[1] + 1, 1])
        if kind != "visibility" or old[2]:
            review.append(suspect(file, person, k, kind, label, data.draw(st.floats(0, 1))))
    write(folder, file, review)
    threshold = data.draw(st.floats(0, 1))
    corrected = tp.correct(folder / "gt.json", folder / "review.json", accept_above=threshold)
    corrected.save(folder / "out.json", log=folder / "log.csv")
    after = json.loads((folder / "out.json").read_text())
    accepted = {(row["annotation_id"], row["keypoint"]) for row in review if row["probability"] > threshold}
    assert {(change.annotation_id, change.keypoint) for change in corrected.changes} <= accepted
    undone = copy.deepcopy(after)
    for change in corrected.changes:
        person = change.annotation_id - 10
        assert joint(after, person, JOINTS.index(change.keypoint)) == list(change.new)
        set_joint(undone, person, JOINTS.index(change.keypoint), list(change.old))
    for row, original in zip(after["annotations"], file["annotations"], strict=True):
        assert list(row) == list(original)  # nothing added or left out, in the same order
        assert row.get("num_keypoints") in (None, sum(v > 0 for v in row["keypoints"][2::3]))
    if "num_keypoints" not in file["annotations"][2]:
        undone["annotations"][2].pop("num_keypoints", None)  # which `set_joint` adds
    assert undone == file and list(after) == list(file)


def test_what_a_review_lists_is_corrected(tmp_path: Path) -> None:
    """The whole way: labels with a swapped wrist, the review of them by poses with trust, the corrected file."""
    gt, results = files(tmp_path)
    suspects = tp.review(gt, results, kinds=["swapped"], min_probability=0.5)
    assert len(suspects) == 2
    corrected = tp.correct(gt, suspects, accept_above=0.5)
    truth, _ = labelled_and_posed()
    corrected.save(tmp_path / "corrected.json")
    restored = tp.read_truth(tmp_path / "corrected.json")
    np.testing.assert_array_equal(restored.xy, truth.xy)
    np.testing.assert_array_equal(restored.v, truth.v)
    assert repr(corrected) == "CorrectedLabels(2 suspects accepted, 2 keypoints of 1 people changed)"
    assert "left_wrist" in corrected._repr_html_()
    with pytest.raises(InputError, match="does not fit the labels"):
        tp.correct(tmp_path / "corrected.json", suspects, accept_above=0.5)


def test_errors_made_up_in_real_labels_are_undone(data_dir: Path, tmp_path: Path) -> None:
    """All people of val2017 (`coco/val2017_gt.json`) with labelled wrists: exchanged, v exchanged, or left out."""
    right = json.loads((data_dir / "coco" / "val2017_gt.json").read_text())
    wrong, review = copy.deepcopy(right), []
    for person, row in enumerate(right["annotations"]):
        left, other = joint(right, person, LEFT), joint(right, person, RIGHT)
        if not (left[2] and other[2]):
            continue
        kind = ("swapped", "visibility", "missing", "none")[person % 4]
        labels_by_kind = {"swapped": other, "visibility": [*left[:2], 3 - left[2]], "missing": [0, 0, 0]}
        if kind == "none":
            continue
        assert row["num_keypoints"] == sum(v > 0 for v in row["keypoints"][2::3])
        set_joint(wrong, person, LEFT, labels_by_kind[kind])
        if kind == "swapped":
            set_joint(wrong, person, RIGHT, left)
        review.append(suspect(right, person, LEFT, kind, left))
    write(tmp_path, wrong, review)
    assert len(review) > 1000
    assert tp.correct(tmp_path / "gt.json", tmp_path / "review.json", accept_above=0.5).labels == right


def test_ids_that_are_texts(tmp_path: Path) -> None:
    right = labels()
    wrong, review = spoilt(right, "visibility")
    for row in [*right["annotations"], *wrong["annotations"], *review]:
        name = "annotation_id" if "kind" in row else "id"
        row[name], row["image_id"] = f"person {row[name]}", f"photo {row['image_id']}"
    for row in [*right["images"], *wrong["images"]]:
        row["id"] = f"photo {row['id']}"
    write(tmp_path, wrong, review)
    assert tp.correct(tmp_path / "gt.json", tmp_path / "review.json", accept_above=0).labels == right


def test_wrong_decisions_are_refused_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong, review = spoilt(labels(), "position")
    whole_wrong, whole_review = spoilt(labels(), "person_swapped")
    fine = decision(review[0], "accept")
    for change, message in (
        ({"annotation_id": 99}, "field 'annotation_id': no suspect in review.json has 99"),
        ({"keypoint": "left_wirst"}, "field 'keypoint': expected one of nose, "),
        ({"keypoint": "nose"}, "nose of annotation 11 is not suspected of position in review.json"),
        ({"kind": "shifted"}, "field 'kind': expected one of position, "),
        ({"decision": "acept"}, "field 'decision': expected one of accept, skip, correct, got 'acept' (did you mean"),
        ({"decision": "correct"}, "field 'value' is missing, expected x, y, v for the decision correct"),
        ({"decision": "correct", "value": [1, 2]}, "field 'value': expected 3 numbers, got [1, 2]"),
        ({"decision": "correct", "value": [1, 2, 3]}, "field 'value': expected x, y, v with v 0, 1 or 2"),
        ({"value": [1, 2, 2]}, "field 'value': expected only to correct a keypoint, got it for accept of left_wrist"),
        ({"revewer": "Ann"}, "field 'revewer' is unknown, expected one of "),
    ):
        write(tmp_path, wrong, review, [fine, fine | change])
        refused(capsys, f"d.jsonl: line 2: {message}")
    (tmp_path / "d.jsonl").write_text(json.dumps(fine) + "\n\n" + json.dumps(fine)[:20])
    refused(capsys, "d.jsonl: line 3: is not valid JSON")
    whole = decision(whole_review[0], "correct")
    for fields, message in (
        ({}, "field 'keypoints' is missing, expected x, y, v of all keypoints for the decision correct"),
        ({"keypoints": [[1, 2, 2]] * 16}, "field 'keypoints': expected 17 × 3 numbers, got 48"),
    ):
        write(tmp_path, whole_wrong, whole_review, [whole | fields])
        refused(capsys, f"d.jsonl: line 1: {message}")


def refused(capsys: pytest.CaptureFixture[str], message: str, *options: str) -> None:
    """The command ends with this message in one line, and writes nothing."""
    options = options or ("--decisions", "d.jsonl")
    paths = ("gt.json", "--review", "review.json", "--out", "corrected.json")
    assert run("correct", *paths, *options) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error, error
    assert not Path("corrected.json").exists() and not Path("corrected.changes.csv").exists()


def test_a_review_of_other_labels_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    right = labels()
    wrong, review = spoilt(right, "swapped")
    above = ("--accept-above", "0.5")
    for change, message in (
        ({"annotation_id": 5}, "field 'annotation_id': 5 is not in gt.json"),
        ({"annotation_id": None}, "field 'annotation_id': expected a number or a text, got None"),
        ({"image_id": 3}, "field 'image_id': expected 2, as gt.json has it, got 3"),
        ({"keypoint": "tail"}, "field 'keypoint': expected one of nose"),
        ({"suggestion": None}, "field 'suggestion': expected 3 numbers, got nothing"),
        ({"suggestion": [1, 2, 5]}, "field 'suggestion': expected x, y, v with v 0, 1 or 2"),
        ({"suggestion": "left"}, "field 'suggestion': expected numbers, got 'left'"),
        ({"probability": 1.5}, "field 'probability': expected a number from 0 to 1, got 1.5"),
        ({"kind": "box"}, "field 'kind': expected one of position"),
    ):
        write(tmp_path, wrong, [review[0] | change])
        refused(capsys, f"review.json: suspect 0: {message}", *above)
    write(tmp_path, right, review)  # corrected already
    refused(capsys, "review.json: suspect 0: field 'suggestion': does not fit the labels of gt.json", *above)
    write(tmp_path, wrong, review)
    refused(capsys, "--accept-above: expected a number from 0 to 1, got nan", "--accept-above", "nan")
    refused(capsys, "gt.json: would be overwritten by --out", *above, "--out", "gt.json")
    refused(capsys, "review.json: would be overwritten by --log", *above, "--log", "review.json")
    refused(capsys, "--log: is missing, expected a file for the changes", *above, "--out", "-")
    with pytest.raises(InputError, match="expected decisions"):
        tp.correct("gt.json", "review.json")
    with pytest.raises(TypeError, match="suspects: expected Suspects or the path"):
        tp.correct("gt.json", 3, accept_above=0.5)
