"""A fitted calibrator: its predictions and numbers, the fields that it changes, and the files and poses that it
refuses."""

import io
import pickle
import tracemalloc
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import r2_score

from tests.calibration.cases import FEW, Fitted, audit_notes, fit, made_up
from tests.calibration.damaged import WRONG_FIELDS, card_with, npy, saved_with
from trustpose.calibration.calibrator import PART, Calibrator
from trustpose.calibration.metrics import find_targets
from trustpose.calibration.selection import METHODS
from trustpose.calibration.shift import DistributionShiftWarning
from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.skeletons import BLAZEPOSE_33, COCO_17, LSP_14, Skeleton


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """Fitted by `auto`, with some results on no person."""
    return fit(*made_up(300, spurious=20), FEW)


def test_auto_selects_the_method_that_explains_most_with_a_reason(fitted) -> None:
    card = fitted.calibrator.card
    assert set(card.explained) == set(METHODS)
    assert max(card.explained, key=lambda name: card.explained[name][0]) == card.method == "trees"
    assert card.why.startswith("out of fold trees explains 0.") and "isotonic 0." in card.why


def test_numbers_are_those_of_the_out_of_fold_poses(fitted) -> None:
    truth, results = made_up(300, spurious=20)
    targets = find_targets(results.poses, truth.truth, COCO_17.sigmas, "segment")
    assert targets.unmatched.sum() == 20 == fitted.calibrator.card.unmatched
    targets = targets.of(np.flatnonzero(~targets.unmatched))  # trust is given a person
    predicted = fitted.out_of_fold[targets.rows]
    card = fitted.calibrator.card
    expected = np.corrcoef(predicted.pose_quality, targets.oks)[0, 1]
    assert card.after["pose.pearson"][0] == pytest.approx(expected, abs=1e-9)
    assert card.after["keypoint.brier"][0] == pytest.approx(
        ((predicted.quality - targets.opks.T) ** 2).mean(), abs=1e-9
    )
    assert card.after["pose.ece"][0] < card.before["pose.ece"][0] / 3
    assert card.after["pose.pearson"][0] > card.before["pose.pearson"][0]
    before, after, change = (numbers["keypoint.brier"] for numbers in (card.before, card.after, card.change))
    assert change[0] == pytest.approx(after[0] - before[0], abs=1e-12)
    assert change[1] < change[0] < change[2] < 0
    apart = (after[2] - before[1]) - (after[1] - before[2])
    assert change[2] - change[1] < apart  # both rise and fall with the photos drawn
    shares = r2_score(targets.oks, predicted.pose_quality), r2_score(targets.opks.T.ravel(), predicted.quality.ravel())
    assert card.explained["trees"][0] == pytest.approx(np.mean(shares), abs=1e-9)


def test_presence_is_not_learnt_where_the_ground_truth_says_nothing_of_people_without_boxes(fitted) -> None:
    card = fitted.calibrator.card
    assert card.presence is None and "does not say that all people of a photo have boxes" in card.no_presence
    assert fitted.out_of_fold.presence is None


def test_nothing_else_changes(fitted) -> None:
    poses = made_up(30, 3)[1].poses
    predicted = fitted.calibrator(poses)
    for name in ("xy", "score", "pose_score", "box", "image_id", "annotation_id"):
        np.testing.assert_array_equal(getattr(predicted, name), getattr(poses, name))
    assert poses.quality is None


