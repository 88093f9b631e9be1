"""Photos get their ids and sizes from names, numbers, a ground truth or the photos themselves."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.io import samples
from tests.io.reading import FIRST, PEOPLE, gather, image_ids, truth
from trustpose.files import InputError
from trustpose.io.pose_files import Photos, ToolPoses
from trustpose.skeletons import OPENPOSE_BODY_25

LABELS = samples.ultralytics_labels(PEOPLE, 640, 425)


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
    with pytest.raises(InputError, match="coordinates are fractions of the photo, whose size is needed: give --images"):
        gather(path, Photos())
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=f"photo '{stem}' is not in"):
        gather(path, Photos(None, tmp_path / "none"))


@pytest.mark.parametrize("suffix", ["jpg", "txt"])
def test_photos_beside_files_of_the_same_name(tmp_path: Path, suffix: str) -> None:
    """A pose file beside its photo, before or after it by name, is not taken for the photo."""
    photo = tmp_path / ("a.png" if suffix == "txt" else "a.jpg")
    cv2.imwrite(str(photo), np.zeros((425, 640, 3), np.uint8))
    for file_name in ("a.txt", "a.json"):
        samples.write(tmp_path / file_name, LABELS)
    done = gather(tmp_path / "a.txt", Photos(None, tmp_path))
    np.testing.assert_allclose(done.poses.xy, PEOPLE.xy, rtol=0, atol=2e-3)


def test_one_photo_in_two_files_is_refused(tmp_path: Path) -> None:
    files = [samples.write(tmp_path / name / "7.json", samples.mmpose_instances(PEOPLE)) for name in ("a", "b")]
    with pytest.raises(InputError, match=r"b/7\.json: has people of image 7, as does .*a/7\.json; give each once"):
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


def test_photos_without_people_are_counted_too(tmp_path: Path) -> None:
    """So that ids do not depend on the people found."""
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


def test_photos_and_ids_that_cannot_be_known_are_refused(tmp_path: Path) -> None:
    photos = Photos(truth(tmp_path))
    instances = samples.mmpose_instances(PEOPLE)
    cases = [
        ("bus", instances, photos, r"photo 'bus' is not among the images of .* \(by file_name\)"),
        ("clip", [{"frame_id": 3, "instances": instances}], photos, r"image 3 is not .*\(by id\)"),
        ("1", [], Photos(), "no poses in the given files: no person was detected"),
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


def test_a_record_needs_names_or_numbers() -> None:
    with pytest.raises(ValueError, match="expected photo or poses"):
        ToolPoses("a", PEOPLE)
    with pytest.raises(ValueError, match="expected 2 names, got 1"):
        ToolPoses("a", PEOPLE, photo=("b",))
