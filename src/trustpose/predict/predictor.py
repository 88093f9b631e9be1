"""`Predictor`: predict poses from photos and boxes.

The way of a photo: `_prepare` reads it and cuts its people out, as a `Job`; `_batches` fills batches with the crops of
several photos; `_run` runs the network on a batch and decodes its output; `_finish` makes `Poses` of a photo whose
crops have all run. Threads prepare photos and run batches at the same time. Below the class: what the association
of joints adds.
"""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from trustpose.addresses import page
from trustpose.codecs import Candidates, Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.files import InputError
from trustpose.geometry.crops import (
    NO_BOXES,
    Boxes,
    CropPixels,
    Padding,
    affine_to_crop,
    box_share,
    cut_boxes,
    grow_box,
    invert_affine,
    transform,
)
from trustpose.grouping.association import JointAssociation
from trustpose.grouping.crowdpose import JointCandidates
from trustpose.io.photos import MAX_PIXELS
from trustpose.models.flip_test import average_flipped
from trustpose.models.outputs.trust import READ_FIELDS, TrustArrays, on_lines, pose_fields, trust_shape
from trustpose.models.runtime.backends import Runtime, module_of
from trustpose.models.spec import HeatmapOutput, ModelSpec, SimCCOutput
from trustpose.poses import ErrorModel, Poses, box_size
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.boxes import Detector, whole_photo
from trustpose.predict.detectors import load_detector
from trustpose.predict.photos import Image, Prediction, open_photo, prefetch
from trustpose.predict.second_crop import merge_crops
from trustpose.predict.sources import ReadOptions, images_of
from trustpose.threads import cpu_count, worker_threads

LEAST_PADDING, MOST_PADDING = 0.5, 5.0  # of a second crop
_MULTI_PEAK_DECODINGS = ("argmax-quarter", "dark", "udp")
_PHOTOS_BETWEEN_BATCHES = 32  # limits photos in memory; a batch may then run partly filled


@dataclass(frozen=True, eq=False)
class Crops:
    """The n crops of a photo's boxes.

    Attributes:
        pixels: (n, H, W, 3), RGB.
        box_share: (n, 2), width and height of the person's box as shares of the crop's.
        keypoints: (n, K, 2), crop pixels: where a trust head reads; NaN: at the network's own peaks.
        to_image: (n, 2, 3), affines from crop pixels to image pixels.
    """

    pixels: CropPixels
    box_share: Float[np.ndarray, "n 2"]
    keypoints: Float[np.ndarray, "n K 2"]
    to_image: Float[np.ndarray, "n 2 3"]


@dataclass(eq=False)
class Job:
    """A photo in progress: its n crops, and the results so far.

    With a second crop n is twice the number of boxes, the first crops of all boxes first.

    Attributes:
        photo: where it is from.
        boxes: its people.
        crops: their crops.
        mirrored: the crops that a flip test mirrors.
        xy, score: (n, K, 2) in image pixels and (n, K), filled as crops run; so is trust.
        trust: (n, …), the fields that the network's head predicts, by name.
        pending_crops: number of crops that have not run yet.
        pixels: of the photo, RGB; None if it could not be read.
        error: why not.
        skipped: boxes without crops, as their people would be left out.
        candidates: for association, the candidates of some boxes with the number of the first of them, in any order.
    """

    photo: Image
    boxes: Boxes
    crops: Crops
    mirrored: Crops
    xy: np.ndarray
    score: np.ndarray
    trust: dict[str, np.ndarray]
    pending_crops: int
    pixels: np.ndarray | None = None
    error: InputError | None = None
    skipped: Boxes = NO_BOXES
    candidates: list[tuple[int, JointCandidates]] = field(default_factory=list)


Batch = list[tuple[Job, slice]]  # the crops that run together: rows of some photos' crops


