"""Results in FiftyOne's samples and back. Those that need its database are skipped where none starts."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from trustpose.files import InputError
from trustpose.integrations.fiftyone import fiftyone_samples, from_fiftyone, to_fiftyone, write_fiftyone_results
from trustpose.io.coco.results import read_results
from trustpose.poses import Poses, write_results
from trustpose.predict.photos import PhotoFile
from trustpose.skeletons import COCO_17, Skeleton

fo: Any = pytest.importorskip("fiftyone", reason="the extra `fiftyone` is not installed")
SIZES = {7: (641, 427), 12: (333, 500), 30: (640, 480)}  # no powers of two: fractions are not exact
EXACT = ("xy", "score", "quality", "visibility", "visibility_label", "pose_score", "pose_quality", "box", "box_score")
IDS = ("suppressed_score", "track_id", "image_id", "annotation_id", "missing")


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for image_id, (width, height) in SIZES.items():
        cv2.imwrite(str(folder / f"{image_id:012d}.png"), np.full((height, width, 3), image_id, np.uint8))
    return folder


@pytest.fixture
def dataset(photos):
    """A data set of the photos in FiftyOne's database."""
    made = _database()
    made.add_samples([fo.Sample(filepath=str(path)) for path in sorted(photos.iterdir())])
    yield made
    made.delete()


def _database() -> Any:
    try:
        return fo.Dataset()
    except Exception as error:
        if os.environ.get("FIFTYONE_DATABASE_URI"):
            raise
        pytest.skip(f"FiftyOne's database does not start here: {' '.join(str(error).split())[:80]}")


def some_poses() -> Poses:
    """Five people on two of the photos, every field filled, some rows and joints without a value."""
    rng = np.random.default_rng(0)
    visibility = rng.dirichlet([1, 1, 1], (5, 17))
    missing = rng.random((5, 17)) < 0.1
    track = np.array([3, -1, 4, 5, -1])
    quality = rng.random((5, 17))
    quality[1], visibility[1] = np.nan, np.nan
    label = rng.integers(0, 3, (5, 17)).astype(np.int8)
    label[2] = -1
    return Poses(
        xy=rng.uniform(-5, 500, (5, 17, 2)),
        score=rng.uniform(0, 2, (5, 17)),
        pose_score=rng.random(5),
        quality=quality,
        visibility=visibility,
        visibility_label=label,
        pose_quality=np.array([0.5, np.nan, 0.25, 0.1, 1.0]),
        box=np.where(np.arange(5)[:, None] == 3, np.nan, np.sort(rng.uniform(0, 400, (5, 2, 2)), axis=1).reshape(5, 4)),
        box_score=rng.random(5),
        suppressed_score=rng.random(5),
        track_id=track,
        image_id=np.array([7, 7, 12, 12, 12]),
        annotation_id=np.array([1, 2, -1, 2**40, 5]),
        missing=missing,
        skeleton=COCO_17,
    )


def assert_equal(poses: Poses, other_poses: Poses) -> None:
    for name in (*EXACT, *IDS):
        np.testing.assert_array_equal(getattr(poses, name), getattr(other_poses, name), err_msg=name)
        assert (getattr(poses, name) is None) == (getattr(other_poses, name) is None), name


def test_samples_there_and_back(photos):
    poses = some_poses()
    samples = fiftyone_samples(poses, photos)
    assert [Path(sample.filepath).name for sample in samples] == ["000000000007.png", "000000000012.png"]
    assert_equal(from_fiftyone(samples, skeleton="coco17"), poses)
    person = samples[0].poses.keypoints[0]
    inside = ~poses.missing[0]
    np.testing.assert_allclose(np.array(person.points)[inside] * SIZES[7], poses.xy[0][inside], rtol=1e-12)
    assert np.isnan(np.array(person.points)[~inside]).all() and person.label == "person"
    assert person.confidence == poses.score[0].tolist() and person.quality == poses.quality[0].tolist()
    assert person.p_visible == poses.visibility[0, :, 2].tolist() and person.index == 3
    assert (person.pose_quality, person.ranking_score) == (0.5, poses.suppressed_score[0])
    assert samples[0].metadata.width == 641


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_what_is_known_is_there(photos, dtype):
    rng = np.random.default_rng(1)
    poses = Poses(xy=rng.uniform(0, 300, (40, 3, 2)).astype(dtype), image_id=np.repeat([7, 12], 20))
    samples = fiftyone_samples(poses, photos)
    person = samples[0].poses.keypoints[0]
    assert not person.confidence and person.index is None
    assert not set(person.to_dict()) & {"quality", "p_absent", "pose_quality", "box", "ranking_score", "annotation_id"}
    back = from_fiftyone(samples)
    assert_equal(back, poses)
    assert back.photos is not None and back.image(12).shape == (500, 333, 3)


