"""Predict held-out people, and compute the audit's numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from trustpose.codecs import Outputs
from trustpose.datasets.augment import TrainingCrops
from trustpose.datasets.people import PersonSample
from trustpose.evaluation.audit import audit_numbers
from trustpose.evaluation.record import AuditNumbers
from trustpose.geometry.crops import affine_to_crop, box_share, cut_out, grow_box, invert_affine, transform
from trustpose.heads.heads import Trust, average_flipped
from trustpose.images import Images
from trustpose.io.coco.labels import without_occlusion
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile
from trustpose.models.outputs.crops import CropCodec
from trustpose.poses import Area, Poses, Truth, box_size
from trustpose.skeletons import Skeleton
from trustpose.training import distributed
from trustpose.training.crops import normalise
from trustpose.training.people import load_batches

Predict = Callable[[Tensor, Tensor], tuple[Outputs, Trust | None]]

NUMBERS = (
    "ap.AP ap.AP50 ap.AP75 ap.AR oracle_ap.AP headroom pose.pearson pose.spearman pose.ece keypoint.pearson "
    "keypoint.pearson_pose_mean keypoint.ece keypoint.brier visibility.labelled.f1 visibility.ternary.occluded.f1 "
    "visibility.ternary.total.f1"
).split()


@dataclass(frozen=True)
class ValidationOptions:
    """batch_size: crops at once; workers: processes that prepare them; flip: average with mirrored crops."""

    batch_size: int = 32
    workers: int = 0
    flip: bool = False


@dataclass(eq=False)
class Validation:
    """Held-out people cropped as in prediction, their poses, and the audit of these.

    `crops`: the people and how they are cropped, without augmentation. Poses are ranked by the head's `pose_quality` if
    it has one, else by the mean heatmap peak; then the numbers of the latter have the prefix "network.". OKS uses each
    person's own area if everybody has one, else `area`. Labels are read once.
    """

    crops: TrainingCrops
    codec: CropCodec
    area: Area
    options: ValidationOptions = ValidationOptions()
    _truth: TruthFile | None = field(default=None, init=False)

    def __call__(self, predict: Predict, device: torch.device) -> dict[str, float]:
        """Return the audit's numbers by name, and the network's own; None becomes NaN. Every process predicts its
        share.

        predict: from crops (B, 3, H, W), normalised, and the boxes' fractions of them (B, 2), to outputs and trust.
        """
        rows = np.arange(len(self.crops))[distributed.rank() :: distributed.count()]
        parts = distributed.gather_objects(self._predicted(predict, device, rows))
        order = np.argsort(np.concatenate([part["row"] for part in parts]))
        columns = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
        if self._truth is None:
            self._truth = truth_of(columns, self.crops.people.skeleton)
        return numbers_of(poses_of(columns), self._truth, self.area)

    @torch.no_grad()
    def _predicted(self, predict: Predict, device: torch.device, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return keypoints in photo pixels, scores, trust and labels of the people at `rows`, as columns."""
        loader: Any = DataLoader(
            _Labelled(self.crops, rows),  # type: ignore anything with length and items will do
            batch_size=self.options.batch_size,
            num_workers=self.options.workers,
            collate_fn=_together,
            generator=torch.Generator(),
        )
        batches: list[dict[str, np.ndarray]] = []
        for pixels, columns in load_batches(loader):
            share = box_share(box_size(columns["box"]), columns["affine"], self.crops.width, self.crops.height)
            box = torch.from_numpy(share).float().to(device)
            outputs, trust = self._both(predict, normalise(pixels.to(device)), box)
            keypoints = self.codec.decode(outputs)
            columns["xy"] = transform(invert_affine(columns.pop("affine")), keypoints.xy)
            columns["score"] = keypoints.score.astype(np.float64)
            filled = {} if trust is None else trust.filled()
            columns |= {name: value.float().cpu().double().numpy() for name, value in filled.items()}
            batches.append(columns)
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]} | {"row": rows}

    def _both(self, predict: Predict, image: Tensor, box: Tensor) -> tuple[Outputs, Trust | None]:
        """Return outputs as arrays, of the crops alone or averaged with their mirror images."""
        outputs, trust = _arrays(*predict(image, box))
        if not self.options.flip:
            return outputs, trust
        index = self.crops.people.skeleton.flip_index
        mirrored, mirrored_trust = _arrays(*predict(image.flip(3), box))
        if trust is not None and mirrored_trust is not None:
            trust = average_flipped(trust, mirrored_trust, torch.from_numpy(index).to(image.device))
        return self.codec.average_flipped(outputs, mirrored, index), trust