class Predictor(BasePredictor):
    """Predicts poses from photos: person box → crop → network → keypoints → image pixels, with the trust of the model.

    `tp.load` builds it. A call takes what `tp.load("default")` takes; `stream` yields photo by photo. Results do not
    depend on `batch_size` but for float rounding. A network with a trust head fills `quality`, `visibility` and
    `pose_quality`, as far as its head predicts them, and `presence` in boxes with a detector's score; people below
    `min_presence` are left out (`predict.base_predictor.present_people`). It warns if the head was fitted with another
    decoding.

    Args:
        runtime: the network, by ONNX Runtime or torch.
        batch_size: number of crops that run together.
        flip: average each crop's output, trust included, with its mirror image's. That is cut with the spec's
            `flip_padding`, if it has one and there is no second crop.
        threads: number of threads that read and crop photos, and run the network; None: one for each CPU.
        decoding: decoder of heatmaps instead of the spec's (`codecs.heatmaps.DECODINGS`); crops and flips keep the
            convention of training.
        second_crop: padding of a second crop of each person, 0.5 to 5, whose keypoints, scores and trust are averaged
            with the first's (`merge_crops`): twice the network's time. None: no second crop.
        association: shares the joints of a photo among its people (`grouping.association`); trust is then left out, as
            the head read it at the network's own peaks. None: each crop has its own joints.
        detector: detects the people of photos without boxes; None: each photo shows one person.
        max_pixels: files of larger photos are refused.

    Raises:
        ValueError: for a number out of its range.
        InputError: for options that the network cannot take.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        batch_size: int = 16,
        flip: bool = False,
        threads: int | None = None,
        decoding: str | None = None,
        second_crop: float | None = None,
        association: JointAssociation | None = None,
        detector: Detector | str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        if second_crop is not None and not LEAST_PADDING <= second_crop <= MOST_PADDING:
            raise InputError(f"second_crop: expected {LEAST_PADDING} to {MOST_PADDING}, got {second_crop}")
        self.runtime = runtime
        self.spec = runtime.spec if decoding is None else runtime.spec.with_decoding(decoding)
        self.codec = self.spec.codec
        self._describe(self.spec)
        trust = self.spec.trust
        self._reads_positions = trust is not None and trust.xy is not None
        self._trust = () if trust is None else tuple(name for name in READ_FIELDS if name in trust.outputs)
        if trust is not None and self.spec.output != runtime.spec.output:
            fitted = f"its trust was fitted to keypoints decoded by {runtime.spec.expect(HeatmapOutput).decoding}"
            warnings.warn(f"{self.spec.onnx}: {fitted}, and is not calibrated with {decoding}", stacklevel=3)
        self.association = association
        self._peaks = None if association is None else _association_codec(self.spec, second_crop)
        self.batch_size = batch_size
        self.flip = flip
        self.max_pixels = max_pixels
        self.paddings = [self.spec.padding, *([] if second_crop is None else [second_crop])]
        self._flip_padding = self.spec.flip_padding if flip and second_crop is None else None
        self.threads = threads or cpu_count()
        self._readers = worker_threads(self.threads, "trustpose-read")
        self._runners = worker_threads(2, "trustpose-batch")  # two, so that CPUs are never idle
        self.detector = None if detector is None else load_detector(detector)
        self.min_presence = 0.0 if trust is None or trust.presence is None else trust.presence.min_presence
        self.skips_boxes = False
        """Whether people whom `min_presence` would leave out are left out by their boxes' scores already: for the
        detector that the model's presence was fitted with, and where no other person's result depends on theirs."""

    @cached_property
    def network(self) -> Any:
        """The network as an `nn.Module`, (B, 3, H, W) normalised crops → `Outputs`; needs torch and a model folder.

        Raises InputError if torch is not installed or there is only an ONNX file.
        """
        return module_of(self.runtime)

    def judge(self, images: Any, poses: Poses) -> Poses:
        """Predict this model's trust for poses from any source: its head reads at the poses' keypoints.

        Crops are made from the poses' boxes, or from the tight boxes of their keypoints where they have none. The head
        is calibrated on poses of its own network (https://trustpose.github.io/trustpose/trust.html).

        Args:
            images: what a call takes.
            poses: in image pixels, of this model's skeleton. With several images `image_id` is the index into `images`.

        Returns:
            The same poses with `quality`, `visibility` and `pose_quality`, as far as the head predicts them; a missing
            keypoint's quality is 0.

        Raises:
            InputError: if the head cannot read at given keypoints, and for an image that cannot be read.
            ValueError: for poses of another skeleton.
        """
        if self.association is not None:
            raise InputError(f"{self.model}: judges poses as they are; load it without association")
        if not self.runtime.reads_positions:
            hint = f"load it with backend='torch', or save it with reads_xy=True ({page('trust')})"
            raise InputError(f"{self.spec.onnx}: its trust head cannot read at given keypoints; {hint}")
        skeleton = self.spec.skeleton
        if poses.keypoint_count != len(skeleton) or (poses.skeleton or skeleton).keypoints != skeleton.keypoints:
            got = "" if poses.skeleton is None else f" ({poses.skeleton.name})"
            raise ValueError(f"poses: expected those of {skeleton.name}, got {poses.keypoint_count} keypoints{got}")
        sources = list(images_of(images, ReadOptions(max_pixels=self.max_pixels)))
        image_index = np.zeros(len(poses), np.int64) if len(sources) == 1 else poses.image_id
        if image_index is None or (len(poses) and not 0 <= image_index.min() <= image_index.max() < len(sources)):
            raise ValueError(
                f"poses.image_id: expected numbers from 0 to {len(sources) - 1}, the images' positions in the list"
            )
        box = poses.person_box()
        xy = poses.xy if poses.missing is None else np.where(poses.missing[..., None], np.nan, poses.xy)
        rows = [np.flatnonzero(image_index == index) for index in range(len(sources))]
        photos = [
            replace(
                source,
                boxes=Boxes(box[photo_rows], np.full(len(photo_rows), index)),
                keypoints=xy[photo_rows].astype(np.float64),
            )
            for index, (source, photo_rows) in enumerate(zip(sources, rows, strict=True))
        ]
        filled: dict[str, Any] = pose_fields(self._empty_trust(len(poses)), is_detected=False)
        for photo_rows, prediction in zip(rows, self._predictions(photos), strict=True):
            if prediction.error is not None:
                raise prediction.error
            for name, values in filled.items():
                values[photo_rows] = getattr(prediction.poses, name)
        if poses.missing is not None and "quality" in filled:
            filled["quality"][poses.missing] = 0.0
        return replace(poses, **filled)

    @property
    def error_model(self) -> ErrorModel | None:
        """See `BasePredictor`: the calibrator's, else that of the model's trust."""
        if self.calibrate is not None or self.spec.trust is None:
            return super().error_model
        return self.spec.trust.error_model(flip=self.flip)

    def _predictions(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        """Yield the prediction of each photo, in order, as soon as its crops have run."""
        pending: deque[Job] = deque()
        with closing(prefetch(self._readers(), self._prepare, photos, 2 * self.threads + 2)) as jobs:
            for batch in prefetch(self._runners(), self._run, _batches(jobs, pending, self.batch_size), 3):
                for job, rows in batch:
                    job.pending_crops -= rows.stop - rows.start
                while pending and not pending[0].pending_crops:
                    yield self._finish(pending.popleft())
        while pending:
            yield self._finish(pending.popleft())

    def _prepare(self, photo: Image) -> Job:
        """Read one photo and crop its people; without any if it cannot be read."""
        pixels: np.ndarray | None = None
        error: InputError | None = None
        boxes = photo.boxes
        try:
            pixels = open_photo(photo, self.max_pixels)
            if boxes is None:
                boxes = (self.detector or whole_photo)(pixels)
        except InputError as read_error:
            error = read_error
        if boxes is None or error is not None:
            boxes = NO_BOXES
        is_skipped = self._is_skipped(photo, boxes)
        boxes, skipped = boxes[~is_skipped], boxes[is_skipped]
        keypoints = None if photo.keypoints is None else photo.keypoints[: len(boxes)]
        crops = self._cut(pixels, boxes, self.paddings, keypoints)
        mirrored = crops
        if self._flip_padding is not None:
            mirrored = self._cut(pixels, boxes, [self._flip_padding], keypoints)
        count, keypoint_count = len(crops.pixels), len(self.spec.skeleton.keypoints)
        return Job(
            photo=photo,
            boxes=boxes,
            crops=crops,
            mirrored=mirrored,
            xy=np.empty((count, keypoint_count, 2)),
            score=np.empty((count, keypoint_count)),
            trust=self._empty_trust(count),
            pending_crops=count,
            pixels=pixels,
            error=error,
            skipped=skipped,
        )

    def _is_skipped(self, photo: Image, boxes: Boxes) -> np.ndarray:
        """Return which of a photo's boxes (N,) are skipped: detected ones below the model's `least_box_score`."""
        presence, score = None if self.spec.trust is None else self.spec.trust.presence, boxes.score
        if presence is None or score is None or photo.boxes is not None or not self.skips_boxes:
            return np.zeros(len(boxes), np.bool_)
        return (score < presence.least_box_score) & (self.min_presence >= presence.min_presence)

    def _cut(
        self, pixels: np.ndarray | None, boxes: Boxes, paddings: Sequence[Padding], keypoints: np.ndarray | None
    ) -> Crops:
        """Cut people out of a photo, with the first padding, then with the next; keypoints: in image pixels."""
        spec, repeats = self.spec, len(paddings)
        width, height = spec.input.width, spec.input.height
        grown = np.concatenate([grow_box(boxes.xyxy, padding, width / height) for padding in paddings])
        affine = affine_to_crop(grown, *self.codec.crop_extent(width, height))  # (n, 2, 3)
        crop_keypoints = np.full((len(grown), len(spec.skeleton.keypoints), 2), np.nan)
        if keypoints is not None:
            crop_keypoints = transform(affine, np.tile(keypoints, (repeats, 1, 1)))
        return Crops(
            pixels=cut_boxes(pixels, grown, affine, (width, height), spec.cutting),
            box_share=box_share(np.tile(box_size(boxes.xyxy), (repeats, 1)), affine, width, height),
            keypoints=crop_keypoints,
            to_image=invert_affine(affine),
        )

    def _no_poses(self) -> Poses:
        empty: dict[str, Any] = pose_fields(self._empty_trust(0), is_detected=False)
        return replace(super()._no_poses(), **empty)

    def _empty_trust(self, people: int) -> dict[str, np.ndarray]:
        """Allocate each field of trust that the network fills."""
        return {name: np.empty((people, *trust_shape(name, len(self.spec.skeleton.keypoints)))) for name in self._trust}

    def _run(self, batch: Batch) -> Batch:
        """Run network and codec on one batch, and write the results into its jobs."""
        if not batch:
            return batch
        outputs, trust = self._outputs([(job.crops, rows) for job, rows in batch])
        if self.flip:
            mirrored, mirrored_trust = self._outputs([(job.mirrored, rows) for job, rows in batch], flip=True)
            outputs = average_flipped(self.spec, outputs, mirrored, self.spec.skeleton.flip_index, self._flip_padding)
            lines = {} if self.spec.trust is None else self.spec.trust.flip
            trust = trust.average_flipped(mirrored_trust, self.spec.skeleton.flip_index, lines)
        decoded, predicted = self.codec.decode(outputs), trust.filled()
        codec, association, candidates = self._peaks, self.association, None
        if codec is not None and association is not None:
            candidates = codec.candidates(
                outputs, min_score=association.min_score, max_per_map=association.max_per_joint
            )
        start = 0
        for job, rows in batch:
            stop = start + rows.stop - rows.start
            job.xy[rows] = transform(job.crops.to_image[rows], decoded.xy[start:stop])
            job.score[rows] = decoded.score[start:stop]
            for name, column in job.trust.items():
                column[rows] = predicted[name][start:stop]
            if codec is not None and candidates is not None:
                job.candidates.append(_candidates_in_photo(candidates, start, rows, job.crops.to_image, codec))
            start = stop
        return batch

    def _outputs(self, parts: list[tuple[Crops, slice]], *, flip: bool = False) -> tuple[Outputs, TrustArrays]:
        """Run the network on some crops, or on their mirror images."""
        pixels = np.concatenate([crops.pixels[rows] for crops, rows in parts])  # (B, H, W, 3)
        box = np.concatenate([crops.box_share[rows] for crops, rows in parts])  # (B, 2)
        keypoints = np.concatenate([crops.keypoints[rows] for crops, rows in parts])  # (B, K, 2)
        if flip:
            pixels = np.stack([cv2.flip(crop, 1) for crop in pixels])
        return self.runtime.with_trust(pixels, box, self._on_map(keypoints, flip=flip))

    def _on_map(self, keypoints: np.ndarray, *, flip: bool = False) -> np.ndarray | None:
        """Convert keypoints (B, K, 2) in crop pixels to map coordinates for the trust head; `flip`: of mirrored crops.

        None if all are the network's own peaks and the head has no input for them.
        """
        if not self._reads_positions and np.isnan(keypoints).all():
            return None
        if flip:
            keypoints = (np.array([self.spec.input.width - 1, 0]) - keypoints * (1, -1))[
                :, self.spec.skeleton.flip_index
            ]
        return self.spec.expect(HeatmapOutput, SimCCOutput).codec(self.spec.input).grid.cells(keypoints)

    def _finish(self, job: Job) -> Prediction:
        """Make the poses of a photo whose crops have all run."""
        boxes, xy, score, trust_arrays = job.boxes, job.xy, job.score, job.trust
        if len(self.paddings) > 1:
            linear = job.crops.to_image[: len(boxes), :, :2]
            size = np.sqrt(np.abs(np.linalg.det(linear)))  # image pixels of a crop pixel
            xy, score, trust_arrays = merge_crops(xy, score, trust_arrays, size * self.spec.input.height)
        detected_trust = None if boxes.score is None else self.spec.trust  # how trust is calibrated in detected boxes
        if detected_trust is not None:
            lines = detected_trust.detected_flip if self.flip else detected_trust.detected
            trust_arrays = on_lines(trust_arrays, lines)
        trust: dict[str, Any] = pose_fields(trust_arrays, is_detected=detected_trust is not None)
        poses = Poses(
            xy=xy,
            score=score,
            pose_score=score.mean(axis=1),
            box=boxes.xyxy,
            box_score=boxes.score,
            image_id=np.full(len(boxes), job.photo.image_id),
            annotation_id=boxes.annotation_id,
            skeleton=self.spec.skeleton,
            error_model=self.error_model,
            **trust,
        )
        if detected_trust is not None and detected_trust.presence is not None:
            presence = detected_trust.presence(poses, poses.presence, job.skipped.xyxy)
            poses = replace(poses, presence=presence)
        if self.association is not None:  # it moves keypoints, and the head's trust is for where they were
            is_person = None if poses.presence is None else poses.presence >= self.min_presence
            poses = replace(poses, quality=None, visibility=None, pose_quality=None)
            poses = self.association.apply(poses, _joined_candidates(job.candidates), self.skeleton, is_person)
        return Prediction(job.photo, poses, job.pixels, job.error, left_out=len(job.skipped))


def _batches(jobs: Iterable[Job], pending: deque[Job], size: int) -> Iterator[Batch]:
    """Yield rows of `size` crops across photos; each photo is added to `pending`."""
    batch: Batch = []
    free, photos = size, 0  # crops that the batch still takes; photos since the last batch
    for job in jobs:
        pending.append(job)
        photos += 1
        start = 0
        while start < len(job.xy):
            stop = min(len(job.xy), start + free)
            batch.append((job, slice(start, stop)))
            free -= stop - start
            start = stop
            if not free:
                yield batch
                batch, free, photos = [], size, 0
        if photos >= _PHOTOS_BETWEEN_BATCHES:
            yield batch
            batch, free, photos = [], size, 0
    if batch:
        yield batch


def _association_codec(spec: ModelSpec, second_crop: float | None) -> HeatmapCodec:
    """Return the codec that finds candidates for association; warn of trust that is left out. Raises InputError for a
    network or an option that association is not for."""
    output = spec.output
    if not isinstance(output, HeatmapOutput):
        raise InputError(f"{spec.onnx}: gives {output.kind}, and association needs heatmaps with several peaks")
    codec = output.codec(spec.input)
    if codec.decoding not in _MULTI_PEAK_DECODINGS:
        expected = ", ".join(_MULTI_PEAK_DECODINGS)
        raise InputError(f"{spec.onnx}: decodes by {codec.decoding}; association expects one of {expected}")
    if second_crop is not None:
        raise InputError("second_crop: averages one position per joint, but association chooses among several")
    try:
        _ = spec.skeleton.sigmas
    except ValueError as error:
        raise InputError(f"association: {error}") from None
    if spec.trust is not None:
        reason = "its trust is for the network's own peaks, and association moves joints"
        warnings.warn(f"{spec.onnx}: {reason}; no trust is written", stacklevel=4)
    return codec


def _candidates_in_photo(
    candidates: Candidates, start: int, rows: slice, to_image: np.ndarray, codec: HeatmapCodec
) -> tuple[int, JointCandidates]:
    """Return the candidates of one photo in a batch, in image pixels, with the number of their first box.

    start: the first of its crops in the batch; rows: which of the photo's boxes they are; to_image (boxes, 2, 3).
    """
    crops = rows.stop - rows.start
    selected = np.flatnonzero((candidates.input >= start) & (candidates.input < start + crops))
    person = candidates.input[selected] - start + rows.start
    affine = to_image[person]
    growth = np.sqrt(np.abs(np.linalg.det(affine[:, :, :2])) * np.prod(codec.strides))  # image pixels a cell
    xy = transform(affine, candidates.xy[selected][:, None].astype(np.float64))[:, 0]
    score = candidates.score[selected].astype(np.float64)
    return rows.start, JointCandidates(xy, codec.sigma * growth, score, person, candidates.joint[selected])


def _joined_candidates(parts: Sequence[tuple[int, JointCandidates]]) -> JointCandidates:
    """Join the parts of a photo, in the order of its boxes."""
    empty = JointCandidates(np.zeros((0, 2)), *np.zeros((2, 0)), *np.zeros((2, 0), np.int64))
    ordered = [empty, *(part for _, part in sorted(parts, key=lambda part: part[0]))]
    return JointCandidates(*(np.concatenate(column) for column in zip(*ordered, strict=True)))