def test_a_data_set_keeps_everything(dataset):
    poses = some_poses()
    assert to_fiftyone(poses, dataset, field="ours") == 2
    again = fo.load_dataset(dataset.name)
    again.reload()
    assert_equal(from_fiftyone(again, "ours"), poses)
    assert from_fiftyone(again, "ours").skeleton == COCO_17
    assert again.skeletons["ours"].labels == list(COCO_17.keypoints)
    assert again.last()["ours"] is None  # a photo that the poses do not know
    schema = dataset.get_field_schema(flat=True)
    assert {f"ours.keypoints.{name}" for name in ("quality", "p_occluded", "pose_quality")} <= set(schema)


def test_views_and_filters_of_a_data_set(dataset):
    from fiftyone import ViewField as F

    poses = some_poses()
    to_fiftyone(poses, dataset)
    view = dataset.filter_labels("poses", F("pose_quality") > 0.2)
    mask = np.nan_to_num(poses.pose_quality) > 0.2
    np.testing.assert_array_equal(from_fiftyone(view).xy, poses.xy[mask])
    assert from_fiftyone(view).skeleton == COCO_17
    good = dataset.filter_keypoints("poses", filter=F("quality") > 0.5)
    known = np.isfinite(poses.quality).all(axis=1)
    expected = poses.missing[known] | (poses.quality[known] <= 0.5)
    np.testing.assert_array_equal(from_fiftyone(good).missing[known], expected)
    match = dataset.match(F("filepath").ends_with("7.png"))
    assert to_fiftyone(poses[:2], match, field="some") == 1
    assert_equal(from_fiftyone(dataset, "some"), poses[:2])


def test_an_own_skeleton_comes_back(dataset):
    mouse = Skeleton("mouse", ("nose", "left_ear", "right_ear"), ((0, 1), (0, 2)), "ours", (0.1, 0.2, 0.3), ((1, 2),))
    poses = Poses(xy=np.ones((1, 3, 2)), image_id=np.array([7]), skeleton=mouse)
    to_fiftyone(poses, dataset)
    back = from_fiftyone(dataset).skeleton
    assert back == mouse


def test_a_results_file_there_and_back(photos, tmp_path):
    poses = replace(some_poses(), suppressed_score=None)
    box = np.round(poses.box, 2)  # written exactly; of longer numbers only the far corner is exact
    poses = replace(poses, box=box, annotation_id=np.arange(5), quality=np.nan_to_num(poses.quality), visibility=None)
    score = np.linspace(0.1, 0.9, 5)  # another tool's: no product of what the file has
    write_results(tmp_path / "results.json", poses, score=score, category_id=np.array([1, 1, 2, 1, 1]))
    samples = fiftyone_samples(tmp_path / "results.json", photos)
    write_fiftyone_results(tmp_path / "back.json", samples)
    first_content, back = (json.loads((tmp_path / name).read_text()) for name in ("results.json", "back.json"))
    for first, second in zip(first_content, back, strict=True):
        assert first == second
    samples[0].poses.keypoints = samples[0].poses.keypoints[1:]  # a user deletes a person
    write_fiftyone_results(tmp_path / "back.json", samples)
    np.testing.assert_array_equal(read_results(tmp_path / "back.json").score, score[1:])


def test_what_is_changed_in_fiftyone_counts(photos):
    poses = some_poses()
    samples = fiftyone_samples(poses, photos)
    person = samples[0].poses.keypoints[0]
    points = [list(point) for point in person.points]
    points[4], points[5] = [0.5, 0.25], [float("nan")] * 2
    person.points = points
    back = from_fiftyone(samples)
    np.testing.assert_allclose(back.xy[0, 4], [0.5 * 641, 0.25 * 427])
    assert not back.missing[0, 4] and back.missing[0, 5]
    others = np.setdiff1d(np.arange(17), [4, 5])
    np.testing.assert_array_equal(back.xy[0, others], poses.xy[0, others])


