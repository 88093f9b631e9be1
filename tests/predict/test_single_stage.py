"""Photos to people without boxes: exact places, detectors, threads, and a real network on real photos."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.predict.tiny_people import SCORES, people_table, write_people
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.files import InputError
from trustpose.geometry.crops import invert_affine, transform
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.average_precision import evaluate
from trustpose.models.runtime.backends import PeopleNetwork
from trustpose.models.spec import ModelSpec
from trustpose.poses import Poses
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.predict.single_stage import PeopleDetector, SingleStagePredictor


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    return [ModelSpec.read(write_people(folder / str(side), side=side)) for side in ("side", 192)]


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([0, 1]))
def test_the_letterbox_holds_the_photo_and_leads_back(specs, width, height, which):
    spec = specs[which]
    affine, wide, high = spec.input.letterbox(width, height)
    corner = transform(affine, np.array([[float(width), height]]))[0]
    assert affine[0, 0] == affine[1, 1] and (affine[:, 2] == 0).all()
    assert corner[0] <= wide + 0.5 + 1e-9 and corner[1] <= high + 0.5 + 1e-9
    if spec.input.multiple is None:
        assert (wide, high) == (192, 192) and max(corner) == pytest.approx(192)
    else:
        assert wide % 32 == high % 32 == 0 and max(corner) == pytest.approx(384)
        assert wide < max(32, corner[0] + 32) and high < max(32, corner[1] + 32)
    points = np.array([[0.0, 0], [width, height], [width / 3, height / 7]])
    assert np.abs(transform(invert_affine(affine), transform(affine, points)) - points).max() < 1e-9 * max(
        width, height
    )


@pytest.mark.parametrize("side", ["side", 192])
def test_places_in_the_photo(tmp_path, side):
    """The network's output is constant, so the positions in photo pixels are known."""
    network = PeopleNetwork(ModelSpec.read(write_people(tmp_path, side=side)))
    table = people_table().astype(np.float64)
    poses = network(np.zeros((300, 700, 3), np.uint8))
    # free: 384 × 165 pixels of photo in 384 × 192; fixed: 192 × 82 in 192 × 192
    across, down = (700, 192 * 700 / 384) if side == "side" else (700, 700)
    keypoints = table[:, :51].reshape(3, 17, 3)
    np.testing.assert_allclose(poses.xy, keypoints[..., [1, 0]] * (across, down), atol=1e-9)
    np.testing.assert_allclose(poses.box, table[:, [52, 51, 54, 53]] * (across, down, across, down), atol=1e-9)
    np.testing.assert_array_equal(poses.score, keypoints[..., 2])
    np.testing.assert_allclose(poses.box_score, SCORES, atol=1e-7)
    np.testing.assert_array_equal(poses.pose_score, poses.box_score)


def test_photos_and_files_and_a_lowest_score(tmp_path):
    predictor = load(write_people(tmp_path), min_box_score=0.0)
    assert isinstance(predictor, SingleStagePredictor)
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    poses = predictor(paths)
    assert poses.image_id.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(load(tmp_path / "people.onnx")(paths[0])) == 2  # 0.1, as on the command line
    predictor.min_score = 0.3
    assert len(predictor(paths[0])) == 2 and len(predictor([])) == 0
    paths[1].write_bytes(b"none")
    first, second, third = predictor.stream([Image(path, image_id=index) for index, path in enumerate(paths)])
    assert len(first.poses) == len(third.poses) == 2 and len(second.poses) == 0 and "1.png" in str(second.error)
    with pytest.raises(InputError, match=r"1\.png"):
        predictor(paths)
    with pytest.raises(ValueError, match="boxes: expected None"):
        predictor(paths[0], np.array([[0.0, 0, 5, 5]]))


