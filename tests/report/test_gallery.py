"""The gallery: the selected poses, missing photos, and the drawings."""

import base64
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from tests.report.cases import make_audit
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.files import InputError
from trustpose.report.gallery import KINDS, MIN_LABELS, PANEL, examples, gallery, trust_gap


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return make_audit(tmp_path_factory.mktemp("audit"), 24)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(12):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((240, 320, 3), 120, np.uint8))
    return folder


def decode(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    return image


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_ranks_are_scipys(rows: list[tuple[int, int]]) -> None:
    score, oks = np.array(rows, dtype=float).T
    by_score, by_oks = trust_gap(score, oks)
    np.testing.assert_allclose(by_score, (rankdata(score) - 1) / (len(score) - 1))
    np.testing.assert_allclose(by_oks, (rankdata(oks) - 1) / (len(oks) - 1))


def test_the_worst_come_first_and_no_scale_matters(record: Audit, photos: Path) -> None:
    shown = gallery(record, photos, max_pictures=4)
    gaps = [picture.score_rank - picture.oks_rank for picture in shown.pictures[0]]
    assert len(gaps) == 4
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0
    under = [one.score_rank - one.oks_rank for one in shown.pictures[-1]]
    assert under == sorted(under)
    assert under[0] < 0
    stretched = replace(record, details=replace(record.details, pose_score=np.exp(5 * record.details.pose_score)))
    again = gallery(stretched, photos, max_pictures=4)
    assert [picture.oks for picture in again.pictures[0]] == [picture.oks for picture in shown.pictures[0]]


def test_pictures_fit_their_panel_and_differ(record: Audit, photos: Path) -> None:
    for picture in gallery(record, photos).pictures[0]:
        predicted, labelled = decode(picture.predicted), decode(picture.labelled)
        assert predicted.shape == labelled.shape == (picture.height, picture.width, 3)
        assert picture.width <= PANEL[0]
        assert picture.height <= PANEL[1]
        assert np.abs(predicted.astype(int) - 120).max() > 60, "nothing is drawn"
        assert np.abs(predicted.astype(int) - labelled.astype(int)).max() > 60


def test_a_keypoint_on_the_spot_is_blue_and_one_far_off_vermilion(record: Audit, photos: Path) -> None:
    row = 0
    details = record.details
    pose, person = int(details.measured[row]), int(details.person[details.measured[row]])
    for value, channel in ((1.0, 2), (0.0, 0)):
        poses = replace(details.poses, xy=details.truth.xy[details.person].copy())
        opks = np.full_like(details.opks, value)
        changed_details = replace(details, poses=poses, opks=opks, labelled=np.ones_like(details.labelled))
        score = np.zeros(len(details.pose_score))
        score[pose] = 1.0
        oks = np.ones(len(details.oks))
        oks[pose] = 0.0
        picture = gallery(
            replace(record, details=replace(changed_details, pose_score=score, oks=oks)), photos, max_pictures=1
        ).pictures[0][0]
        image = decode(picture.predicted).astype(int)
        strong = image[np.abs(image - 120).max(axis=2) > 80]
        coloured = strong[np.ptp(strong, axis=1) > 80]
        assert len(coloured) > 20, person
        assert np.median(coloured[:, channel] - coloured[:, 2 - channel]) > 60


def test_missing_keypoints_are_neither_drawn_nor_in_the_cut_out(record: Audit, photos: Path) -> None:
    shown = []
    for value in (0.0, 300.0):
        xy, missing = record.details.poses.xy.copy(), np.zeros(record.details.poses.xy.shape[:2], dtype=bool)
        xy[:, 3], missing[:, 3] = value, True
        poses = replace(record.details.poses, xy=xy, missing=missing)
        shown.append(gallery(replace(record, details=replace(record.details, poses=poses)), photos))
    assert shown[0] == shown[1]
    whole = replace(record.details.poses, xy=xy)
    assert gallery(replace(record, details=replace(record.details, poses=whole)), photos) != shown[0]


def test_missing_broken_and_outside_photos_are_reported(record: Audit, photos: Path, tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i}.png").write_bytes((photos / f"{i}.png").read_bytes())
    everything = gallery(record, tmp_path, max_pictures=24)
    assert not everything.missing
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").write_bytes(b"no image")
    (tmp_path / "2.png").write_bytes(b"")
    names = {**record.details.file_names, 3: f"../{photos.name}/3.png", 4: "a\0b.png"}
    del names[5]
    shown = gallery(replace(record, details=replace(record.details, file_names=names)), tmp_path, max_pictures=24)
    expected = {"0.png", "1.png", "2.png", f"../{photos.name}/3.png", "a\0b.png", "image 5, which has no file name"}
    assert set(shown.missing) == expected
    assert 0 < sum(map(len, shown.pictures)) < sum(map(len, everything.pictures))


def test_no_photo_at_all_is_an_empty_gallery_and_no_folder_an_error(record: Audit, tmp_path: Path) -> None:
    shown = gallery(record, tmp_path)
    assert not any(shown.pictures)
    assert len(shown.missing) == 12
    with pytest.raises(InputError, match="no such folder"):
        gallery(record, tmp_path / "nowhere")


def test_poses_far_outside_their_photo_are_drawn_without_harm(record: Audit, photos: Path) -> None:
    far = replace(record.details.poses, xy=record.details.poses.xy + 1e7)
    shown = gallery(replace(record, details=replace(record.details, poses=far)), photos)
    assert shown.pictures[0]


def test_real_photos(data_dir: Path) -> None:
    real = audit(data_dir / "coco" / "dev_gt.json", data_dir / "results" / "simplepose.dev.json", draws=0)
    shown = gallery(real, data_dir / "coco" / "dev")
    assert not shown.missing
    assert [len(picture) for picture in shown.pictures] == [6, 3, 3, 3, 3]
    over, under = shown.pictures[0], shown.pictures[-1]
    assert max(one.oks for one in over) < min(one.oks for one in under)
    assert min(one.score for one in over) > max(one.score for one in under)
    every = [one for picture in shown.pictures for one in picture]
    assert min(one.keypoints for one in every) >= MIN_LABELS
    assert len({one.predicted for one in every}) == len(every), "each pose once"
    for picture in shown.pictures[1:-1]:
        assert all(one.wrong for one in picture) and max(one.oks for one in picture) < 0.7


def _with_errors(record: Audit) -> Audit:
    """The same poses on the spot, but 0 has left and right confused, 1 lies on 0's person, beside it, and 2 nowhere."""
    details = record.details
    xy = details.truth.xy[details.person].astype(float)
    flip = np.arange(17)
    for left, right in details.flip_pairs:
        flip[left], flip[right] = right, left
    xy[0], xy[1], xy[2] = xy[0][flip], details.truth.xy[details.person[0]], xy[2] + 500
    opks = np.where(details.labelled, 1.0, 0.0)
    opks[:3] = 0
    poses = replace(details.poses, xy=xy)
    return replace(record, details=replace(details, poses=poses, opks=opks, oks=np.where(np.arange(24) < 3, 0.0, 1.0)))


def test_each_kind_of_error_has_its_examples(tmp_path: Path, photos: Path) -> None:
    wrong = _with_errors(make_audit(tmp_path, 24, v=(1, 2)))
    assert (wrong.details.measured == np.arange(24)).all() and (wrong.details.person == np.arange(24)).all()
    found = examples(wrong)
    assert [order[0] for order in found.orders[1:-1]] == [0, 1, 2]
    low = np.full(24, 0.5)
    low[:3] = 0.1  # so that the gallery has not shown them before
    shown = gallery(replace(wrong, details=replace(wrong.details, pose_score=low)), photos)
    inverted, swapped, missed = (picture[0].wrong for picture in shown.pictures[1:-1])
    assert "both hips" in inverted and "nose" not in inverted
    assert swapped == missed == "all keypoints"
    names = ("Left and right confused (inversion)", "On somebody else (swap)", "Nowhere near (miss)")
    assert tuple(kind.title for kind in KINDS[1:-1]) == names


def test_people_with_few_labels_only_where_there_are_no_others(record: Audit) -> None:
    details = _with_errors(record).details
    few = details.labelled.copy()
    few[[0, 5], 2:] = False  # two labels at most
    orders = examples(replace(record, details=replace(details, labelled=few))).orders
    every = examples(replace(record, details=details)).orders
    assert [5 in order for order in (orders[0], orders[-1], every[0], every[-1])].count(True) == 1
    few[:, 2:] = False
    none = examples(replace(record, details=replace(details, labelled=few))).orders
    assert [order.tolist() for order in none] == [order.tolist() for order in every]


def test_left_and_right_look_different_in_both_pictures(record: Audit, photos: Path) -> None:
    mirrored = replace(record, details=replace(record.details, flip_pairs=()))
    for picture, second_picture in zip(
        gallery(record, photos).pictures[0], gallery(mirrored, photos).pictures[0], strict=True
    ):
        assert picture.predicted != second_picture.predicted and picture.labelled != second_picture.labelled