def poses_of(columns: dict[str, np.ndarray]) -> Poses:
    """Build poses from the columns xy (N, K, 2), photo pixels, score (N, K), box, image_id, and those of `Trust`.

    Person i has annotation id i + 1, as in `truth_of`.
    """
    return Poses(
        xy=columns["xy"],
        score=columns["score"],
        pose_score=columns["score"].mean(axis=1),
        quality=columns.get("quality"),
        visibility=columns.get("visibility"),
        pose_quality=columns.get("pose_quality"),
        box=columns["box"],
        image_id=columns["image_id"],
        annotation_id=np.arange(1, len(columns["xy"]) + 1),
    )


def truth_of(columns: dict[str, np.ndarray], skeleton: Skeleton) -> TruthFile:
    """Build the truth from the columns truth_xy (N, K, 2), v (N, K), is_ternary (N, K), area (N,), box (N, 4), image_id
    (N,), photo pixels. v is COCO's only if it is that of every labelled keypoint."""
    images = np.unique(columns["image_id"])
    truth = Truth(
        xy=columns["truth_xy"],
        v=columns["v"],
        area=columns["area"],
        box=columns["box"],
        image_id=columns["image_id"],
        annotation_id=np.arange(1, len(columns["v"]) + 1),  # joined sources may use the same number
        skeleton=skeleton,
    )
    has_visibility = bool(columns["is_ternary"][columns["v"] > 0].all())
    return TruthFile(
        truth=truth if has_visibility else without_occlusion(truth),
        images=Images(images),
        skeleton=skeleton,
        keypoint_names=skeleton.keypoints,
        category_id=1,
        category_ids=(1,),
        path="the validation people",
        sha256="",
        has_visibility=has_visibility,
    )


def numbers_of(poses: Poses, truth: TruthFile, area: Area) -> dict[str, float]:
    """Return the audit's numbers by name, ranked by `pose_quality` if present, and then the network's own.

    OKS uses each person's own area, a segment's in COCO, if everybody has one, else `area`.
    """
    own_area = truth.truth.area
    area = "file" if own_area is not None and np.isfinite(own_area).all() else area
    network_audit = _audit(truth, poses, poses.pose_score, area)
    if poses.pose_quality is None:
        return _chosen(network_audit)
    ranked = _audit(truth, poses, poses.pose_quality, area)
    network = {name: network_audit.number(name) for name in ("ap.AP", "headroom", "pose.pearson")}
    return _chosen(ranked) | {f"network.{name}": _number(value) for name, value in network.items()}


@dataclass(eq=False)
class _Labelled:
    """The people at `rows` with their crops."""

    crops: TrainingCrops
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[PersonSample, UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2 3"]]:
        """Return the person without pixels, the crop as in prediction, and the affine from the photo to it."""
        crops = self.crops
        sample = crops.people[int(self.rows[index])]
        box = grow_box(sample.box, crops.padding, crops.width / crops.height)
        affine = affine_to_crop(box, *(crops.extent or (crops.width, crops.height)))
        back = invert_affine(sample.affine)
        onto = np.c_[affine[:, :2] @ back[:, :2], affine[:, :2] @ back[:, 2] + affine[:, 2]]  # from the given pixels
        return (
            replace(sample, pixels=sample.pixels[:0]),
            cut_out(sample.pixels, onto, crops.width, crops.height),
            affine,
        )


def _together(
    people: Sequence[tuple[PersonSample, np.ndarray, np.ndarray]],
) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Return pixels (B, H, W, 3), and the columns of labels, in photo pixels."""
    samples, pixels, affines = zip(*people, strict=True)
    columns = {name: np.stack([getattr(sample, name) for sample in samples]) for name in ("v", "box")}
    columns |= {
        "truth_xy": np.stack([sample.xy for sample in samples]),
        "is_ternary": np.stack([sample.has_joint & (sample.has_visibility | (sample.v == 0)) for sample in samples]),
        "area": np.array([sample.area for sample in samples], dtype=np.float64),
        "image_id": np.array([sample.image_id for sample in samples], dtype=np.int64),
        "affine": np.stack(affines),
    }
    return torch.from_numpy(np.stack(pixels)), columns


def _arrays(outputs: Outputs, trust: Trust | None) -> tuple[Outputs, Trust | None]:
    coordinates = None if outputs.coordinates is None else outputs.coordinates.float().cpu().numpy()
    return Outputs([maps.float().cpu().numpy() for maps in outputs.heatmaps[-1:]], coordinates=coordinates), trust


def _audit(truth: TruthFile, poses: Poses, score: np.ndarray | None, area: Area) -> AuditNumbers:
    assert score is not None
    results = ResultsFile(poses, score, np.ones(len(poses), dtype=np.int64), "the validation poses", "")
    return audit_numbers(truth, results, area=area)


def _chosen(record: AuditNumbers) -> dict[str, float]:
    return {name: _number(record.number(name)) for name in NUMBERS}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