def test_as_a_detector(tmp_path):
    """Its boxes, cut off at the photo's edges, feed a network for one person."""
    table = people_table()
    table[1, 51:55] = [-0.2, 0.2, 0.4, 3]  # beyond the top and the right edge
    table[2, 51:56] = [0.5, 1.5, 0.8, 1.7, 0.9]  # outside
    network = PeopleNetwork(ModelSpec.read(write_people(tmp_path, table)))
    photo, _, _ = photo_of_people(1)
    height, width = photo.shape[:2]
    boxes = PeopleDetector(network)(photo)
    box = network(photo).box
    np.testing.assert_array_equal(boxes.xyxy[0], box[0])
    np.testing.assert_allclose(boxes.xyxy[1], [box[1, 0], 0, width, box[1, 3]])
    assert len(boxes) == 2 and boxes.xyxy[:, 3].max() <= height
    assert len(PeopleDetector(network, 0.5)(photo)) == 1
    predictor = load(write_network(tmp_path / "top"), detector=PeopleDetector(network))
    poses = predictor([photo, photo])
    expected = load(tmp_path / "top" / "colours.onnx")(photo, boxes.xyxy)
    assert poses.image_id.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(poses.xy, np.concatenate([expected.xy] * 2))
    np.testing.assert_array_equal(poses.box_score, np.tile(boxes.score, 2))
    given_boxes = predictor(photo, np.array([[0.0, 0, 200, 300]]))  # boxes that are given count
    assert len(given_boxes) == 1 and given_boxes.box_score is None


def test_options_for_one_person_are_refused(tmp_path):
    path = write_people(tmp_path)
    for options in ({"flip": True}, {"codec": "dark"}, {"backend": "torch"}, {"detector": lambda pixels: pixels}):
        with pytest.raises(InputError, match=r"people\.onnx: finds the people of whole photos by itself"):
            load(path, **options)


def test_misfits_are_named(tmp_path):
    path = write_people(tmp_path, people_table()[:2])
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text.replace("[1, 2, 56]", "[1, 6, 56]"))
    with pytest.raises(InputError, match=r"people\.onnx: gave an output \(1, 2, 56\), .* says \(1, 6, 56\)"):
        PeopleNetwork(ModelSpec.read(path))(np.zeros((9, 9, 3), np.uint8))
    path.with_suffix(".json").write_text(text.replace('"image"', '"picture"'))
    with pytest.raises(InputError, match=r"'input.name' says 'picture'"):
        PeopleNetwork(ModelSpec.read(path))
    nan = write_people(tmp_path / "nan", np.full((3, 56), np.nan))
    with pytest.raises(InputError, match="not finite"):
        PeopleNetwork(ModelSpec.read(nan))(np.zeros((9, 9, 3), np.uint8))


def _dev(data_dir, count):
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    photos = [
        Image(data_dir / "coco" / "dev" / truth.images.file_name[index], image_id=int(truth.images.id[index]))
        for index in range(count)
    ]
    people = truth.truth[np.flatnonzero(np.isin(truth.truth.image_id, truth.images.id[:count]))]
    return photos, people, truth.skeleton.sigmas


def _average_precision(predictor, photos, people, sigmas):
    poses = Poses.concatenate([poses.poses for poses in predictor.stream(photos) if len(poses.poses)])
    return poses, evaluate(poses, people, poses.box_score, sigmas=sigmas, area="file").summary().AP


@pytest.mark.slow
@pytest.mark.usefixtures("each_run_once")
def test_a_real_network_finds_real_people(data_dir):
    """MoveNet MultiPose on 15 photos: as a predictor and as SimplePose's detector, the same from any threads."""
    photos, people, sigmas = _dev(data_dir, 15)
    network = PeopleNetwork(ModelSpec.read(data_dir / "networks" / "movenet-multipose.onnx"))
    poses, precision = _average_precision(SingleStagePredictor(network, threads=3), photos, people, sigmas)
    assert len(poses) == 90 and precision > 0.3
    one, _ = _average_precision(SingleStagePredictor(network, threads=1), photos, people, sigmas)
    np.testing.assert_array_equal(one.xy, poses.xy)
    simplepose = data_dir / "networks" / "simplepose.onnx"
    detected = load(simplepose, detector=PeopleDetector(network, 0.1))
    _, topdown = _average_precision(detected, photos, people, sigmas)
    assert topdown > precision


@pytest.mark.slow
def test_a_real_network_is_translation_invariant(data_dir):
    """A photo inside a larger black one: the same people, moved; the network sees them smaller, so not to the pixel."""
    photos, people, _ = _dev(data_dir, 1)
    network = PeopleNetwork(ModelSpec.read(data_dir / "networks" / "movenet-multipose.onnx"))
    pixels = cv2.cvtColor(cv2.imread(str(photos[0].source)), cv2.COLOR_BGR2RGB)
    best = network(pixels)[0]
    moved = network(np.pad(pixels, ((90, 0), (60, 0), (0, 0))))
    nearest = np.abs(moved.xy - (60, 90) - best.xy).mean(axis=(1, 2)).min()
    size = np.sqrt(np.prod(best.box[0, 2:] - best.box[0, :2]))
    assert len(people) and nearest < 0.1 * size
