"""ImageNet backbones that end in one feature map; the only module that imports timm.

torchvision's wheels contain compiled operators for one build of torch. With another build (a CPU-only torch with the
CUDA wheel of torchvision is a common pair) the library does not load, and `import torchvision`, and with it `import
timm`, fails with "operator torchvision::nms does not exist", because torchvision registers the shapes of two operators
without checking that they exist. `_import_timm` then declares these two (names and argument types, no code), removes
the partially imported modules and imports again. Networks do not use these operators; a caller (torchvision's
detectors) still gets torch's error that they are not implemented.
"""

import sys
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor, nn

_BOXES_OPERATORS = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # a declaration lives as long as this object


def _import_timm() -> ModuleType:
    try:
        import torchvision  # noqa: F401  # timm imports it; here only to test the import
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in (name for name in _BOXES_OPERATORS if not hasattr(torch.ops.torchvision, name)):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    import timm

    return timm


timm = _import_timm()
BasicBlock, Bottleneck = timm.models.resnet.BasicBlock, timm.models.resnet.Bottleneck  # also used by HRNet


class ImageNetBackbone(nn.Module):
    """A timm network without the layers after its last feature map; tensor names are timm's own."""

    def __init__(self, name: str, pretrained: bool = False, **options: object):
        super().__init__()
        try:
            features = timm.create_model(name, pretrained, features_only=True, out_indices=(-1,), **options)
        except RuntimeError as error:  # timm's error for an unknown name
            raise ValueError(f"backbone: expected the name of a timm network, got {name!r} ({error})") from None
        if str(getattr(features, "output_fmt", "NCHW")).rpartition(".")[2] != "NCHW":
            raise ValueError(f"backbone: expected one with feature maps (B, C, h, w), got {name!r}, channels last")
        self.features = features
        self.channels: int = features.feature_info.channels()[-1]
        self.stride: int = features.feature_info.reduction()[-1]

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        return self.features(image)[-1]
