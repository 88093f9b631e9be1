"""Bottom-up networks: photo → letterbox → network → maps of all people → people, by the output's own decoding.

A trust head from a file of its own then reads what the maps hold at the keypoints of each person.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from trustpose.codecs.group_tokens import GROUP_INPUTS, group_tokens
from trustpose.codecs.people import DetectedPeople
from trustpose.files import InputError
from trustpose.geometry.crops import Grid, invert_affine, of_pixel_middles, transform
from trustpose.grouping.box_grids import BoxGrid
from trustpose.grouping.deepcut_terms import PairwiseTerms
from trustpose.models.outputs.boxed import BoxedOutput
from trustpose.models.outputs.disks import DiskOutput
from trustpose.models.outputs.kinds import PHOTO_MAPS
from trustpose.models.outputs.parts import PartOutput
from trustpose.models.outputs.trust import TrustArrays, TrustOutput, pose_fields, trust_shape
from trustpose.models.runtime.backends import PhotoNetwork
from trustpose.models.runtime.sessions import open_session, output_names, run_tensors, trust_names
from trustpose.models.spec import ModelSpec
from trustpose.poses import Poses
from trustpose.threads import PerProcess


@dataclass(frozen=True, eq=False)
class GroupedPeople:
    """The N people that were grouped from a photo's maps.

    Attributes:
        people: their keypoints, boxes and scores, in pixels of the network's input.
        to_image: the affine from there to the photo's pixels.
        tokens: (N, K, T), what a trust head reads of each keypoint (`codecs.group_tokens`); None without features.
        whole: (N, D), what it reads of each person; None without features.
    """

    people: DetectedPeople
    to_image: Float[np.ndarray, "2 3"]
    tokens: Float[np.ndarray, "N K T"] | None = None
    whole: Float[np.ndarray, "N D"] | None = None


class BottomUpNetwork(PhotoNetwork):
    """A network whose maps show all people of a photo.

    Args:
        spec: a model whose output is one of the kinds `PHOTO_MAPS`.
        device: where it runs, such as "cpu" or "cuda".
        min_score: the lowest score of a person; None: the spec's.
        features: the tensor of its file from which `group` makes the tokens of a trust head; None: that which the
            model's own head reads, if it has one.
        flip: flip test: maps are averaged with those of the mirror image; features are those of the photo itself.

    Raises:
        InputError: for a spec of another kind, and a file that does not match it.
    """

    def __init__(
        self,
        spec: ModelSpec,
        device: str = "cpu",
        min_score: float | None = None,
        features: str | None = None,
        *,
        flip: bool = False,
    ) -> None:
        output = spec.expect(*PHOTO_MAPS)
        super().__init__(spec, output, device)
        self.flip = flip
        self.features = features if spec.trust is None else spec.trust.maps["features"]
        if self.features is not None:
            tensors = {**output.tensors, "features": self.features}
            self._tensors = output_names(self._session(), spec.onnx, spec.input, tensors)
        self.output = output if min_score is None else replace(output, min_score=min_score)
        self.min_score = self.output.min_score
        self._residual = None
        if isinstance(output, BoxedOutput) and output.residual is not None:
            self._residual = ResidualSession(spec.onnx.with_name(output.residual), output.keypoints, device)
        self._terms = None
        if isinstance(output, PartOutput) and output.pairwise is not None:
            self._terms = PairwiseTerms.load(spec.onnx.with_name(output.pairwise), output.keypoints)
        self._head = None if spec.trust is None else GroupHead(spec, spec.trust, device)

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Poses:
        """Return the people of a photo, RGB, the best first, in its pixels.

        Scores are those that the output's `decode` describes; joints that were not detected are `missing`, at (0, 0).
        Where the network detects boxes, `box_score` is `pose_score`. With a trust head its fields are filled and
        `box_score` is None, so that presence × expected OKS alone rank people. Raises InputError if the network cannot
        run.
        """
        return self._poses(self.group(pixels))

    def _poses(self, grouped: GroupedPeople) -> Poses:
        """Return the record of grouped people, in the photo's pixels."""
        people = grouped.people
        xy = _in_image(people.xy, grouped.to_image)
        if people.missing is not None:
            xy = np.where(people.missing[..., None], 0.0, xy)
        box = None
        if people.box is not None:
            box = _in_image(people.box.reshape(-1, 2, 2), grouped.to_image).reshape(-1, 4)  # both corners
        trust = {} if self._head is None else self._head(grouped)
        poses = Poses(
            xy=xy,
            score=people.score,
            pose_score=people.person_score,
            box=box,
            box_score=None if box is None or trust else people.person_score,
            missing=people.missing,
            image_id=np.zeros(len(xy), np.int64),
            skeleton=self.spec.skeleton,
        )
        return replace(poses, **trust)  # type: ignore fields by name

    def masks(self, pixels: UInt8[np.ndarray, "H W 3"]) -> tuple[Poses, Bool[np.ndarray, "N H W"]]:
        """Return the people of a photo, RGB, as a call does, and which of its pixels show each.

        A pixel may show several people, or none. Raises InputError if the network gives no masks, or cannot run.
        """
        if not isinstance(self.output, DiskOutput) or self.output.person is None:
            raise InputError(f"{self.spec.onnx}: gives no masks; a network of kind 'disks' with person and long does")
        letterboxed, affine = self.spec.input.fit(pixels)
        height, width = letterboxed.shape[:2]
        maps, _ = self._maps(letterboxed)
        if self.flip:
            maps = self._averaged(maps, self._maps(np.ascontiguousarray(letterboxed[:, ::-1]))[0])
        people, masks = self.output.decode_masks(maps, width, height)
        size = pixels.shape[1], pixels.shape[0]
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        on_photo = np.zeros((len(masks), *pixels.shape[:2]), np.bool_)
        for number, mask in enumerate(masks):
            on_photo[number] = cv2.warpAffine(mask.astype(np.uint8), of_pixel_middles(affine), size, flags=flags) > 0
        return self._poses(GroupedPeople(people, invert_affine(affine))), on_photo

    def group(self, pixels: UInt8[np.ndarray, "H W 3"]) -> GroupedPeople:
        """Return the people of a photo, RGB, in the network's input, with tokens if it gives features. Raises
        InputError."""
        return self.group_with_flips(pixels, (self.flip,))[0]

    def group_with_flips(self, pixels: UInt8[np.ndarray, "H W 3"], flips: tuple[bool, ...]) -> list[GroupedPeople]:
        """Return what `group` does for each setting of the flip test, running the photo itself only once. Raises
        InputError."""
        letterboxed, affine = self.spec.input.fit(pixels)
        height, width = letterboxed.shape[:2]
        photo_maps, features = self._maps(letterboxed)
        groups = []
        for flip in flips:
            maps = photo_maps
            if flip:
                mirrored_maps, _ = self._maps(np.ascontiguousarray(letterboxed[:, ::-1]))
                maps = self._averaged(photo_maps, mirrored_maps)
            groups.append(self._decoded(maps, features, (width, height), invert_affine(affine)))
        return groups

    def _maps(self, letterboxed: UInt8[np.ndarray, "h w 3"]) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Return the output's tensors and the features of a photo in the input's size. Raises InputError."""
        arrays = self.run_input(letterboxed)
        features = None if self.features is None else arrays.pop()
        misfit = self.output.misfit(arrays, letterboxed.shape[1], letterboxed.shape[0])
        if misfit is not None:
            raise InputError(f"{self.spec.onnx}: {misfit}")
        if features is not None and (features.ndim != 4 or len(features) != 1):
            raise InputError(f"{self.spec.onnx}: gave {self.features} {features.shape}, expected (1, C, h, w)")
        return arrays, features

    def _averaged(self, maps: list[np.ndarray], mirrored_maps: list[np.ndarray]) -> list[np.ndarray]:
        """Return the mean of a photo's maps and its mirror image's. Raises InputError if they do not match."""
        try:
            return self.output.average_flipped(maps, mirrored_maps, self.spec.skeleton.flip_index)
        except InputError as error:
            raise InputError(f"{self.spec.onnx}: {error}") from None

    def _decoded(
        self,
        maps: list[np.ndarray],
        features: np.ndarray | None,
        size: tuple[int, int],
        to_image: Float[np.ndarray, "2 3"],
    ) -> GroupedPeople:
        """Decode people from maps of an input of `size` (width, height), with their tokens if there are features."""
        if isinstance(self.output, BoxedOutput):
            people = self.output.decode(maps, *size, self._residual)
        elif isinstance(self.output, PartOutput):
            people = self.output.decode(maps, *size, self._terms)
        else:
            people = self.output.decode(maps, *size)
        if features is None:
            return GroupedPeople(people, to_image)
        grid = Grid((self.output.stride, self.output.stride), self.output.offset)
        support = self.output.support(maps, people)
        tokens, whole = group_tokens(features[0], self.output.joint_maps(maps), people, grid, float(max(size)), support)
        return GroupedPeople(people, to_image, tokens, whole)


class ResidualSession:
    """A pose residual network from a file beside the network's, for keypoints of so many joints.

    Raises InputError if it has other inputs or outputs than one of maps of the usual grid each.
    """

    def __init__(self, path: Path, keypoints: int, device: str = "cpu") -> None:
        grid = BoxGrid(keypoints)
        self.path, self._shape = path, (grid.height, grid.width, keypoints)
        self._session = PerProcess(lambda: open_session(path, 1, device))
        inputs, outputs = self._session().get_inputs(), self._session().get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or tuple(inputs[0].shape[1:]) != self._shape:
            shapes = ", ".join(str(node.shape) for node in (*inputs, *outputs))
            expected = f"maps (boxes, {', '.join(map(str, self._shape))}) in and out"
            raise InputError(f"{path}: expected {expected}, got {shapes}")
        self._input, self._output = inputs[0].name, outputs[0].name

    def __call__(self, maps: Float[np.ndarray, "B h w K"]) -> Float[np.ndarray, "B h w K"]:
        """Return the probabilities of the cells of B boxes. Raises InputError if it cannot run."""
        return run_tensors(self._session(), self.path, [self._output], {self._input: maps})[0]


class GroupHead:
    """A trust head on grouped people, from a file of its own beside the network's.

    Raises InputError if the file does not match the spec.
    """

    def __init__(self, spec: ModelSpec, trust: TrustOutput, device: str = "cpu") -> None:
        self.path = spec.onnx.with_name(str(trust.file))
        self.keypoints = len(spec.skeleton)
        self._session = PerProcess(lambda: open_session(self.path, 1, device))
        self._tensors = trust_names(self._session(), self.path, trust)  # by field: the name of the file's output
        self._width = {node.name: node.shape[-1] for node in self._session().get_inputs()}
        if sorted(self._width) != sorted(GROUP_INPUTS):
            names = ", ".join(self._width)
            raise InputError(f"{self.path}: its inputs are {names}, expected {' and '.join(GROUP_INPUTS)}")

    def __call__(self, grouped: GroupedPeople) -> dict[str, Float[np.ndarray, "N ..."]]:
        """Return the fields of `Poses` that the head fills. Raises InputError if it was trained on tokens of another
        size, or cannot run."""
        assert grouped.tokens is not None and grouped.whole is not None
        people = len(grouped.tokens)
        inputs = dict(zip(GROUP_INPUTS, (grouped.tokens, grouped.whole), strict=True))
        for name, array in inputs.items():
            if array.shape[-1] != self._width[name]:
                mismatch = f"reads {self._width[name]} numbers as {name}, a group has {array.shape[-1]}"
                raise InputError(f"{self.path}: {mismatch}; a head of another version: train it again")
        if people:
            arrays = run_tensors(self._session(), self.path, list(self._tensors.values()), inputs)
        else:
            arrays = [np.zeros((0, *trust_shape(field, self.keypoints))) for field in self._tensors]
        by_field = dict(zip(self._tensors, arrays, strict=True))
        trust = TrustArrays.of(by_field, people, self.keypoints, self.path).filled()
        return {name: value.astype(np.float64) for name, value in pose_fields(trust, is_detected=True).items()}


def _in_image(xy: Float[np.ndarray, "P M 2"], to_image: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "P M 2"]:
    """Convert points of P people from the network's input to image pixels."""
    return transform(np.broadcast_to(to_image, (len(xy), 2, 3)), xy)
