"""The options of recipes for surfaces of bodies (DensePose)."""

from dataclasses import dataclass

from trustpose.training.values import expect_within


@dataclass(frozen=True)
class SurfaceOptions:
    """The network's head and its losses. Only for system "surfaces".

    hidden, layers: channels and number of the convolutions before the maps; the paper's are 512 and 8. part_weight,
    point_weight, mask_weight: of the cross entropy of parts, of smooth L1 of U and V, and of the mask's cross entropy;
    Detectron2's are 1, 0.01 and 5. per_person: the second is divided by the number of people in the batch; Detectron2
    sums over all points. offset: see `surface_losses.read_at_points`. quality: with a branch for the expected geodesic
    point similarity of each pixel; quality_weight: of its loss. regions: the network sees whole photos, and the maps
    are of boxes cut out of its features; without a `network` that is the paper's ResNet-50 with a feature pyramid, with
    the paper's head. mesh: the file or folder with geodesic distances
    (`io.surface_mesh`), which the branch and the numbers of validation need. mirror: DensePose's
    `UV_symmetry_transforms.mat`; without it mirrored people teach parts and masks only.
    """

    hidden: int = 256
    layers: int = 2
    part_weight: float = 1.0
    point_weight: float = 0.01
    mask_weight: float = 5.0
    per_person: bool = False
    offset: float = 0.5
    regions: bool = False
    quality: bool = False
    quality_weight: float = 1.0
    mesh: str | None = None
    mirror: str | None = None

    def __post_init__(self) -> None:
        expect_within(self, hidden=(1, 4096), layers=(1, 64), offset=(0, 1))
        for name in ("part_weight", "point_weight", "mask_weight", "quality_weight"):
            expect_within(self, **{name: (0, 1e9)})
