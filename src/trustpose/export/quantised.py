"""Networks whose convolutions run on 8-bit numbers: faster, and less accurate.

Static post-training quantisation (Jacob et al., CVPR 2018) by onnxruntime.quantization: weights per channel, maps in
the range that samples show. Needs the `train` extra, unlike running the result.
"""

import logging
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

_KINDS = ("Conv", "Add", "Clip", "Relu")


class _Samples(CalibrationDataReader):
    """The inputs on which ranges are measured, one by one."""

    def __init__(self, samples: Iterable[Mapping[str, np.ndarray]]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore  # None ends
        sample = next(self._samples, None)
        return None if sample is None else dict(sample)


def quantised(
    model: onnx.ModelProto, samples: Iterable[Mapping[str, np.ndarray]], output: str = "heatmaps"
) -> onnx.ModelProto:
    """Return a graph with 8-bit convolutions on the way to `output`; what else reads their maps stays float32.

    The first convolution, which reads pixels, and the last, whose heatmaps are read to a part of a pixel, stay float32
    too. samples: inputs of the graph by name; ranges leave out the largest 0.001 % of a map's numbers, since single
    large ones would make all others coarse. Weights have 7 bits, which is exact on CPUs without 8-bit dot products, too
    (AVX2 adds two products in 16 bits). Raises ValueError for a graph with fewer than three convolutions.
    """
    logging.getLogger().setLevel(max(logging.getLogger().level, logging.ERROR))  # it logs advice as warnings
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, result = (Path(folder) / f"{name}.onnx" for name in ("source", "prepared", "result"))
        onnx.save_model(model, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            _Samples(samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_between(onnx.load(prepared), output),
            calibrate_method=CalibrationMethod.Percentile,
        )
        return onnx.load(result)


def _between(model: onnx.ModelProto, output: str) -> list[str]:
    """Return the names of the nodes to quantise: those before `output`, between its first and last convolution."""
    needed, upstream_nodes = {output}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            upstream_nodes.append(node)
    convolutions = [index for index, node in enumerate(upstream_nodes) if node.op_type == "Conv"]
    if len(convolutions) < 3:
        raise ValueError(f"model: expected at least three convolutions before {output}, got {len(convolutions)}")
    return [node.name for node in upstream_nodes[convolutions[0] + 1 : convolutions[-1]] if node.op_type in _KINDS]
