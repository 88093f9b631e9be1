"""Photos to poses: a network that finds coloured dots, and real networks against their published results."""

import hashlib
import json

import cv2
import numpy as np
import pytest

from tests.tiny_onnx import photo_of_people, write_network
from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import Poses, write_results
from trustpose.predict.boxes import Boxes, boxes_from_truth, boxes_of
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.predict.predictor import Predictor

FEW = 80  # of dev's 365 photos, with people of all sizes: each crop takes a hundredth of a second
BOUND = 1.25 + 1.875 + 0.75  # image pixels: a quarter map pixel, the dot's own offset (tiny_onnx), rounding to uint8


@pytest.fixture(params=["batch", 1])
def predictor(tmp_path, request):
    return load(write_network(tmp_path / "network", batch=request.param), batch_size=4, detector="whole")


def _photos(tmp_path, counts):
    """Photos with that many people, as files, with their truth."""
    paths, xy, boxes = [], [], []
    for seed, count in enumerate(counts):
        photo, positions, around = photo_of_people(count, seed)
        paths.append(tmp_path / f"{seed}.png")
        cv2.imwrite(str(paths[-1]), photo[..., ::-1])
        xy.append(positions)
        boxes.append(around)
    return paths, xy, boxes


def test_every_dot_is_found_where_it_is(tmp_path, predictor):
    paths, xy, boxes = _photos(tmp_path, [1, 3, 0, 2, 6])
    poses = predictor(paths, boxes)
    np.testing.assert_array_equal(poses.image_id, np.repeat([0, 1, 3, 4], [1, 3, 2, 6]))
    np.testing.assert_array_equal(poses.box, np.concatenate(boxes))
    assert np.abs(poses.xy - np.concatenate(xy)).max() < BOUND
    assert (poses.score > 0.8).all() and poses.annotation_id is None and poses.box_score is None
    np.testing.assert_allclose(poses.pose_score, poses.score.mean(axis=1))


@pytest.mark.parametrize("flip", [False, True])
def test_the_same_in_any_batch_size_and_from_arrays(tmp_path, flip):
    paths, _, boxes = _photos(tmp_path, [2, 0, 5, 1])
    network = write_network(tmp_path / "network")
    expected = load(network, batch_size=1, flip=flip, threads=1)(paths, boxes)
    arrays = [cv2.imread(str(path))[..., ::-1] for path in paths]
    for batch_size, threads in ((3, 2), (64, 1)):
        for sources in (paths, arrays):
            poses = load(network, batch_size=batch_size, flip=flip, threads=threads)(sources, boxes)
            np.testing.assert_array_equal(poses.xy, expected.xy)
            np.testing.assert_allclose(poses.score, expected.score, atol=1e-6)


@pytest.mark.parametrize(("codec", "max_error"), [("argmax-quarter", 1.25 + 0.5), ("dark", 0.7), ("udp", 0.7)])
def test_every_convention_and_decoding_to_the_pixel(tmp_path, codec, max_error):
    """The network's map pixel m sees crop pixels 4 m to 4 m + 3; their positions follow from the convention."""
    photo, xy, boxes = photo_of_people(3)
    poses = load(write_network(tmp_path, codec=codec))(photo, boxes)
    extent, strides = ((191, 255), (191 / 47, 255 / 63)) if codec == "udp" else ((192, 256), (4, 4))
    scale = np.array(extent) / (240, 320)  # crop pixels for one image pixel
    low = boxes[:, None, :2]
    xy_map = ((xy - low) * scale - 1.5) / 4
    assert np.abs(poses.xy - (low + xy_map * strides / scale)).max() < max_error


def test_the_caller_chooses_the_decoding(tmp_path):
    photo, _, boxes = photo_of_people(2)
    network = write_network(tmp_path)
    dark = load(write_network(tmp_path / "dark", codec="dark"))(photo, boxes)
    np.testing.assert_array_equal(load(network, codec="dark")(photo, boxes).xy, dark.xy)
    assert np.abs(load(network)(photo, boxes).xy - dark.xy).max() > 0.1
    with pytest.raises(InputError, match="decoding: expected one of"):
        load(network, codec="best")


def test_one_photo_in_all_forms(tmp_path, predictor):
    (path,), (xy,), (box,) = _photos(tmp_path, [2])
    expected = predictor([path], [box])
    for poses in (
        predictor(path, box),
        predictor(str(path), [box]),
        predictor(path, Boxes(box, np.zeros(2, np.int64))),
        predictor(cv2.imread(str(path))[..., ::-1], box),
    ):
        np.testing.assert_array_equal(poses.xy, expected.xy)
    one = predictor(path, Boxes(box, np.array([0, 0]), np.array([0.3, 0.4]), np.array([8, 9])))
    assert one.box_score.tolist() == [0.3, 0.4] and one.annotation_id.tolist() == [8, 9]
    assert np.abs(one.xy - xy).max() < BOUND


