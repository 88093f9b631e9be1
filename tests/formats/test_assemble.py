"""Photos get their ids and sizes, keypoints the order of a ground truth, and what is lost is said."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats import samples
from trustpose.files import InputError
from trustpose.formats.coco import TruthFile, read_results, read_truth, write_results
from trustpose.formats.pose_files import Assembled, FoundPoses, Photos, assemble, find_files, read_pose_files
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, LSP_14, OPENPOSE_BODY_25, OPENPOSE_COCO_18, OPENPOSE_MPI_15, Skeleton

PEOPLE = samples.people()
FIRST = next(iter(samples.PHOTOS))
LABELS = samples.ultralytics_labels(PEOPLE, 640, 425)


def truth(folder: Path, keypoints: tuple[str, ...] = COCO_17.keypoints, **changes: Any) -> TruthFile:
    return read_truth(samples.write(folder / "gt" / "gt.json", samples.ground_truth(keypoints) | changes))


def gather(sources: Path | list[Path], photos: Photos, **options: Any) -> Assembled:
    tool, found = read_pose_files(find_files([sources] if isinstance(sources, Path) else sources))
    return assemble(found, photos, tool=tool, **options)


def image_ids(done: Assembled) -> list[int]:
    assert done.poses.image_id is not None
    return done.poses.image_id.tolist()


@pytest.mark.parametrize("with_truth", [True, False])
def test_names_of_files_and_photos_become_ids(tmp_path: Path, with_truth: bool) -> None:
    photos = Photos(truth(tmp_path) if with_truth else None)
    for name in samples.PHOTOS:
        stem = Path(name).stem
        samples.write(tmp_path / "mm" / f"{stem}.json", samples.mmpose_instances(PEOPLE))
        frame = samples.openpose_frame(samples.people(skeleton=OPENPOSE_BODY_25))
        samples.write(tmp_path / "op" / f"{stem}_keypoints.json", frame)
    results = [row for name in samples.PHOTOS for row in samples.alphapose_results(PEOPLE, f"photos/{name}")]
    samples.write(tmp_path / "ap" / "alphapose-results.json", results)
    for folder in ("mm", "op", "ap"):
        done = gather(tmp_path / folder, photos)
        assert sorted(image_ids(done)) == [785, 785, 40083, 40083]
        assert done.photo_count == 2


def test_the_ground_truth_names_photos_by_its_file_names(tmp_path: Path) -> None:
    images = [{"id": 5, "file_name": "train/street.v2.jpg"}, {"id": 6, "file_name": "bus.png"}, {"id": 12}]
    photos = Photos(truth(tmp_path, images=images))
    samples.write(tmp_path / "street.v2.json", samples.mmpose_instances(PEOPLE))
    samples.write(tmp_path / "bus.json", samples.mmpose_instances(PEOPLE))
    assert sorted(image_ids(gather(tmp_path, photos))) == [5, 5, 6, 6]
    rows = samples.alphapose_results(PEOPLE, "bus.jpg")  # another suffix
    assert image_ids(gather(samples.write(tmp_path / "a" / "a.json", rows), photos)) == [6, 6]
    rows = [{"image_id": 123, "file_name": "street.v2.jpg", "category_id": 1, "keypoints": flat, "score": 1}
            for flat in samples.triplets(PEOPLE)]  # fmt: skip
    path = samples.write(tmp_path / "p" / "predictions.json", rows)
    assert image_ids(gather(path, photos)) == [5, 5]
    assert image_ids(gather(path, Photos())) == [123, 123]


@pytest.mark.parametrize("relative", ["labels", "json"])
@pytest.mark.parametrize("from_photo", [True, False])
def test_shares_of_the_photo_become_pixels(tmp_path: Path, relative: str, from_photo: bool) -> None:
    if from_photo:
        (tmp_path / "photos").mkdir()
        cv2.imwrite(str(tmp_path / "photos" / FIRST), np.zeros((425, 640, 3), np.uint8))
        photos = Photos(None, tmp_path / "photos")
    else:
        photos = Photos(truth(tmp_path))
    stem = Path(FIRST).stem
    if relative == "labels":
        path = samples.write(tmp_path / "in" / f"{stem}.txt", samples.ultralytics_labels(PEOPLE, 640, 425))
    else:
        assert PEOPLE.box is not None
        shares = replace(PEOPLE, xy=PEOPLE.xy / (640, 425), box=PEOPLE.box / (640, 425, 640, 425))
        path = samples.write(tmp_path / "in" / f"{stem}.json", samples.ultralytics_detections(shares))
    done = gather(path, photos)
    np.testing.assert_allclose(done.poses.xy, PEOPLE.xy, atol=2e-3)
    np.testing.assert_allclose(done.poses.box, PEOPLE.box, atol=2e-3)
    np.testing.assert_allclose(done.score, PEOPLE.pose_score, atol=1e-6)
    with pytest.raises(InputError, match="coordinates are shares of the photo, whose size is needed: --images"):
        gather(path, Photos())
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=f"photo '{stem}' is not in"):
        gather(path, Photos(None, tmp_path / "none"))


@pytest.mark.parametrize("skeleton", [OPENPOSE_BODY_25, OPENPOSE_COCO_18], ids=lambda one: one.name)
def test_keypoints_are_put_in_the_ground_truths_order(tmp_path: Path, skeleton: Skeleton) -> None:
    poses = samples.people(skeleton=skeleton)
    path = samples.write(tmp_path / f"{Path(FIRST).stem}_keypoints.json", samples.openpose_frame(poses))
    done = gather(path, Photos(truth(tmp_path)))
    assert done.skeleton is COCO_17
    for k, name in enumerate(COCO_17.keypoints):
        np.testing.assert_array_equal(done.poses.xy[:, k], poses.xy[:, skeleton.keypoints.index(name)])
    left_out = [note for note in done.notes if note.startswith("keypoints that the ground truth lacks, left out: neck")]
    assert len(left_out) == 1
    own = gather(path, Photos())
    assert own.skeleton is skeleton
    np.testing.assert_array_equal(own.poses.xy, poses.xy)


def test_keypoints_that_a_tool_lacks_are_an_error_or_zeros(tmp_path: Path) -> None:
    poses = samples.people(skeleton=OPENPOSE_MPI_15)
    path = samples.write(tmp_path / f"{Path(FIRST).stem}_keypoints.json", samples.openpose_frame(poses))
    photos = Photos(truth(tmp_path))
    with pytest.raises(InputError, match=r"lack nose, left_eye, right_eye, left_ear, right_ear of .* --fill-missing"):
        gather(path, photos)
    done = gather(path, photos, fill_missing=True)
    assert done.poses.score is not None
    np.testing.assert_array_equal(done.poses.xy[:, :5], 0)
    np.testing.assert_array_equal(done.poses.score[:, :5], 0)
    np.testing.assert_array_equal(done.poses.xy[:, 5], poses.xy[:, OPENPOSE_MPI_15.keypoints.index("left_shoulder")])
    assert any("written as 0, 0, 0: nose" in note for note in done.notes)
    assert done.poses.missing is not None
    np.testing.assert_array_equal(done.poses.missing, np.arange(17)[None].repeat(len(done.poses), 0) < 5)


def test_what_neither_file_nor_tool_says_comes_from_the_truth_or_the_user(tmp_path: Path) -> None:
    poses = samples.people(skeleton=LSP_14)
    path = samples.write(tmp_path / f"{Path(FIRST).stem}.json", samples.mmpose_instances(poses))
    assert gather(path, Photos()).skeleton.name == "unnamed14"
    assert gather(path, Photos(truth(tmp_path, LSP_14.keypoints))).skeleton is LSP_14
    photos = Photos(truth(tmp_path))
    with pytest.raises(InputError, match=r"\(keypoint_0, .* and 8 more\) is called .*\(nose, .*\); --skeleton"):
        gather(path, photos)
    done = gather(path, photos, skeleton=LSP_14, fill_missing=True)
    np.testing.assert_array_equal(done.poses.xy[:, 16], poses.xy[:, 0])  # the right ankle
    with pytest.raises(InputError, match="has 14 keypoints, and --skeleton coco17 17"):
        gather(path, photos, skeleton=COCO_17)


@pytest.mark.parametrize(("count", "name"), [(133, "coco_wholebody133"), (136, "halpe136")])
def test_bodies_among_faces_and_hands(tmp_path: Path, count: int, name: str) -> None:
    random = np.random.default_rng(0)
    poses = Poses(xy=random.uniform(2, 400, (1, count, 2)), score=random.random((1, count)), pose_score=np.ones(1))
    poses = replace(poses, box=poses.keypoint_box())
    path = samples.write(tmp_path / f"{Path(FIRST).stem}.json", samples.mmpose_instances(poses))
    assert gather(path, Photos()).skeleton.name == name
    done = gather(path, Photos(truth(tmp_path)))
    np.testing.assert_array_equal(done.poses.xy, poses.xy[:, :17])  # both lists begin with COCO's keypoints


def test_lost_points_are_counted(tmp_path: Path) -> None:
    xy = PEOPLE.xy.copy()
    xy[0, 3], xy[1, :4] = 0, 0
    score = np.where(np.arange(17) < 3, 0.4, 0.6)[None].repeat(2, axis=0)
    dropped = replace(PEOPLE, xy=xy, score=score)
    path = samples.write(tmp_path / "7.json", samples.ultralytics_detections(dropped))
    done = gather(path, Photos())
    np.testing.assert_array_equal(done.poses.xy, xy)
    np.testing.assert_array_equal(done.poses.score, score)  # as it was printed
    assert done.notes[0].startswith("3 of 34 keypoints are at 0, 0: they count as missing; some releases move those")
    assert done.notes[1] == "2 of 34 keypoints are at 0, 0 with a score: they count as found there"
    expected = (xy == 0).all(axis=2) & (score < 0.5)
    labels = samples.ultralytics_labels(dropped, 640, 425)
    labelled = gather(samples.write(tmp_path / "labels" / f"{Path(FIRST).stem}.txt", labels), Photos(truth(tmp_path)))
    for found in (done.poses, labelled.poses):
        np.testing.assert_array_equal(found.missing, expected)
    write_results(tmp_path / "results.json", done.poses, score=done.score)
    read = read_results(tmp_path / "results.json").poses  # 0, 0, 0.4 does not say it: a field does
    np.testing.assert_array_equal(read.missing, expected)
    done = gather(samples.write(tmp_path / "clip.csv", samples.DEEPLABCUT_MULTI), Photos())
    assert "1 of 10 keypoints are blank in the files: they count as missing and become 0, 0 with score 0" in done.notes
    assert done.poses.missing is not None
    assert np.argwhere(done.poses.missing).tolist() == [[3, 1]]
    assert done.poses.score is not None
    np.testing.assert_array_equal(done.poses.xy[3, 1], 0)
    assert done.poses.score[3, 1] == 0
    assert done.score.tolist() == [(0.97 + 0.5) / 2, (0.25 + 1) / 2, (0.75 + 0.125) / 2, 0.25, 0.625]


def test_people_of_hands_only_are_counted(tmp_path: Path) -> None:
    frame = samples.openpose_frame(samples.people(skeleton=OPENPOSE_BODY_25))
    hands = {"pose_keypoints_2d": [], "hand_left_keypoints_2d": [1, 2, 0.5]}
    samples.write(tmp_path / "1_keypoints.json", frame | {"people": [*frame["people"], hands]})
    samples.write(tmp_path / "2_keypoints.json", {"people": [hands, hands]})
    done = gather(tmp_path, Photos())
    assert "people without keypoints of a body, left out: 3" in done.notes
    assert len(done.poses) == 2
    assert done.photo_count == 1


def test_one_photo_in_two_files_is_refused(tmp_path: Path) -> None:
    files = [samples.write(tmp_path / name / "7.json", samples.mmpose_instances(PEOPLE)) for name in ("a", "b")]
    with pytest.raises(InputError, match=r"b/7\.json: has people of image 7, and so has .*a/7\.json; give each once"):
        gather(files, Photos())
    rows = samples.alphapose_results(PEOPLE, FIRST) + samples.alphapose_results(PEOPLE, Path(FIRST).stem + ".png")
    path = samples.write(tmp_path / "c" / "alphapose-results.json", rows)
    with pytest.raises(InputError, match=r"photos '000000000785\.jpg' and '000000000785\.png' are both image 785"):
        gather(path, Photos(truth(tmp_path)))


@pytest.mark.parametrize(
    ("files", "ids", "is_counted"),
    [
        (["000000000012_keypoints", "000000000003_keypoints"], [12, 3], False),
        (["video_000000000012_keypoints", "video_000000000003_keypoints"], [12, 3], False),
        (["cam01.0012", "cam01.0003"], [12, 3], False),
        (["cam01.0012_keypoints", "cam01.0003_keypoints"], [12, 3], False),
        (["cam_01", "cam_12"], [1, 12], False),
        (["frame12", "frame3"], [12, 3], False),
        (["samsung-neon", "demo", "Zoo"], [3, 2, 1], True),  # by code point: capitals first
        (["demo", "7"], [2, 1], True),
        (["left_7", "right_7"], [1, 2], True),
        (["cam01.0000", "cam02.0000", "cam01.0001"], [1, 3, 2], True),
        (["1234567890123456789", "2"], [1, 2], True),  # beyond 64 bits
    ],
)
def test_ids_come_from_the_numbers_in_names_or_photos_are_counted(
    tmp_path: Path, files: list[str], ids: list[int], is_counted: bool
) -> None:
    frame = samples.openpose_frame(samples.people(1, skeleton=OPENPOSE_BODY_25))
    paths = [samples.write(tmp_path / f"{name}.json", frame) for name in files]
    done = gather(paths, Photos())
    assert image_ids(done) == ids
    names = [name.removesuffix("_keypoints") for name in files]
    assert done.counted == (dict(zip(names, ids, strict=True)) if is_counted else {})
    images = [{"id": 70 + i, "file_name": f"{name}.jpg"} for i, name in enumerate(names)]
    of_truth = gather(paths, Photos(truth(tmp_path, images=images)))
    assert image_ids(of_truth) == [70 + i for i in range(len(files))]
    assert of_truth.counted == {}


def test_photos_of_nobody_are_counted_too(tmp_path: Path) -> None:
    """So that ids do not hang on who was found."""
    people = samples.mmpose_instances(PEOPLE)
    names = ("beach", "empty", "street")
    for name in names:
        samples.write(tmp_path / "mm" / f"{name}.json", [] if name == "empty" else people)
        samples.write(tmp_path / "ul" / f"{name}.txt", "" if name == "empty" else LABELS)
        frame = samples.openpose_frame(samples.people(skeleton=OPENPOSE_BODY_25))
        samples.write(tmp_path / "op" / f"{name}_keypoints.json", {"people": []} if name == "empty" else frame)
    (tmp_path / "photos").mkdir()
    for name in names:
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), np.zeros((425, 640, 3), np.uint8))
    for folder in ("mm", "ul", "op"):
        done = gather(tmp_path / folder, Photos(None, tmp_path / "photos"))
        assert done.counted == {"beach": 1, "empty": 2, "street": 3}
        assert image_ids(done) == [1, 1, 3, 3]
    rows = [{"image_id": i, "category_id": 1, "keypoints": flat, "score": 1}
            for i, flat in enumerate(samples.triplets(PEOPLE))]  # fmt: skip
    files = [samples.write(tmp_path / "c" / "a.json", rows), samples.write(tmp_path / "c" / "b.json", [])]
    assert gather(files, Photos()).counted == {}  # ids of their own


def test_classes_are_told_apart(tmp_path: Path) -> None:
    detections = samples.ultralytics_detections(PEOPLE)
    detections[1]["class"] = 16
    path = samples.write(tmp_path / "7.json", detections)
    with pytest.raises(InputError, match=r"7\.json: the files hold several classes \(0, 16\); --class says"):
        gather(path, Photos())
    np.testing.assert_array_equal(gather(path, Photos(), category=16).poses.xy, PEOPLE.xy[1:])
    with pytest.raises(InputError, match="--class: 3 is not in the files, which hold 0, 16"):
        gather(path, Photos(), category=3)


def test_photos_and_ids_that_cannot_be_known_are_refused(tmp_path: Path) -> None:
    photos = Photos(truth(tmp_path))
    instances = samples.mmpose_instances(PEOPLE)
    cases = [
        ("bus", instances, photos, r"photo 'bus' is not among the images of .* \(by file_name\)"),
        ("clip", [{"frame_id": 3, "instances": instances}], photos, r"image 3 is not .*\(by id\)"),
        ("1", [], Photos(), "no poses in the files given: nobody was found"),
    ]
    for name, value, chosen, message in cases:
        with pytest.raises(InputError, match=message):
            gather(samples.write(tmp_path / name / f"{name}.json", value), chosen)
    same = [{"id": 1, "file_name": "a/bus.jpg"}, {"id": 2, "file_name": "b/bus.png"}]
    path = samples.write(tmp_path / "x" / "bus.json", samples.mmpose_instances(PEOPLE))
    with pytest.raises(InputError, match="photo 'bus' may be any of 2 images"):
        gather(path, Photos(truth(tmp_path, images=same)))
    with pytest.raises(InputError, match="no such directory, --images expects"):
        Photos(None, tmp_path / "nowhere")


def test_files_with_different_columns_join(tmp_path: Path) -> None:
    samples.write(tmp_path / "1.txt", samples.ultralytics_labels(PEOPLE, 640, 425))
    samples.write(tmp_path / "2.txt", samples.ultralytics_labels(PEOPLE, 640, 425, with_confidence=False))
    samples.write(tmp_path / "3.txt", "")
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 425} for i in (1, 2, 3)]
    done = gather(tmp_path, Photos(truth(tmp_path, images=images)))
    assert PEOPLE.score is not None and PEOPLE.pose_score is not None and done.poses.pose_score is not None
    np.testing.assert_allclose(done.score, [*PEOPLE.pose_score, *PEOPLE.score.mean(axis=1)], atol=1e-6)
    assert np.isnan(done.poses.pose_score).tolist() == [False, False, True, True]
    samples.write(tmp_path / "other" / "1.json", samples.mmpose_instances(PEOPLE))
    samples.write(tmp_path / "other" / "2.json", samples.mmpose_instances(samples.people(skeleton=LSP_14)))
    with pytest.raises(InputError, match=r"2\.json: has poses of 14 keypoints, and .*1\.json of 17; convert"):
        gather(tmp_path / "other", Photos())


def test_a_record_needs_names_or_numbers() -> None:
    with pytest.raises(ValueError, match="expected photo or poses"):
        FoundPoses("a", PEOPLE)
    with pytest.raises(ValueError, match="expected 2 names, got 1"):
        FoundPoses("a", PEOPLE, photo=("b",))


COORDS = ("x", "y", "likelihood")
PIXELS = st.floats(-50, 2000).map(lambda number: round(number, 3))


@st.composite
def coco_people(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """xy (N, 17, 2) and scores (N, 17)."""
    count = draw(st.integers(1, 3))
    xy = draw(st.lists(PIXELS, min_size=count * 34, max_size=count * 34))
    score = draw(st.lists(st.floats(0, 1), min_size=count * 17, max_size=count * 17))
    xy[0] = 3.0  # all within 1 would be taken for shares
    return np.reshape(xy, (count, 17, 2)), np.reshape(score, (count, 17))


def deeplabcut_csv(poses: Poses) -> str:
    """The people as individuals of frame 7, floats in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [(f"person{i}", name, coord) for i in range(len(poses)) for name in COCO_17.keypoints for coord in COORDS]
    writer.writerow(["scorer", *["DLC"] * len(columns)])
    for at, title in enumerate(("individuals", "bodyparts", "coords")):
        writer.writerow([title, *[column[at] for column in columns]])
    writer.writerow([7, *np.ravel(samples.triplets(poses)).tolist()])
    return text.getvalue()


