"""The tracking section of an audit: when there is one, what counts, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.metrics.tracking_cases import sequence
from tests.tracking.cases import walking
from trustpose.evaluation.audit import audit
from trustpose.evaluation.tracking import FEWEST, tracking_draws
from trustpose.files import InputError
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.tracking import TrackFrame, clear_mot, hota, identity
from trustpose.report.page import page
from trustpose.skeletons import COCO_17

PEOPLE = walking([0, 300], [4, 4], 10)


def _files(**images: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Two people in ten frames, and results on them whose tracks are called 3 and 8, and are exchanged in frame 6."""
    annotations, rows = [], PEOPLE.to_coco()
    for index, row in enumerate(rows):
        xy, who = PEOPLE.xy[index], index % 2
        low, high = xy.min(axis=0), xy.max(axis=0)
        annotations.append({
            "id": index + 1, "image_id": row["image_id"], "category_id": 1, "iscrowd": 0, "area": 1e4, "track_id": who,
            "bbox": [*low.tolist(), *(high - low).tolist()], "keypoints": np.c_[xy, np.full(17, 2)].ravel().tolist(),
        })  # fmt: skip
        row["track_id"] = (3, 8)[who ^ (row["image_id"] >= 6)]
        del row["annotation_id"]
    frames = [{"id": number, **{name: column[number] for name, column in images.items()}} for number in range(10)]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    return {"images": frames, "annotations": annotations, "categories": [category]}, rows


def _audit(folder: Path, truth: dict[str, Any], results: list[dict[str, Any]]) -> Any:
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    return audit(folder / "gt.json", folder / "results.json", draws=0)


def test_an_exchange_is_two_switches(tmp_path: Path) -> None:
    tracking = _audit(tmp_path, *_files()).tracking
    assert (tracking.switches, tracking.misses, tracking.false_alarms, tracking.people, tracking.frames) == (
        2,
        0,
        0,
        20,
        10,
    )
    np.testing.assert_allclose(
        [tracking.MOTA, tracking.MOTP, tracking.IDF1, tracking.DetA, tracking.LocA], [0.9, 1, 0.6, 1, 1]
    )
    assert tracking.posetrack is None


def test_poses_of_no_track_are_no_tracker_s_answer(tmp_path: Path) -> None:
    """Each was a false alarm, so that a tracker could leave out nothing; a person without a track is still missed."""
    truth, results = _files()
    alone = [{name: value for name, value in row.items() if name != "track_id"} for row in results]
    doubtful = [row | {"keypoints": [keypoint + 150 for keypoint in row["keypoints"]]} for row in alone[::2]]
    tracking = _audit(tmp_path, truth, results + doubtful).tracking
    assert (tracking.false_alarms, tracking.misses, tracking.untracked, tracking.poses) == (0, 0, 10, 20)
    tracking = _audit(tmp_path, truth, alone[:4] + results[4:]).tracking
    assert (tracking.false_alarms, tracking.misses, tracking.untracked) == (0, 4, 4)


def test_without_track_ids_there_is_none(tmp_path: Path) -> None:
    truth, results = _files()
    for row in results:
        del row["track_id"]
    assert _audit(tmp_path, truth, results).as_dict()["tracking"] is None
    truth, results = _files()
    for row in truth["annotations"]:
        row["track_id"] = "a"  # as other data sets name them
    assert _audit(tmp_path, truth, results).tracking is None


def test_two_clips_share_no_track(tmp_path: Path) -> None:
    truth, results = _files(clip=["a"] * 6 + ["b"] * 4)
    tracking = _audit(tmp_path, truth, results).tracking
    assert (tracking.clips, tracking.switches, tracking.IDF1, tracking.HOTA) == (2, 0, 1, 1)


def test_poses_on_people_who_are_not_scored_do_not_count(tmp_path: Path) -> None:
    truth, results = _files()
    for row in truth["annotations"][1::2]:
        row |= {"keypoints": [0] * 51, "num_keypoints": 0}
        del row["track_id"]
    tracking = _audit(tmp_path, truth, results).tracking
    assert (tracking.people, tracking.poses, tracking.switches, tracking.false_alarms) == (10, 10, 1, 0)