def test_a_whole_photo_is_one_person_without_boxes(predictor):
    photo, xy, boxes = photo_of_people(1)
    x0, y0, x1, y1 = boxes[0].astype(int)
    poses = predictor(photo[y0:y1, x0:x1])
    np.testing.assert_array_equal(poses.box, [[0, 0, 240, 320]])
    assert np.abs(poses.xy - (xy - (x0, y0))).max() < BOUND


def test_poses_know_their_skeleton(predictor):
    photo = np.zeros((64, 48, 3), np.uint8)
    assert predictor(photo).skeleton == predictor([]).skeleton == predictor.spec.skeleton


def test_no_people_and_no_photos(predictor):
    photo, _, _ = photo_of_people(1)
    for poses in (predictor(photo, np.zeros((0, 4))), predictor([photo, photo], [np.zeros((0, 4))] * 2), predictor([])):
        assert poses.xy.shape == (0, 17, 2) and poses.image_id.shape == (0,)


def test_photos_without_people_do_not_delay_others(predictor):
    """In a stream of empty photos each is returned long before the stream ends."""
    photo, _, boxes = photo_of_people(1)
    drawn = []

    def photos():
        for index in range(300):
            drawn.append(index)
            some = boxes if index == 0 else np.zeros((0, 4))
            yield Image(photo, Boxes(some, np.full(len(some), index)), index)

    for index, prediction in enumerate(predictor.stream(photos())):
        assert prediction.photo.image_id == index and len(prediction.poses) == (index == 0)
        assert len(drawn) < index + 200


def test_a_broken_photo_does_not_stop_the_others(tmp_path, predictor):
    paths, _, boxes = _photos(tmp_path, [1, 2, 1])
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    photos = [Image(path, Boxes(box, np.zeros(len(box), np.int64))) for path, box in zip(paths, boxes, strict=True)]
    first, second, third = predictor.stream(photos)
    assert len(first.poses) == len(third.poses) == 1 and first.error is third.error is None
    assert len(second.poses) == 0 and "1.png" in str(second.error) and second.pixels is None
    with pytest.raises(InputError, match=r"1\.png"):
        predictor(paths, boxes)


def test_a_photo_of_another_size_than_its_boxes(predictor):
    photo, _, boxes = photo_of_people(1)
    (prediction,) = predictor.stream([Image(photo, Boxes(boxes, np.zeros(1, np.int64)), size=(640, 480))])
    assert "boxes are for one of 640 × 480" in str(prediction.error)


def test_wrong_arguments_are_named(tmp_path, predictor):
    photo, _, boxes = photo_of_people(1)
    for wrong in ([boxes, boxes], [boxes[:, :3]], [np.full((1, 4), np.nan)], 5):
        with pytest.raises(ValueError, match="boxes"):
            boxes_of(wrong, 1, is_one=False)
    with pytest.raises(ValueError, match="boxes: expected image_id from 0 to 0"):
        predictor(photo, Boxes(boxes, np.array([3])))
    with pytest.raises(ValueError, match="image: expected"):
        predictor(photo.astype(float), boxes)
    with pytest.raises(ValueError, match="batch_size"):
        Predictor(predictor.runtime, batch_size=0)
    with pytest.raises(InputError, match="not finite"):
        load(write_network(tmp_path / "nan", fill=np.nan))(photo, boxes)


def _photos_of_dev(data_dir):
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    boxes = boxes_from_truth(truth.truth).of_images(truth.images.id)
    return [
        Image(data_dir / "coco" / "dev" / name, box, int(image_id), (int(width), int(height)))
        for name, box, image_id, width, height in zip(
            truth.images.file_name, boxes, truth.images.id, truth.images.width, truth.images.height, strict=True
        )
    ]


class RunsOnce:
    """A runtime that runs its network once on each batch of crops, however many predictors ask for it."""

    def __init__(self, runtime):
        self.runtime, self.spec, self.answers, self.crops = runtime, runtime.spec, {}, 0

    def __getattr__(self, name):
        return getattr(self.runtime, name)

    def with_trust(self, pixels, box=None, xy=None):
        batch = hashlib.sha256(pixels).digest()
        if batch not in self.answers:
            self.answers[batch] = self.runtime.with_trust(pixels, box, xy)
            self.crops += len(pixels)
        return self.answers[batch]