def test_keypoints_of_another_source(photos):
    keypoint = fo.Keypoint(points=[[0.5, 0.5], [float("nan")] * 2], confidence=[0.9, 0.1])
    paths = sorted(photos.iterdir())
    samples = [fo.Sample(filepath=str(path), theirs=fo.Keypoints(keypoints=[keypoint])) for path in paths]
    back = from_fiftyone(samples, "theirs")
    np.testing.assert_array_equal(back.xy[:, 0], np.array(list(SIZES.values())) / 2)
    assert back.image_id.tolist() == [7, 12, 30] and back.score[0].tolist() == [0.9, 0.1]
    assert back.missing.tolist() == [[False, True]] * 3
    paths[0].rename(photos / "cover.png")
    samples[0].filepath = str(photos / "cover.png")
    assert from_fiftyone(samples, "theirs").image_id.tolist() == [0, 1, 2]


def test_photos_by_name(photos, tmp_path):
    for path, name in zip(sorted(photos.iterdir()), ("left 7.png", "right.png", "nobody.png"), strict=True):
        path.rename(photos / name)
    names = [
        {"id": 1, "file_name": "right.png"},
        {"id": 2, "file_name": "left 7.png"},
        {"id": 3, "file_name": "nobody.png"},
    ]
    poses = replace(some_poses(), suppressed_score=None, visibility=None, quality=None)
    poses = replace(poses, image_id=np.array([2, 2, 1, 1, 1]))
    write_results(tmp_path / "results.json", poses)
    (tmp_path / "images.json").write_text(json.dumps(names))
    samples = fiftyone_samples(tmp_path / "results.json", photos)
    named = {Path(sample.filepath).name: len(sample.poses.keypoints) for sample in samples}
    assert named == {"right.png": 3, "left 7.png": 2, "nobody.png": 0}
    changed_poses = replace(poses, photos={1: PhotoFile(photos / "right.png"), 2: PhotoFile(photos / "left 7.png")})
    listed = [fo.Sample(filepath=str(path)) for path in sorted(photos.iterdir())]
    assert to_fiftyone(changed_poses, listed) == 2
    assert from_fiftyone(listed).image_id.tolist() == [2, 2, 1, 1, 1]  # in the samples' order
    assert len(fiftyone_samples(changed_poses)) == 2
    gt = tmp_path / "gt.json"
    gt.write_text(json.dumps({"images": names, "annotations": [], "categories": []}))
    assert to_fiftyone(poses, listed, images=gt) == 3


def test_a_turned_photo_has_the_size_that_we_see(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (60, 40)).save(tmp_path / "5.jpg", exif=exif)
    sample = fo.Sample(filepath=str(tmp_path / "5.jpg"))
    to_fiftyone(Poses(xy=np.array([[[20.0, 30.0]]]), image_id=np.array([5])), [sample])
    assert sample.poses.keypoints[0].points == [[0.5, 0.5]]
    assert PhotoFile(tmp_path / "5.jpg").read().shape == (60, 40, 3)


def test_refusals(photos, tmp_path):
    poses, samples = some_poses(), [fo.Sample(filepath=str(photos / "000000000007.png"))]
    with pytest.raises(InputError, match=r"^photo with id 12: no sample of the data set \(common=True leaves"):
        to_fiftyone(poses, samples)
    assert not samples[0].has_field("poses")
    assert to_fiftyone(poses, samples, common=True) == 1
    with pytest.raises(InputError, match="no sample of the data set"):
        to_fiftyone(poses[2:], samples, common=True)
    with pytest.raises(InputError, match=r"^field 'theirs': no sample has it"):
        from_fiftyone(samples, "theirs")
    samples[0]["theirs"] = fo.Classification(label="cat")
    with pytest.raises(InputError, match=r"field 'theirs' is a Classification, expected fiftyone\.Keypoints"):
        from_fiftyone(samples, "theirs")
    samples[0].poses.keypoints[1].quality = [0.5]
    with pytest.raises(InputError, match=r"0007\.png: a keypoint's 'quality' is \[0\.5\], expected 17 numbers"):
        from_fiftyone(samples)
    twice = [fo.Sample(filepath=str(photos / name)) for name in ("000000000007.png", "7.png")]
    with pytest.raises(InputError, match=r"7\.png: is photo 7, and so is "):
        to_fiftyone(poses, twice)
    with pytest.raises(InputError, match="has no photo whose name ends in 99"):
        fiftyone_samples(replace(poses, image_id=np.full(5, 99)), photos)
    (photos / "000000000012.png").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"0012\.png: its size cannot be read"):
        fiftyone_samples(poses, photos)
    (tmp_path / "images.json").write_text("[1]")
    with pytest.raises(InputError, match=r"images\.json: expected images with a number 'id' and a text 'file_name'"):
        fiftyone_samples(poses, photos, images=tmp_path / "images.json")
