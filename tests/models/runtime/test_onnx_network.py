"""The onnxruntime wrapper: input tensors against plain numpy, any batch size, misfits named."""

import json

import numpy as np
import onnxruntime
import pytest

from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.models.runtime.backends import OnnxNetwork
from trustpose.models.runtime.sessions import to_tensor
from trustpose.models.spec import InputSpec, ModelSpec


def _crops(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 256, 192, 3), dtype=np.uint8)


def _edited(folder, **fields):
    """The spec with fields of its input or output replaced."""
    write_network(folder)
    text = json.loads((folder / "colours.json").read_text())
    for name, value in fields.items():
        part, _, field = name.partition("_")
        text[part][field] = value
    (folder / "colours.json").write_text(json.dumps(text))
    return ModelSpec.read(folder / "colours.onnx")


def test_the_input_tensor(tmp_path):
    mean, std = [120, 110, 100], [60, 55, 50]
    network = OnnxNetwork(_edited(tmp_path, input_mean=mean, input_std=std, input_channels="BGR", input_scale=0.9))
    crops = _crops(3)
    expected = ((crops[..., ::-1] * 0.9 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)
    blob = to_tensor(crops, network.spec.input)
    assert blob.dtype == np.float32 and blob.flags.c_contiguous
    np.testing.assert_allclose(blob, expected, atol=1e-5)
    mirrored = to_tensor(crops[:, :, ::-1], network.spec.input)
    np.testing.assert_allclose(mirrored, expected[..., ::-1], atol=1e-5)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "uint8"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_every_form_of_input_tensor(layout, dtype, channels):
    mean, std = (0.2, 0.3, 0.1), (0.01, 0.02, 0.015)
    input_spec = InputSpec("x", layout, dtype, 6, 5, channels, 1 / 255, mean, std)
    pixels = np.random.default_rng(0).integers(80, 256, (3, 6, 5, 3), dtype=np.uint8)
    for crops in (pixels, pixels[:, :, ::-1]):
        expected = ((crops[..., ::-1] if channels == "BGR" else crops) / 255 - mean) / std
        expected = expected.transpose(0, 3, 1, 2) if layout == "NCHW" else expected
        tensor = to_tensor(crops, input_spec)
        assert tensor.dtype == dtype and tensor.flags.c_contiguous
        np.testing.assert_allclose(tensor, expected, atol={"float32": 1e-4, "float16": 0.05}.get(dtype, 0.501))


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_the_same_from_any_number_of_threads(tmp_path, batch):
    spec = ModelSpec.read(write_network(tmp_path, batch=batch))
    crops = _crops(11)
    expected = OnnxNetwork(spec, threads=1)(crops).heatmaps[0]
    for threads in (2, 3, 8, 40):
        np.testing.assert_array_equal(OnnxNetwork(spec, threads=threads)(crops).heatmaps[0], expected)


def test_a_real_network_from_any_number_of_threads_and_in_any_batch(data_dir):
    spec = ModelSpec.read(data_dir / "networks" / "simplepose.onnx")
    crops = _crops(6)
    expected = OnnxNetwork(spec, threads=1)(crops).heatmaps[0]
    for threads in (2, 5):
        network = OnnxNetwork(spec, threads=threads)
        np.testing.assert_array_equal(network(crops).heatmaps[0], expected)
        np.testing.assert_array_equal(network(crops[2:3]).heatmaps[0], expected[2:3])


def test_whole_numbers_pass_untouched(data_dir):
    network = OnnxNetwork(ModelSpec.read(data_dir / "networks" / "movenet-thunder.onnx"))
    crops = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    blob = to_tensor(crops, network.spec.input)
    assert blob.dtype == np.int32
    np.testing.assert_array_equal(blob, crops)


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_any_batch_size_gives_what_the_session_gives(tmp_path, batch):
    path = write_network(tmp_path, batch=batch)
    network = OnnxNetwork(ModelSpec.read(path), threads=2)
    assert network.fixed_batch == (None if batch == "batch" else batch)
    free = onnxruntime.InferenceSession(str(write_network(tmp_path / "free")))
    for count in (0, 1, 4, 7):
        crops = _crops(count)
        outputs = network(crops)
        expected = free.run(None, {"data": ((crops - 128.0) / 100).transpose(0, 3, 1, 2).astype(np.float32)})[0]
        np.testing.assert_allclose(outputs.heatmaps[0], expected, atol=1e-5)


def test_threads_by_default_are_the_cpus(tmp_path):
    assert OnnxNetwork(ModelSpec.read(write_network(tmp_path))).threads >= 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input_name": "image"}, r"'input.name' says 'image'"),
        ({"input_layout": "NHWC"}, r"'input' says \['B', 256, 192, 3\]"),
        ({"input_dtype": "uint8"}, r"'input.dtype' says uint8"),
        ({"output_name": "heat"}, r"'output.name' says 'heat'"),
    ],
)
def test_a_spec_that_does_not_fit_the_network(tmp_path, fields, message):
    with pytest.raises(InputError, match=r"colours\.onnx: .*" + message):
        OnnxNetwork(_edited(tmp_path, **fields))


def test_outputs_of_another_shape(tmp_path):
    network = OnnxNetwork(_edited(tmp_path, output_width=47, output_stride=4.04))
    with pytest.raises(InputError, match=r"gave an output \(2, 17, 64, 48\), its spec's 'output' says \(2, 17, 64, 47"):
        network(_crops(2))


def test_a_network_that_gives_nan(tmp_path):
    network = OnnxNetwork(ModelSpec.read(write_network(tmp_path, fill=np.nan)))
    with pytest.raises(InputError, match="not finite"):
        network(_crops(1))


@pytest.mark.parametrize("content", [b"no network", b""])
def test_a_file_that_is_no_network(tmp_path, content):
    path = write_network(tmp_path)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"colours\.onnx: onnxruntime cannot load it"):
        OnnxNetwork(ModelSpec.read(path))


def test_unknown_provider_and_wrong_crops(tmp_path):
    spec = ModelSpec.read(write_network(tmp_path))
    with pytest.raises(InputError, match=r"device: .* got 'tpu'"):
        OnnxNetwork(spec, device="tpu")
    with pytest.raises(ValueError, match=r"pixels: expected \(B, 256, 192, 3\)"):
        OnnxNetwork(spec)(np.zeros((1, 192, 256, 3), np.uint8))
