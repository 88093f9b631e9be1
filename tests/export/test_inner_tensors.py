"""Maps inside ONNX networks: found, exposed, and the same numbers as the network written in torch."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper

from tests import tiny_onnx
from tests.heads.small import crops as images
from tests.heads.small import shared_network
from tests.predict.tiny_trust import BACKBONE, FEATURES, crops, in_torch, normalised, real_crops, write_network
from trustpose.export.inner_tensors import InnerTensor, expose, find_maps
from trustpose.export.onnx import export_onnx
from trustpose.export.onnx_graphs import chain_graphs, load_graph, opset_of, upgrade_opset, with_prefix
from trustpose.files import InputError
from trustpose.heads.network import run
from trustpose.models.runtime.sessions import to_tensor
from trustpose.models.spec import HeatmapOutput, ModelSpec

MAPS = {"features": FEATURES, "backbone": BACKBONE}


def _run(model, blob):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([tensor.name for tensor in model.graph.output], session.run(None, blob), strict=True))


def test_maps_are_found(tmp_path):
    maps = find_maps(ModelSpec.read(write_network(tmp_path)))
    assert maps == {"features": InnerTensor(FEATURES, (6, 16, 12)), "backbone": InnerTensor(BACKBONE, (10, 4, 3))}


@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("opset", [8, 18])
def test_exposed_maps_are_the_networks(tmp_path, batch, opset):
    spec = ModelSpec.read(write_network(tmp_path, batch))
    model = upgrade_opset(expose(spec, MAPS), opset, spec.onnx)
    onnx.checker.check_model(model, full_check=True)
    assert opset_of(model) == opset and [tensor.name for tensor in model.graph.input] == ["data"]
    image = normalised(crops(3))
    expected = in_torch(image)
    given = _run(model, {"data": image.numpy()})
    assert list(given) == ["heatmaps", "features", "backbone"]
    for name, value in expected.items():
        assert given[name].shape == tuple(value.shape)
        np.testing.assert_allclose(given[name], value.numpy(), atol=1e-5)
    assert torch.stack([value.std() for value in expected.values()]).min() > 0.1


def test_maps_of_a_zoo_network_are_those_that_heads_read(tmp_path):
    """What is found in the exported graph is what `heads.network.run` hands to a head in torch."""
    export_onnx(shared_network(), tmp_path / "old.onnx", 64, 64)
    spec = ModelSpec.read(write_network(tmp_path / "any"))
    size = replace(spec.input, name="image", height=64, width=64)
    spec = replace(spec, onnx=tmp_path / "old.onnx", input=size, output=HeatmapOutput(5, 16, 16, 4.0))
    maps = find_maps(spec)
    given = _run(expose(spec, {name: tensor.name for name, tensor in maps.items()}), {"image": images(3).numpy()})
    with torch.no_grad():
        _, expected = run(shared_network(), images(3), ("features", "backbone"))
    for (name, tensor), value in zip(maps.items(), expected, strict=True):
        assert tensor.shape == tuple(value.shape[1:])
        np.testing.assert_allclose(given[name], value.numpy(), atol=1e-4 * float(value.abs().max()))


def test_a_batch_size_written_into_the_graph_stays(tmp_path):
    rows = [helper.make_node("Reshape", ["made", "rows"], ["maps"])]
    model = expose(ModelSpec.read(write_network(tmp_path, after=rows)), MAPS)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_value == 1


def test_what_follows_the_last_layer_is_passed_over(tmp_path):
    after = [
        helper.make_node("Mul", ["one", "made"], ["scaled"]),
        helper.make_node("Sigmoid", ["scaled"], ["squashed"]),
        helper.make_node("Transpose", ["squashed"], ["turned"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["turned"], ["maps"], perm=[0, 3, 1, 2]),
    ]
    spec = ModelSpec.read(write_network(tmp_path, after=after))
    assert find_maps(spec)["features"].name == FEATURES


def test_heatmaps_of_two_maps_need_a_name(tmp_path):
    after = [helper.make_node("Sigmoid", ["made"], ["gate"]), helper.make_node("Mul", ["made", "gate"], ["maps"])]
    spec = ModelSpec.read(write_network(tmp_path, after=after))
    with pytest.raises(InputError, match=r"old.onnx: no single .* 'features'; candidates: .*active4 \(6 × 16 × 12\)"):
        find_maps(spec)
    maps = find_maps(spec, ["features"], named={"features": FEATURES, "early": "active0"})
    assert maps == {"features": InnerTensor(FEATURES, (6, 16, 12)), "early": InnerTensor("active0", (8, 16, 12))}


def test_a_linear_projection_is_the_encoders_own_end(tmp_path):
    """A narrowing convolution with an activation belongs to the decoder, one without ends an encoder (MobileNetV2)."""
    path = write_network(tmp_path)
    model = onnx.load(path)
    for node in model.graph.node:
        if node.output[0] == "active2":
            node.op_type = "Identity"
    onnx.save(model, path)
    assert find_maps(ModelSpec.read(path))["backbone"].name == "active2"


def test_tensors_that_cannot_be_found_are_reported(tmp_path):
    flat = ModelSpec.read(tiny_onnx.write_network(tmp_path / "flat"))
    for name in ("features", "backbone"):
        with pytest.raises(InputError, match=f"colours.onnx: no .*name the tensor to read as '{name}'; candidates: "):
            find_maps(flat, [name])
    spec = ModelSpec.read(write_network(tmp_path))
    with pytest.raises(InputError, match=r"has no map 'middle' inside; the last ones are .*active4"):
        find_maps(spec, named={"features": "middle"})
    with pytest.raises(InputError, match="has no map 'middle' inside"):
        expose(spec, {"features": "middle"})
    with pytest.raises(InputError, match="map 'depth': expected features or backbone"):
        find_maps(spec, ["depth"])
    with pytest.raises(InputError, match=r"its outputs are maps; the spec says 'heat'"):
        expose(replace(spec, output=replace(spec.output, name="heat")), {})
    spec.onnx.write_bytes(b"no network")
    with pytest.raises(InputError, match=r"old.onnx: is not a valid ONNX graph"):
        find_maps(spec)


def test_coordinates_have_no_heatmaps(tmp_path):
    output = {"kind": "coordinates", "keypoints": 17, "order": ["y", "x", "score"], "normalised": True}
    with pytest.raises(InputError, match="gives coordinates"):
        find_maps(ModelSpec.read(write_network(tmp_path, output=output)))


def test_statistics_of_each_place_cannot_be_raised(tmp_path):
    path = write_network(tmp_path)
    model = load_graph(path)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "scale0"]
    tensor.dims[:] = [8, 1, 1]
    (node,) = [node for node in model.graph.node if "scale0" in node.input]
    node.attribute.append(helper.make_attribute("spatial", 0))
    with pytest.raises(InputError, match=r"old.onnx: cannot be converted from opset 8 to 18 .*export it again"):
        upgrade_opset(model, 18, path)


def test_graphs_that_do_not_meet(tmp_path):
    spec = ModelSpec.read(write_network(tmp_path))
    first, second = expose(spec, {}), with_prefix(load_graph(spec.onnx), "second/")
    with pytest.raises(ValueError, match="second: expected inputs and outputs among heatmaps, got 'data'"):
        chain_graphs(first, second, [])
    second.graph.input[0].name = "heatmaps"
    with pytest.raises(ValueError, match="expected opset 18 as the first has, got 8"):
        chain_graphs(upgrade_opset(first, 18, spec.onnx), second, ["heatmaps"])


def test_simplepose_exposed(data_dir):
    """On real people: converted to the heads' opset, in any batch, heatmaps stay as they are."""
    spec = ModelSpec.read(data_dir / "networks" / "simplepose.onnx")
    maps = find_maps(spec)
    assert {name: tensor.shape for name, tensor in maps.items()} == {
        "features": (128, 64, 48),
        "backbone": (160, 8, 6),
    }
    model = upgrade_opset(expose(spec, {name: tensor.name for name, tensor in maps.items()}), 18, spec.onnx)
    blob = to_tensor(real_crops(data_dir, spec, 5), spec.input)
    session = onnxruntime.InferenceSession(str(spec.onnx), providers=["CPUExecutionProvider"])
    expected = np.concatenate([session.run(None, {"data": one[None]})[0] for one in blob])
    given = _run(model, {"data": blob})
    assert np.abs(given["heatmaps"] - expected).max() < 1e-5
    assert given["backbone"].shape == (5, 160, 8, 6) and expected.max() > 0.5
