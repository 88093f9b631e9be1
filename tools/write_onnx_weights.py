"""Write a trained zoo network's weights into the ONNX file that it started from, whose tensors keep their names.

    python tools/write_onnx_weights.py START.json FOLDER OUT.json

FOLDER is of `trustpose train … --model START.onnx`. OUT.json and OUT.onnx are written; a trust head can then be trained
on named tensors of that graph (`trustpose train default-trust`), as on the published file. Weights have the file's own
precision. Refused where the written graph's heatmaps are not the network's.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx.numpy_helper import from_array, to_array

from trustpose.files import InputError
from trustpose.models.runtime.backends import OnnxNetwork
from trustpose.models.runtime.torch_network import TorchNetwork
from trustpose.models.runtime.weights import load_module
from trustpose.models.spec import ModelSpec
from trustpose.networks.onnx_weights import read_onnx_weights
from trustpose.networks.zoo import build

TOLERANCE = 0.02  # of heatmaps of peaks about 1, for weights rounded to 16 bits


def run(start: Path, trained: Path, out: Path) -> None:
    """Write OUT.onnx and OUT.json."""
    spec, ours = ModelSpec.read(start), ModelSpec.read(trained)
    if ours.network is None:
        raise InputError(f"{trained}: is not a network of the zoo")
    module = load_module(ours)
    model = onnx.load(str(spec.onnx))
    start_state = read_onnx_weights(spec.onnx, build(ours.network, keypoints=len(spec.skeleton)))
    # a tensor of the file is known by its content: which parameter it became when it was read
    known = {tensor.detach().numpy().astype(np.float32).tobytes(): name for name, tensor in start_state.items()}
    state, left = module.state_dict(), set(start_state)
    for tensor in model.graph.initializer:
        array = to_array(tensor)
        name = known.get(array.astype(np.float32).tobytes())
        if name is not None and array.size == state[name].numel():
            value = state[name].detach().numpy().reshape(array.shape).astype(array.dtype)
            tensor.CopyFrom(from_array(value, tensor.name))
            left.discard(name)
    left = {name for name in left if start_state[name].any()}  # a convolution without bias was read as zeros
    if left:
        raise InputError(f"{spec.onnx}: no tensor became {sorted(left)[0]}, and {len(left) - 1} others")
    onnx.save(model, str(out.with_suffix(".onnx")))
    source = f"{spec.source}; trained on by trustpose (docs/default-model.md)"
    value = json.loads(start.read_text()) | {"onnx": out.with_suffix(".onnx").name, "source": source}
    out.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    pixels = np.random.default_rng(0).integers(0, 256, (4, spec.input.height, spec.input.width, 3), dtype=np.uint8)
    one, other = OnnxNetwork(ModelSpec.read(out))(pixels), TorchNetwork(replace(ours, trust=None), module)(pixels)
    worst = float(np.abs(one.heatmaps[-1] - other.heatmaps[-1]).max())
    print(f"{out}: {len(start_state)} tensors, heatmaps within {worst:.2g} of the trained network's")
    if not worst <= TOLERANCE:
        raise InputError(f"{out}: heatmaps differ by {worst:.2g} from the trained network's")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python tools/write_onnx_weights.py START.json FOLDER OUT.json")
    try:
        run(*map(Path, sys.argv[1:]))
    except InputError as error:
        sys.exit(f"{error}")
