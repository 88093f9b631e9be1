"""People on whom several files differ: the selection, and their pictures."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.report.cases import make_audit
from tests.report.test_gallery import decode
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.io.coco.truth import read_coco_truth
from trustpose.report.comparison import MIN_KEYPOINTS, versus


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(12):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((240, 320, 3), 120, np.uint8))
    return folder


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return make_audit(tmp_path_factory.mktemp("audit"), 24)


def spoilt(record: Audit, people: list[int]) -> Audit:
    """The same audit with the poses of these people far off."""
    xy, oks, opks = record.details.poses.xy.copy(), record.details.oks.copy(), record.details.opks.copy()
    rows = np.flatnonzero(np.isin(record.details.person, people))
    xy[rows] += 60
    oks[rows] = 0
    opks[np.isin(record.details.measured, rows)] = 0
    return replace(
        record, details=replace(record.details, poses=replace(record.details.poses, xy=xy), oks=oks, opks=opks)
    )


def test_each_file_is_shown_where_it_is_furthest_behind(record: Audit, photos: Path) -> None:
    best = np.argsort(-record.details.oks)[:4]
    people = record.details.person[best].tolist()
    comparisons = versus([spoilt(record, people[:2]), spoilt(record, people[2:])], photos)
    assert comparisons is not None
    assert [len(worst) for worst in comparisons.worst] == [2, 2], "no other person differs"
    for index, worst in enumerate(comparisons.worst):
        expected = sorted(record.details.oks[best[2 * index : 2 * index + 2]].tolist(), reverse=True)
        assert [one.poses[1 - index].oks for one in worst] == pytest.approx(expected)
        assert [one.poses[index].oks for one in worst] == [0, 0]
    assert comparisons.differ == 4
    assert comparisons.people == int(((record.details.truth.v > 0).sum(axis=1) >= MIN_KEYPOINTS).sum())


def test_pictures_of_a_person_are_cut_alike_and_coloured_by_opks(record: Audit, photos: Path) -> None:
    person = int(record.details.person[np.argmax(record.details.oks)])
    comparisons = versus([record, spoilt(record, [person])], photos)
    assert comparisons is not None
    (shown,) = comparisons.worst[1]
    pictures = [decode(uri).astype(int) for uri in (shown.labelled, *(pose.picture for pose in shown.poses))]
    assert {picture.shape for picture in pictures} == {(shown.height, shown.width, 3)}
    redder = [int(((picture[..., 0] - picture[..., 2]) > 80).sum()) for picture in pictures]
    assert redder[2] > 20 > redder[0], "far off: vermilion"


def test_only_people_that_all_files_have_and_files_that_can_be_compared(record: Audit, photos: Path) -> None:
    assert versus([record], photos) is None
    truth = {**record.inputs["ground_truth"], "sha256": "other"}
    assert versus([record, replace(record, inputs={**record.inputs, "ground_truth": truth})], photos) is None
    assert versus([record, record], photos) is not None
    fewer = replace(record.details, person=np.where(record.details.person == 3, -1, record.details.person))
    rows = record.details.person[record.details.measured] != 3
    options = {name: getattr(fewer, name)[rows] for name in ("measured", "keypoint_score", "opks", "labelled")}
    fewer = replace(fewer, **options)
    comparisons = versus([record, replace(record, details=fewer)], photos)
    whole = versus([record, record], photos)
    assert comparisons is not None and whole is not None
    assert whole.people - comparisons.people == int((record.details.truth.v[3] > 0).sum() >= MIN_KEYPOINTS)


def test_missing_photos_are_reported(record: Audit, tmp_path: Path) -> None:
    person = int(record.details.person[np.argmax(record.details.oks)])
    comparisons = versus([record, spoilt(record, [person])], tmp_path)
    assert comparisons is not None
    assert comparisons.worst == ((), ())
    assert len(comparisons.missing) == 1


def test_real_results(data_dir: Path) -> None:
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    names = ("simplepose_flip.dev.json", "movenet-thunder.dev.json")
    comparisons = versus(
        [audit(truth, data_dir / "results" / name, draws=0) for name in names], data_dir / "coco" / "dev"
    )
    assert comparisons is not None
    assert [len(worst) for worst in comparisons.worst] == [3, 3]
    assert comparisons.people == 889
    for index, worst in enumerate(comparisons.worst):
        for one in worst:
            assert one.poses[1 - index].oks - one.poses[index].oks > 0.5
            assert one.keypoints >= MIN_KEYPOINTS