def test_many_people_are_processed_in_parts_with_progress(fitted) -> None:
    parts = [made_up(500, seed)[1].poses for seed in range(5)]
    parts = [replace(part, image_id=part.image_id + 10_000 * index) for index, part in enumerate(parts)]
    heard: list[int] = []
    predicted = fitted.calibrator(Poses.concatenate(parts), tick=heard.append)
    assert sum(heard) == 2500 and len(heard) == -(-2500 // PART)
    for index, part in enumerate(parts):
        np.testing.assert_array_equal(
            predicted.pose_quality[500 * index : 500 * (index + 1)], fitted.calibrator(part).pose_quality
        )
    assert len(fitted.calibrator(parts[0][:0]).quality) == 0


@pytest.mark.parametrize(
    "content",
    [
        npy("'<f8'", f"({2**47},)"),
        npy("'<f8'", f"({2**32}, {2**32})"),
        npy("'<f8'", "(-1,)"),
        npy("'<f8'", "(1.5,)", bytes(12)),
        npy("'<c16'", "(1,)", bytes(16)),
        npy("'|O'", "(1,)", bytes(8)),
        npy("[('a', '<f8')]", "(1,)", bytes(8)),
        npy("'<U0'", f"({2**40},)"),
        npy("(" * 90 + "1" + ")" * 90, "(1,)"),
        b"\x93NUMPY\x07\x00",
        b"",
    ],
    ids=range(11),
)
def test_headers_that_claim_more_than_the_file_holds(fitted, tmp_path, content) -> None:
    path = tmp_path / "claims.cal"
    fitted.calibrator.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/more.npy", content)
    with pytest.raises(InputError, match=r"claims.cal: is not a calibrator of trustpose \("):
        Calibrator.load(path)


def test_a_zip_that_expands_to_gigabytes(tmp_path) -> None:
    path = tmp_path / "bomb.cal"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("card.npy", "w") as entry:
        for _ in range(300):
            entry.write(bytes(1_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="its arrays take 300000000 bytes, expected at most 256000000"):
            Calibrator.load(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_damaged_and_foreign_files_are_refused(fitted, tmp_path) -> None:
    good = fitted.calibrator
    cut = tmp_path / "cut.cal"
    good.save(cut)
    cut.write_bytes(cut.read_bytes()[:-2000])
    flipped = tmp_path / "flipped.cal"
    good.save(flipped)
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 0xFF
    flipped.write_bytes(content)
    (tmp_path / "text.cal").write_text("[]")
    (tmp_path / "empty.cal").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "other.cal", "w") as archive:
        archive.writestr("readme.txt", "no arrays here")
    for name, message in (
        ("cut.cal", "is not a calibrator"),
        ("flipped.cal", "is n"),
        ("text.cal", "is not a calibrator"),
        ("empty.cal", "the file is empty"),
        ("other.cal", "is not a calibrator"),
        ("missing.cal", "no such file"),
    ):
        with pytest.raises(InputError, match=f"{name}: .*{message}|{name}: {message}"):
            Calibrator.load(tmp_path / name)
    wrong: list[dict] = [
        {"card": None},
        {"card": card_with(good, format="trustpose calibrator 99")},
        {"card": card_with(good, method="magic")},
        {"card": card_with(good, keypoints=["nose"])},
        {"card": card_with(good, added=1)},
        {"model/labelled.answer": None},
        {"model/labelled.answer": np.zeros((2, 3), np.float32)},
        {"model/pose.feature": np.full((150, 8), 9999, np.int16)},
        {"domain/spread": np.zeros(3)},
        {"recalibration/pose": np.array([1.0, np.nan, 0])},
        {"recalibration/pose": np.array([1.0, 1e300, 0])},
        {"recalibration/pose": np.array([1.0, 1j, 0])},
        {"recalibration/more": np.zeros(2)},
        {"image_ids": np.array(["a"])},
        {"image_ids": np.zeros(3, complex)},
        {"more": np.zeros(3)},
        {"model/more": np.zeros(3)},
        {"model/pose_names": None, "model/pose_titles": np.array(good.model.pose_names)},
        {"model/pose.answer": np.full((150, 256), 1e30, np.float32)},
        {"domain/quantiles": good.domain.quantiles[:, ::-1]},
        {"domain/scores": good.domain.scores[::-1]},
        {"domain/far": np.array(-1.0)},
        {"domain/far": np.zeros(2)},
        {"domain/whitening": good.domain.whitening * 1j},
        *({"card": card_with(good, **{name: value})} for name, value in WRONG_FIELDS),
        {"card": np.frombuffer(b"[1]", np.uint8)},
    ]
    for changed in wrong:
        with pytest.raises(InputError, match=r"bad.cal: is n.* calibrator"):
            Calibrator.load(saved_with(good, tmp_path, **changed))
    assert Calibrator.load(saved_with(good, tmp_path)).card == good.card


class _Mark:
    """Unpickled, it leaves a mark."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_loading_runs_no_code(fitted, tmp_path) -> None:
    mark = tmp_path / "mark"
    pickled = pickle.dumps(np.array([_Mark(mark)], dtype=object))
    (tmp_path / "pickled.cal").write_bytes(pickled)
    packed = io.BytesIO()
    np.lib.format.write_array(packed, np.array([_Mark(mark)], dtype=object), allow_pickle=True)
    fitted.calibrator.save(tmp_path / "packed.cal")
    with zipfile.ZipFile(tmp_path / "packed.cal", "a") as archive:
        archive.writestr("model/more.npy", packed.getvalue())
    for name in ("pickled.cal", "packed.cal"):
        with pytest.raises(InputError, match="is not a calibrator"):
            Calibrator.load(tmp_path / name)
    assert not mark.exists()


def test_other_peoples_poses_are_refused(fitted) -> None:
    calibrator, poses = fitted.calibrator, made_up(30, 3)[1].poses
    with pytest.raises(InputError, match="poses have 14 keypoints, but the calibrator was fitted on 17"):
        calibrator(poses.take_keypoints(np.arange(14)))
    with pytest.raises(InputError, match=r"different skeletons, 'lsp14' \(14 keypoints\) and 'coco17' \(17\)"):
        calibrator(poses.take_keypoints(np.arange(14)), skeleton=LSP_14)
    renamed = Skeleton("mine", tuple(f"k{i}" for i in range(17)), ())
    message = r"'mine' \(17 keypoints\) and 'coco17' \(17\): keypoint 0 is 'k0' and 'nose'"
    with pytest.raises(InputError, match=message):
        calibrator(poses, skeleton=renamed)
    with pytest.raises(InputError, match=message):
        calibrator(replace(poses, skeleton=renamed))
    with pytest.raises(InputError, match="poses have no box"):
        calibrator(replace(poses, box=None))
    with pytest.raises(InputError, match=r"another estimator, or another scale"):
        calibrator(replace(poses, score=poses.score * 100))
    assert calibrator(poses, skeleton=COCO_17).quality is not None


def test_an_audit_notes_photos_used_for_fitting(fitted) -> None:
    truth, results = made_up(300, spurious=20)
    notes = audit_notes(fitted.calibrator, truth, results, "segment")
    assert len(notes) == 1 and "was fitted on 150 of these photos: these numbers are in-sample" in notes[0]
    other_truth, other = made_up(200, 1)
    notes = audit_notes(fitted.calibrator, other_truth, other, "box")
    assert notes[0].startswith(
        "100 of these photos have the same ids as photos that the calibrator was fitted on: if they"
    )
    assert "with area 'segment'" in notes[1]
    with pytest.raises(InputError, match="are not the 17"):
        audit_notes(fitted.calibrator, made_up(20, skeleton=BLAZEPOSE_33)[0], other, "segment")


def test_another_estimators_scores_are_reported_once_as_on_the_command_line(fitted, tmp_path: Path) -> None:
    fitted.calibrator.save(tmp_path / "one.cal")
    calibrator = Calibrator.load(tmp_path / "one.cal")
    _, own = made_up(200, seed=5)
    score = own.poses.score
    assert score is not None
    another = replace(own.poses, score=score**2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrator(own.poses)
        calibrator(another[:9])  # too few to tell
    expected = calibrator.shift(another).warnings()
    assert any("another estimator" in sentence for sentence in expected)
    with pytest.warns(DistributionShiftWarning) as caught:
        calibrator(another)
    assert [str(warning.message) for warning in caught] == expected
    assert calibrator.apply(another).warnings == tuple(expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrator(another)


def test_fewer_than_ten_people_are_not_compared(fitted) -> None:
    _, results = made_up(20, seed=5)
    assert results.poses.score is not None
    far = replace(results.poses, score=results.poses.score / 100)
    assert fitted.calibrator.apply(far[:9]).warnings == () != fitted.calibrator.apply(far[:10]).warnings


def test_discs_are_learnt_out_of_fold_and_stored_with_the_calibrator(fitted, tmp_path: Path) -> None:
    """A file without them, as of an earlier version, has the mixture's own."""
    model = fitted.calibrator.errors
    assert model is not None and 250 < model.people <= 300 and model.fitted_on.endswith("out of fold")
    fitted.calibrator.save(tmp_path / "new.cal")
    again = Calibrator.load(tmp_path / "new.cal")
    poses = again(replace(fitted.out_of_fold, skeleton=COCO_17))
    assert again.errors == model and poses.error_model == model
    error, plain = poses.expected_error(), replace(poses, error_model=None).expected_error()
    assert not np.allclose(error.radius(0.95), plain.radius(0.95), rtol=0.01)
    Calibrator.of(replace(fitted.calibrator, errors=None)).save(tmp_path / "old.cal")
    old = Calibrator.load(tmp_path / "old.cal")
    assert old.errors is None and old(fitted.out_of_fold).error_model is None