@settings(max_examples=30)
@given(coco_people())
def test_every_format_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, people) -> None:
    poses = Poses(*people)
    folder = tmp_path_factory.mktemp("formats")
    body_25 = COCO_17.index_in(OPENPOSE_BODY_25, missing="mark")
    as_body_25 = poses.take_keypoints(body_25)
    assert as_body_25.score is not None
    as_body_25 = replace(as_body_25, xy=np.nan_to_num(as_body_25.xy), score=np.nan_to_num(as_body_25.score))
    corners = np.concatenate([poses.xy.min(axis=1), poses.xy.max(axis=1) + 5], axis=1)
    boxed = replace(poses, box=corners, pose_score=np.full(len(poses), 0.5))
    files = {
        "mm/7.json": samples.mmpose_instances(boxed),
        "ul/7.json": samples.ultralytics_detections(boxed),
        "op/7_keypoints.json": samples.openpose_frame(as_body_25),
        "ap/alphapose-results.json": samples.alphapose_results(boxed, "7.jpg"),
        "dlc/video.csv": deeplabcut_csv(poses),
    }
    images = [{"id": 7, "file_name": "7.jpg"}]
    photos = Photos(read_truth(samples.write(folder / "gt.json", samples.ground_truth() | {"images": images})))
    for name, value in files.items():
        done = gather(samples.write(folder / name, value), photos)
        np.testing.assert_array_equal(done.poses.xy, poses.xy, err_msg=name)
        np.testing.assert_array_equal(done.poses.score, poses.score, err_msg=name)
        assert image_ids(done) == [7] * len(poses)


def test_openposes_dropped_joints_are_in_no_box_and_stay_dropped(tmp_path: Path, data_dir: Path) -> None:
    """A real file of OpenPose: camera 1 of Pose2Sim's demo, two people."""
    source = data_dir / "multiview/pose2sim/two_people/pose/cam01_json/cam01.0000.json"
    if not source.is_file():
        pytest.skip(f"no file of OpenPose at {source}")
    done = gather(samples.write(tmp_path / "cam01_0000.json", json.loads(source.read_text())), Photos())
    poses = done.poses
    assert poses.missing is not None
    np.testing.assert_array_equal(poses.missing, (poses.xy == 0).all(axis=2) & (poses.score == 0))
    assert poses.missing.any(axis=1).all()
    assert (poses.keypoint_box()[:, 1] > 250).all()
    assert (replace(poses, missing=None).keypoint_box()[:, 1] == 0).all()
    write_results(tmp_path / "results.json", poses, score=done.score)
    assert b"keypoint_missing" not in (tmp_path / "results.json").read_bytes()  # 0, 0, 0 says it
    np.testing.assert_array_equal(read_results(tmp_path / "results.json").poses.missing, poses.missing)
