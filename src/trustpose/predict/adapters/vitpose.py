"""ViTPose (Xu et al., NeurIPS 2022) from Hugging Face `transformers`: top-down, heatmaps, UDP.

transformers and ViTPose are under the Apache-2.0 licence; a checkpoint's licence is on its page.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.files import InputError
from trustpose.models.runtime.torch_network import TorchNetwork
from trustpose.models.spec import HeatmapOutput, InputSpec, ModelSpec
from trustpose.predict.adapters.estimator import package
from trustpose.predict.predictor import Predictor
from trustpose.skeletons import COCO_17

PADDING = 1.25  # as in its own image processor
SIGMA = 2.0  # map pixels: standard deviation of the targets of ViTPose's 256 × 192 networks
_COCO_EXPERT = 0  # index of ViTPose++'s expert, one per data set


class VitPoseNetwork(nn.Module):
    """Maps (B, 3, H, W) normalised crops to `Outputs` with heatmaps (B, K, H/4, W/4)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._experts: int = getattr(model.config.backbone_config, "num_experts", 1)

    def forward(self, pixels: Tensor) -> Outputs:
        is_mixed = self._experts > 1
        which = torch.full((len(pixels),), _COCO_EXPERT, device=pixels.device) if is_mixed else None
        heatmaps = self.model(pixel_values=pixels.contiguous(), dataset_index=which).heatmaps
        return Outputs(heatmaps=[heatmaps])


def load(
    argument: str,
    *,
    device: str | None = None,
    precision: str = "float32",
    batch_size: int = 16,
    flip: bool = False,
    threads: int | None = None,
    codec: str | None = None,
) -> Predictor:
    """Load the predictor of a checkpoint: a folder, or a name that transformers downloads from its hub, such as
    usyd-community/vitpose-base-simple.

    Weights are read from safetensors only, and no code of the checkpoint is run. Maps are decoded with our UDP codec,
    as in its own image processor, except for peaks of 0 or less: it puts these keypoints outside the map, ours keeps
    them at the peak. `score` is the peak's height. For the options see `PredictOptions`. Raises InputError.
    """
    if not argument:
        raise InputError(
            "vitpose: expected vitpose:FOLDER or vitpose:NAME, as in vitpose:usyd-community/vitpose-base-simple"
        )
    transformers = package("transformers", "transformers")
    try:
        model = transformers.VitPoseForPoseEstimation.from_pretrained(argument, use_safetensors=True)
        processor = transformers.VitPoseImageProcessor.from_pretrained(argument)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"vitpose:{argument}: cannot be loaded by transformers ({reason})") from None
    network = VitPoseNetwork(model).eval()
    runtime = TorchNetwork(_spec(argument, network, processor), network, device=device, precision=precision)
    return Predictor(runtime, batch_size=batch_size, flip=flip, threads=threads, decoding=codec)


def _spec(name: str, network: VitPoseNetwork, processor: Any) -> ModelSpec:
    """Build the spec from the checkpoint's own files, with the map size from the network's output."""
    height, width = processor.size["height"], processor.size["width"]
    with torch.inference_mode():
        heatmaps = network(torch.zeros(1, 3, height, width)).heatmaps[-1]  # (1, K, h, w)
    if heatmaps.shape[1] != len(COCO_17):
        raise InputError(f"vitpose:{name}: gives {heatmaps.shape[1]} keypoints, expected COCO's {len(COCO_17)}")
    rescale = float(processor.rescale_factor)
    colours = [
        tuple(float(value) for value in np.broadcast_to(x, 3)) for x in (processor.image_mean, processor.image_std)
    ]
    mean, std = ((red, green, blue) for red, green, blue in colours)
    return ModelSpec(
        onnx=Path(name),
        name=f"vitpose:{name}",
        licence="Apache-2.0 (transformers, ViTPose); the checkpoint's own: see its page",
        source=name,
        input=InputSpec("pixel_values", "NCHW", "float32", height, width, "RGB", rescale, mean, std),
        output=HeatmapOutput(
            keypoints=len(COCO_17),
            height=heatmaps.shape[2],
            width=heatmaps.shape[3],
            stride=height / heatmaps.shape[2],
            decoding="udp",
            convention="unbiased",
            sigma=SIGMA,
        ),
        skeleton=COCO_17,
        padding=PADDING,
    )