def test_regions_and_frames_without_labels_do_not_count(tmp_path: Path) -> None:
    truth, results = _files()
    truth["annotations"] = truth["annotations"][::2]
    for image in truth["images"]:
        image |= {"ignore_regions_x": [[250, 500, 500, 250]], "ignore_regions_y": [[-50, -50, 300, 300]]}
    truth["images"][0]["is_labeled"] = False
    tracking = _audit(tmp_path, truth, results).tracking
    assert (tracking.people, tracking.poses, tracking.frames, tracking.false_alarms) == (9, 9, 9, 0)


def test_draws_of_clips_are_the_numbers_of_these_clips() -> None:
    """Each draw against the metrics of the drawn clips, the second copy of a clip having other ids."""
    clips = [sequence(seed, frames=6, people=3) for seed in range(FEWEST)]
    frames, clip = [one for clip in clips for one in clip], np.repeat(np.arange(FEWEST), 6)
    draws = tracking_draws(frames, clip, 4, seed=1)
    for index, counts in enumerate(resample_counts(FEWEST, 4, 1)):
        drawn = [
            TrackFrame(one.truth_id + 10_000 * copy, one.track_id + 10_000 * copy, one.similarity)
            for clip, count in zip(clips, counts.tolist(), strict=True)
            for copy in range(count)
            for one in clip
        ]
        same, clear = identity(drawn), clear_mot(drawn)
        expected = hota(drawn).means() | {"IDF1": same.idf1, "IDP": same.precision, "IDR": same.recall}
        expected |= {"MOTA": clear.mota, "MOTP": clear.motp}
        assert expected.keys() == draws.keys()
        np.testing.assert_allclose([draws[name][index] for name in expected], list(expected.values()), rtol=1e-9)
    assert tracking_draws(frames[:24], clip[:24], 4, seed=1) == {}


def test_intervals_and_the_page(tmp_path: Path) -> None:
    truth, results = _files(clip=["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"])
    for row in results:
        row["track_id"] = (3, 8)[row["image_id"] % 2] if row["keypoints"][0] < 150 else 5
    for name, rows in (("gt", truth), ("results", results)):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    found = [audit(tmp_path / "gt.json", tmp_path / "results.json", draws=20)]
    (tmp_path / "others.json").write_text(json.dumps([row | {"track_id": 5} for row in results[::2]]))
    found.append(audit(tmp_path / "gt.json", tmp_path / "others.json", draws=20))
    low, high = found[0].intervals["tracking.HOTA"]
    assert 0 < low <= found[0].tracking.HOTA <= high <= 1
    for html in (page(found[:1]), page(found)):
        assert "Following people from frame to frame" in html and "tracking.switches" in html
    truth["images"] = [{"id": index} for index in range(10)]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    record = audit(tmp_path / "gt.json", tmp_path / "results.json", draws=20)
    assert "tracking.HOTA" not in record.intervals
    assert "tracking.*: no intervals, as they resample clips and there are 1, fewer than 5" in record.notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda truth, _: truth["annotations"][3].pop("track_id"), "annotation 4: field 'track_id' is missing"),
        (lambda truth, _: truth["annotations"][3].update(track_id=0), "gt.json: image 1: track_id 0 occurs twice"),
        (lambda _, results: results[3].update(track_id=3), "results.json: image 1: track_id 3 occurs twice"),
        (lambda truth, _: [image.update(time=0.5) for image in truth["images"]], "images 0 and 1 are both time 0.5"),
        (lambda truth, _: truth["images"][2].update(ignore_regions_x=[[1]]), "image 2: field 'ignore_regions_x'"),
        (lambda truth, _: truth["annotations"][2].update(bbox_head=[1, 2, 0, 4]), "annotation 2: field 'bbox_head'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, change: Any, message: str) -> None:
    truth, results = _files()
    change(truth, results)
    with pytest.raises(InputError, match=message):
        _audit(tmp_path, truth, results)
