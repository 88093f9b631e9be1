"""Predict the surfaces of the people in a photo: boxes, crops, network, parts and coordinates in each pixel."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.codecs.surface import SurfaceMaps, UVMirror, average_flipped, surface_score
from trustpose.files import InputError
from trustpose.geometry.crops import affine_to_crop, cut_out, grow_box, of_pixel_middles, transform
from trustpose.io.photos import MAX_PIXELS
from trustpose.io.surface_mirror import read_uv_mirror
from trustpose.models.outputs.surfaces import SurfaceOutput
from trustpose.models.runtime.sessions import onnx_device, open_session, output_names, run_session, to_tensor
from trustpose.models.spec import DEFAULT, ModelSpec
from trustpose.poses.surfaces import Surfaces
from trustpose.predict.boxes import Detector
from trustpose.predict.detectors import load_detector
from trustpose.predict.photos import read_pixels
from trustpose.threads import cpu_count


class SurfacePredictor:
    """A network of surfaces (output kind "surfaces") as a predictor.

    Args:
        model: a model folder, as `trustpose train dense-pose` writes it, or network.onnx with its JSON next to it.
        detector: finds people in photos without boxes, as for `tp.load`; so are `detector_weights` and `min_box_score`.
        flip: average with the mirrored crop, which takes twice the network's time.
        mirror: DensePose's `UV_symmetry_transforms.mat`, for `flip`; without it only parts and masks are averaged.
        device: as for `tp.load`.
        max_pixels: photo files with more are refused.

    Raises:
        InputError: for a model that gives no surfaces, and for files that cannot be read.

    Example:
        >>> surfaces = SurfacePredictor("my-model/")("photo.jpg")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path,
        *,
        detector: Detector | str | Path = DEFAULT,
        detector_weights: Path | None = None,
        min_box_score: float | None = None,
        flip: bool = False,
        mirror: str | Path | None = None,
        device: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.spec = spec = ModelSpec.read(model)
        self.output = spec.expect(SurfaceOutput)
        self.flip, self.max_pixels = flip, max_pixels
        self.mirror: UVMirror | None = None if mirror is None else read_uv_mirror(mirror)
        device = onnx_device(device)
        self._session = open_session(spec.onnx, cpu_count(), device)
        self._tensors = output_names(
            self._session, spec.onnx, spec.input, self.output.tensors, further_inputs=self.output.inputs
        )
        self._detector = load_detector(detector, detector_weights, min_box_score, device)

    def __repr__(self) -> str:
        """One line: the model, and what it gives."""
        return f"SurfacePredictor({self.spec.name}: {self.output.describe()})"

    def __call__(
        self, image: Any, boxes: Float[np.ndarray, "N 4"] | Sequence[Sequence[float]] | None = None, image_id: int = 0
    ) -> Surfaces:
        """Return the surfaces of the people in a photo, in the order of their boxes.

        Args:
            image: a file, address, array (RGB), Pillow image or tensor.
            boxes: xyxy, image pixels; None: the detector's.
            image_id: of the photo, for the result.

        Returns:
            One surface a box; the score is that of `codecs.surface.surface_score`, times the detector's.

        Raises:
            InputError: for a photo that cannot be read, or a network that cannot be run.
            ValueError: for boxes of another shape.
        """
        pixels = read_pixels(image, max_pixels=self.max_pixels)
        box_score = np.ones(0)
        if boxes is None:
            detected = self._detector(pixels)
            box, box_score = detected.xyxy.astype(np.float64), detected.score
        else:
            box = np.asarray(boxes, np.float64)
            if box.size == 0:
                box = box.reshape(0, 4)
            if box.ndim != 2 or box.shape[1] != 4 or not np.isfinite(box).all():
                raise ValueError(f"boxes: expected finite numbers (N, 4), got {box.shape}")
        codec = self.output.codec(self.spec.input)
        surfaces, scores = [], []
        for (maps, span), region in zip(self._maps(pixels, box), box, strict=True):
            surface = codec.decode(maps, span, region)
            surfaces.append(surface)
            scores.append(surface_score(surface))
        weight = box_score if boxes is None and box_score is not None else 1.0
        return Surfaces(tuple(surfaces), np.full(len(box), image_id), np.array(scores, np.float64) * weight)

    def _maps(
        self, pixels: UInt8[np.ndarray, "H W 3"], box: Float[np.ndarray, "N 4"]
    ) -> Iterator[tuple[SurfaceMaps, Float[np.ndarray, " 4"]]]:
        """Yield each person's maps and the box that they span: of a crop around it, or of the photo's features."""
        aspect = self.spec.input.width / self.spec.input.height
        if self.output.boxes is None:
            for window in grow_box(box, self.spec.padding, aspect):
                yield self._run(pixels, window, window[None])[0], window
        elif len(box):
            photo = grow_box(np.array([0.0, 0, pixels.shape[1], pixels.shape[0]]), self.spec.padding, aspect)
            yield from zip(self._run(pixels, photo, box), box, strict=True)

    def _run(
        self, pixels: UInt8[np.ndarray, "H W 3"], window: Float[np.ndarray, " 4"], box: Float[np.ndarray, "N 4"]
    ) -> list[SurfaceMaps]:
        """Return the maps over boxes of the network's run on a window of the photo; without the input 'boxes' the only
        box is the window."""
        inputs = self.spec.input
        affine = affine_to_crop(window, inputs.width, inputs.height)
        crop = cut_out(pixels, of_pixel_middles(affine), inputs.width, inputs.height)
        views = np.stack([crop, crop[:, ::-1]] if self.flip else [crop])
        tensors = {inputs.name: to_tensor(views, inputs)}
        if self.output.boxes is not None:
            seen = transform(affine, box.reshape(-1, 2)).reshape(-1, 4)
            mirrored = np.column_stack([inputs.width - seen[:, 2], seen[:, 1], inputs.width - seen[:, 0], seen[:, 3]])
            numbered = [np.insert(boxes, 0, view, axis=1) for view, boxes in enumerate([seen, mirrored][: len(views)])]
            tensors[self.output.boxes] = np.concatenate(numbered).astype(np.float32)
        arrays = run_session(self._session, self.spec.onnx, self._tensors, tensors)
        for array, shape in zip(arrays, self.output.shapes(), strict=True):
            expected = (len(views) * len(box), *shape)
            if array.shape != expected:
                raise InputError(f"{self.spec.onnx}: gave an output {array.shape}, its spec's 'output' says {expected}")
        maps = self.output.maps(arrays)
        if not self.flip:
            return maps
        pairs = zip(maps[: len(box)], maps[len(box) :], strict=True)
        return [average_flipped(straight, mirrored, self.mirror) for straight, mirrored in pairs]
