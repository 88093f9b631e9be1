"""rtmlib itself on small ONNX networks with the outputs of RTMPose and RTMO."""

import numpy as np
import pytest

from tests.predict.adapters.people import labelled_photo
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.io.photos import read_image
from trustpose.predict.load import load

onnx = pytest.importorskip("onnx", reason=not_installed("onnx", "train"))
rtmlib = pytest.importorskip("rtmlib", reason=not_installed("rtmlib", "rtmlib"))


def _save(path, nodes, inputs, outputs, weights):
    helper = onnx.helper
    infos = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in some.items()]
        for some in (inputs, outputs)
    ]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph([helper.make_node(*node[:3], **node[3]) for node in nodes], "g", *infos, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def write_simcc(path, keypoints=17, height=64, width=48):
    """RTMPose's interface with random weights: the crop as a row times a matrix for each axis; two bins a pixel.

    Bins are of both signs, and about half of the keypoints' scores are below 0.
    """
    rng = np.random.default_rng(0)
    pooled = 3 * (height // 8) * (width // 8)
    weights, nodes = {}, [("AveragePool", ["input"], ["small"], {"kernel_shape": [8, 8], "strides": [8, 8]})]
    nodes.append(("Flatten", ["small"], ["row"], {}))
    for axis, bins in (("x", 2 * width), ("y", 2 * height)):
        weights[f"w{axis}"] = rng.normal(0, 0.02, (pooled, keypoints * bins)).astype(np.float32)
        offset = np.repeat(rng.normal(0, 0.5, keypoints), bins) - 0.5
        weights[f"b{axis}"] = offset.astype(np.float32)
        weights[f"s{axis}"] = np.array([-1, keypoints, bins], np.int64)
        nodes.append(("Gemm", ["row", f"w{axis}", f"b{axis}"], [f"flat_{axis}"], {}))
        nodes.append(("Reshape", [f"flat_{axis}", f"s{axis}"], [f"simcc_{axis}"], {}))
    outputs = {"simcc_x": ["B", keypoints, 2 * width], "simcc_y": ["B", keypoints, 2 * height]}
    return _save(path, nodes, {"input": ["B", 3, height, width]}, outputs, weights)


PEOPLE = np.array(  # xyxy and score, network pixels: two that overlap, one apart, one with a low score
    [[10, 10, 40, 50, 0.9], [12, 11, 41, 52, 0.8], [60, 20, 90, 80, 0.75], [5, 70, 25, 90, 0.05]], np.float32
)
PLACES = np.random.default_rng(1).uniform(0, 96, (4, 17, 3)).astype(np.float32)
PLACES[..., 2] /= 96


def write_rtmo(path):
    """RTMO's interface on 96 × 96 pixels: always `PEOPLE` and `PLACES`, plus 0 times the input."""
    weights = {"zero": np.zeros(1, np.float32), "people": PEOPLE[None], "places": PLACES[None]}
    nodes = [
        ("ReduceMean", ["input"], ["mean"], {"keepdims": 0}),
        ("Mul", ["mean", "zero"], ["nothing"], {}),
        ("Add", ["people", "nothing"], ["dets"], {}),
        ("Add", ["places", "nothing"], ["keypoints"], {}),
    ]
    outputs = {"dets": [1, 4, 5], "keypoints": [1, 4, 17, 3]}
    return _save(path, nodes, {"input": [1, 3, 96, 96]}, outputs, weights)


def test_rtmpose_is_rtmlib_s_but_for_the_points_that_it_moves(tmp_path, data_dir):
    path, truth = labelled_photo(data_dir)
    network = write_simcc(tmp_path / "rtmpose.onnx")
    boxes = np.concatenate([truth.box, truth.box + np.array([-20.0, 10, 5, 30])])
    poses = load(f"rtmlib:{network}")(path, boxes=boxes)
    theirs = rtmlib.RTMPose(str(network), model_input_size=(48, 64))
    image = np.ascontiguousarray(read_image(path)[..., ::-1])
    xy, score = theirs(image, boxes)
    np.testing.assert_array_equal(poses.score, score)
    positive = score > 0
    assert 4 < positive.sum() < score.size - 4
    np.testing.assert_allclose(poses.xy[positive], xy[positive], atol=1e-3)
    size = (boxes[:, 2:] - boxes[:, :2]).max() * 1.25
    corner = xy[~positive].min(axis=0)  # where rtmlib puts the others, whatever the network's output
    assert (np.abs(xy[~positive] - corner).max(axis=0) < 25).all()
    assert np.abs(poses.xy[~positive] - corner).max() > size / 4
    np.testing.assert_allclose(poses.pose_score, score.mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(poses.box, boxes)
    for row in range(
        2
    ):  # the others are at their maxima, computed again by hand from the crop and the network's output
        crop, centre, scale = theirs.preprocess(image, boxes[row])
        bins = [one[0].argmax(axis=1) for one in theirs.inference(crop)]
        position = np.stack(bins, axis=1) / 2 / [48, 64] * scale + centre - scale / 2
        np.testing.assert_allclose(poses.xy[row], position, atol=1e-6)


def test_rtmo_keeps_its_boxes_and_scores(tmp_path):
    network = write_rtmo(tmp_path / "rtmo.onnx")
    photo = np.zeros((192, 150, 3), np.uint8)
    poses = load(f"rtmlib:{network}")(photo)
    np.testing.assert_allclose(poses.xy, PLACES[[0, 2], :, :2] * 2, rtol=1e-5)  # 192 pixels become 96
    np.testing.assert_allclose(poses.score, PLACES[[0, 2], :, 2], rtol=1e-6)
    np.testing.assert_allclose(poses.box, PEOPLE[[0, 2], :4] * 2)
    np.testing.assert_allclose(poses.pose_score, PEOPLE[[0, 2], 4])
    np.testing.assert_array_equal(poses.box_score, poses.pose_score)
    xy, score = rtmlib.RTMO(str(network), model_input_size=(96, 96))(photo)
    np.testing.assert_allclose(poses.xy, xy, rtol=1e-5)
    np.testing.assert_allclose(poses.score, score, rtol=1e-6)
    assert len(load(f"rtmlib:{network}", min_box_score=0.0)(photo)) == 3  # but the one that overlaps a better one
    nobody = load(f"rtmlib:{network}", min_box_score=0.95)(photo)
    assert len(nobody) == 0 and nobody.keypoint_count == 17  # rtmlib itself makes one of zeros up
    with pytest.raises(ValueError, match="finds the people of whole photos by itself"):
        load(f"rtmlib:{network}")(photo, boxes=np.array([[0.0, 0, 9, 9]]))


def test_other_skeletons_and_other_networks(tmp_path, capsys):
    halpe = load(f"rtmlib:{write_simcc(tmp_path / 'halpe.onnx', keypoints=26)}", skeleton="coco17", detector="whole")
    assert capsys.readouterr().out == ""  # rtmlib would print a line
    assert halpe(np.zeros((64, 64, 3), np.uint8)).xy.shape == (1, 17, 2)  # the whole photo is one person
    with pytest.raises(InputError, match=r"gives 21 keypoints, expected one of 17 \(coco17\)"):
        load(f"rtmlib:{write_simcc(tmp_path / 'hand.onnx', keypoints=21)}")
    outputs, nodes = {"y": ["B", 3, 8, 8]}, [("Identity", ["input"], ["y"], {})]
    other = _save(tmp_path / "other.onnx", nodes, {"input": ["B", 3, 8, 8]}, outputs, {})
    with pytest.raises(InputError, match=r"gave outputs \[\(1, 3, 8, 8\)\], expected"):
        load(f"rtmlib:{other}")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(InputError, match="cannot be opened by onnxruntime"):
        load(f"rtmlib:{tmp_path / 'text.onnx'}")
    with pytest.raises(InputError, match="no such file"):
        load("rtmlib:rtmpose-m.onnx")
