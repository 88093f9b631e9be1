"""Options of a recipe: the data, and AlphaPose's symmetric transformer around the network."""

from dataclasses import dataclass
from typing import Literal

from trustpose.codecs.heatmaps import CODECS
from trustpose.files import InputError
from trustpose.names import expected_one_of
from trustpose.skeletons import Skeleton, skeleton_of
from trustpose.training.values import expect_within


@dataclass(frozen=True)
class DataOptions:
    """The people to use, and how they are cropped.

    dataset: name of the paper's training data, for information. skeleton: a name of `skeletons.SKELETONS`, or
    FILE.json; people with other joints are mapped to it. min_keypoints: minimum number of labels of a training person.
    padding: factor that enlarges boxes. augmentation: a preset of `datasets.augment`. codec: a name of
    `codecs.heatmaps.CODECS`; sigma: standard deviation of the target Gaussians in map pixels, None for 2 at a height of
    256 and in proportion. fold of folds: the part of the images, by id, for validation; with folds 0 all are used for
    training and there is no validation. share: of the other images, the part for training, for learning curves over the
    data size. Of several data sets only the first is divided. extra_share: the part of the others in each epoch,
    redrawn every time. teacher_quality: minimum expected OPKS of a teacher's keypoint to be used (`training.teacher`).
    interference: height of other people's joints in heatmaps, CrowdPose's μ. proposals: a detector's boxes on the
    training photos, COCO results; crops are then cut by boxes drawn with its errors (AlphaPose's pose-guided proposals,
    `datasets.proposals`). photos: a COCO ground truth; only people of its photos are used, as for a trust head on a
    network that has seen the others. unseen: the same, for a trust head on a frozen network, but people of other photos
    teach the head, too; they do not calibrate it. detections: a detector's boxes on these photos, COCO results; a trust
    head then also learns which boxes contain no person.
    """

    dataset: str = "coco"
    skeleton: str = "coco17"
    min_keypoints: int = 1
    padding: float = 1.25
    augmentation: Literal[
        "nothing", "flip", "keypoint-masking", "deep-pose", "simple-baseline", "hrnet", "strong", "gentle"
    ] = "hrnet"
    codec: str = "argmax-quarter"
    sigma: float | None = None
    fold: int = 0
    folds: int = 5
    share: float = 1.0
    extra_share: float = 1.0
    teacher_quality: float = 0.7
    interference: float = 0.0
    proposals: str | None = None
    photos: str | None = None
    unseen: str | None = None
    detections: str | None = None

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise ValueError(f"codec: {expected_one_of(CODECS, self.codec)}")
        try:
            _ = self.joints
        except InputError as error:
            reason = str(error).removeprefix("skeleton: ")
            raise ValueError(f"skeleton: {reason}") from None
        expect_within(self, min_keypoints=(0, 1000), padding=(0.1, 10), sigma=(0.1, 1000), share=(1e-6, 1))
        expect_within(self, extra_share=(0, 1), teacher_quality=(0, 1), interference=(0, 1))
        if self.folds < 0 or self.folds == 1:
            raise ValueError(f"folds: expected 0, or 2 or more, got {self.folds}")
        if self.folds:
            expect_within(self, fold=(0, self.folds - 1))

    @property
    def joints(self) -> Skeleton:
        """The skeleton named by `skeleton`."""
        return skeleton_of(self.skeleton, "skeleton")


@dataclass(frozen=True)
class TransformerOptions:
    """AlphaPose's symmetric transformer around the network (`networks.symmetric_transformer`).

    localisation: the network that finds the person in the crop: "own", a copy of the recipe's network up to its
    features, or one of timm's, such as "resnet18" (the paper's); None for no transformer. parallel: weight of the
    parallel branch's loss, beside the heatmaps', 0 for none.
    """

    localisation: str | None = None
    parallel: float = 1.0

    def __post_init__(self) -> None:
        expect_within(self, parallel=(0, 1e9))
