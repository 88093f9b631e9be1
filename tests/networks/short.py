"""Networks of the zoo with fewer repeats of the same block: every kind of part, each no more often than it takes."""

import pytest
from torch import nn

from trustpose.networks import hrnet, mspn
from trustpose.networks.zoo import ZOO

FULL = dict(ZOO)  # a test may put a short one into the zoo
RESNET = (2, 1, 2, 1)  # the first block of a layer may change width and stride, the others change neither
EXCHANGES = (1, 1, 2)  # the very last unit has one output, all others one for each branch


def build_short(name: str, keypoints: int = 17) -> nn.Module:
    """The zoo's network `name`, with fewer blocks if they are those of ResNet-50 or HRNet; any other as it is."""
    options = {"layers": RESNET} if name.startswith("simple-baseline-r50") else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hrnet, "_EXCHANGES", EXCHANGES)
        patch.setattr(hrnet, "_RESIDUALS", 1)
        patch.setattr(mspn, "BLOCKS", RESNET)
        return FULL[name](keypoints=keypoints, **options)