@pytest.fixture(scope="module")
def simplepose_on_dev(data_dir):
    """Its poses of the people of some photos without flip, and with flip by each of the finer decodings."""
    path = data_dir / "networks" / "simplepose.onnx"
    runtime = RunsOnce(load(path).runtime)
    predictors = {"plain": Predictor(runtime), "flip": Predictor(runtime, flip=True)}
    predictors |= {name: Predictor(runtime, flip=True, decoding=name) for name in ("dark", "udp", "integral")}
    photos, found = _photos_of_dev(data_dir)[:FEW], {name: [] for name in predictors}
    for start in range(0, len(photos), 40):
        runtime.answers.clear()  # all crops' heatmaps would be 0.1 GB
        for name, predictor in predictors.items():
            found[name] += [poses.poses for poses in predictor.stream(photos[start : start + 40]) if len(poses.poses)]
    people = sum(len(poses) for poses in found["plain"])
    assert runtime.crops == 2 * people, "each crop once, and its mirror image"
    return {name: Poses.concatenate(poses) for name, poses in found.items()}


def _compare(poses, published):
    """The same people at the same places: the files round to four decimals."""
    expected = read_results(published).poses
    expected = expected[np.isin(expected.annotation_id, poses.annotation_id)]
    ours, theirs = (one[np.argsort(one.annotation_id)] for one in (poses, expected))
    np.testing.assert_array_equal(ours.annotation_id, theirs.annotation_id)
    assert np.abs(ours.xy - theirs.xy).max() < 1e-3
    assert np.abs(ours.score - theirs.score).max() < 1e-3


def _official_ap(data_dir, path):
    """pycocotools' AP of a results file on those photos of dev."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(data_dir / "coco" / "dev_gt.json"))
    evaluation = COCOeval(truth, truth.loadRes(str(path)), "keypoints")
    evaluation.params.imgIds = [photo.image_id for photo in _photos_of_dev(data_dir)[:FEW]]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


@pytest.mark.slow
def test_simplepose_on_dev_is_the_published_result(data_dir, simplepose_on_dev, tmp_path):
    """Every keypoint, and pycocotools' AP, which is 0.5076 on all of dev (test_build.py)."""
    poses, published = simplepose_on_dev["plain"], data_dir / "results" / "simplepose.dev.json"
    assert len(poses) == 210
    _compare(poses, published)
    write_results(tmp_path / "results.json", poses)
    ap = _official_ap(data_dir, tmp_path / "results.json")
    assert ap == pytest.approx(0.5122, abs=1e-4) == _official_ap(data_dir, published)
    assert json.loads((tmp_path / "results.json").read_bytes())[0]["annotation_id"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("decoding", ["dark", "udp", "integral"])
def test_finer_decodings_beat_the_published_result_on_dev(data_dir, simplepose_on_dev, tmp_path, decoding):
    """It is argmax-quarter's, with flip: AP 0.5262 on all photos."""
    write_results(tmp_path / "results.json", simplepose_on_dev[decoding])
    published = _official_ap(data_dir, data_dir / "results" / "simplepose_flip.dev.json")
    assert _official_ap(data_dir, tmp_path / "results.json") > published + 0.005


@pytest.mark.slow
def test_other_published_results(data_dir, simplepose_on_dev):
    _compare(simplepose_on_dev["flip"], data_dir / "results" / "simplepose_flip.dev.json")
    predictor = load(data_dir / "networks" / "movenet-thunder.onnx")
    poses = [
        prediction.poses for prediction in predictor.stream(_photos_of_dev(data_dir)[:20]) if len(prediction.poses)
    ]
    _compare(Poses.concatenate(poses), data_dir / "results" / "movenet-thunder.dev.json")


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[10, 10, 50, 60], [40, 20, 12, 80]], r"boxes\[1\]: x1 12 < x0 40: expected xyxy; is it xywh\?"),
        (
            [[0.1, 0.1, 0.5, 0.9]],
            r"boxes\[0\]: all boxes lie within 0 to 0.9: expected pixels, not fractions of the photo",
        ),
        (
            [[10, 10, 50, 60], [5000, 20, 5100, 80]],
            r"boxes\[1\]: \(5000, 20, 5100, 80\) lies outside the \d+ x \d+ photo",
        ),
    ],
)
def test_boxes_that_are_none_are_refused_by_name(tmp_path, boxes, message):
    predictor = load(write_network(tmp_path / "network"))
    (path,), _, (around,) = _photos(tmp_path, [2])
    wrong = np.array(boxes, dtype=float)
    with pytest.raises(InputError, match=rf"0\.png: {message}"):
        predictor(path, boxes=wrong)
    pixels = cv2.imread(str(path))[..., ::-1]
    with pytest.raises(InputError, match=f"image 1: {message}"):
        predictor([pixels, pixels], boxes=[around, wrong])
    with pytest.raises(InputError, match=f"image 0: {message}"):
        predictor(pixels, boxes=Boxes(wrong, np.zeros(len(wrong), int)))


def test_boxes_may_stick_out(tmp_path):
    predictor = load(write_network(tmp_path / "network"))
    (path,), _, (around,) = _photos(tmp_path, [1])
    poses = predictor(path, boxes=around + np.array([-400.0, -400, 400, 400]))
    assert np.isfinite(poses.xy).all()
