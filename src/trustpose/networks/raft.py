"""RAFT's optical flow (Teed & Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020), by
torchvision's `raft_small`. torchvision and its weights are under the BSD-3-Clause licence."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch.nn import functional

from trustpose.files import InputError
from trustpose.networks import backbones  # noqa: F401  # imports torchvision with any torch
from trustpose.networks.checkpoint_files import read_own_tensors

_STRIDE, _MIN_SIDE = 8, 128  # of the features; sides below this have no coarsest level of correlations


class Raft:
    """The flow of two frames, as `tracking.Tracker(flow_function=Raft())` takes it.

    weights: a file (.safetensors or a state dict) of `raft_small`; None: torchvision's own, trained on FlyingChairs and
    FlyingThings3D, which it downloads once (4 MB). Raises InputError.
    """

    def __init__(self, weights: str | Path | None = None, *, device: str = "cpu") -> None:
        from torchvision.models.optical_flow import raft_small

        try:
            self.module = raft_small(weights="DEFAULT" if weights is None else None)
        except OSError as error:  # of the download
            raise InputError(
                f"raft: torchvision could not fetch its weights ({error}); name a file of them: raft:WEIGHTS.pth"
            ) from None
        if weights is not None:
            self.module.load_state_dict(read_own_tensors(Path(weights), self.module, "RAFT"))
        self.module.to(device).eval()

    def __call__(
        self, previous: UInt8[np.ndarray, "h w 3"], current: UInt8[np.ndarray, "h w 3"]
    ) -> Float32[np.ndarray, "h w 2"]:
        """Return each pixel's displacement (x, y) from the last frame to this one, both RGB, in pixels."""
        height, width = previous.shape[:2]
        frames = torch.from_numpy(np.stack([previous, current])).permute(0, 3, 1, 2)  # (2, 3, h, w)
        frames = frames.to(next(self.module.parameters()).device, torch.float32) / 127.5 - 1
        more = [max(-(-side // _STRIDE) * _STRIDE, _MIN_SIDE) - side for side in (width, height)]
        frames = functional.pad(frames, [0, more[0], 0, more[1]], mode="replicate")
        with torch.inference_mode():
            field = self.module(frames[:1], frames[1:])[-1][0, :, :height, :width]  # (2, h, w)
        return np.ascontiguousarray(field.permute(1, 2, 0).float().cpu().numpy())
