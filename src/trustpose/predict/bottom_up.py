"""Bottom-up networks: photo → letterbox → network → maps of all people → people, by the output's own decoding;
and the trust of a head that reads at their keypoints."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.codecs.group_tokens import GROUP_INPUTS, group_tokens
from trustpose.codecs.people import DetectedPeople
from trustpose.files import InputError
from trustpose.geometry.crops import Grid, invert_affine, transform
from trustpose.models.outputs.kinds import PHOTO_MAPS
from trustpose.models.outputs.trust import TrustArrays, TrustOutput, pose_fields, trust_shape
from trustpose.models.runtime.backends import PhotoNetwork
from trustpose.models.runtime.sessions import PerProcess, open_session, output_names, run_tensors, trust_names
from trustpose.models.spec import ModelSpec
from trustpose.poses import Poses


@dataclass(frozen=True, eq=False)
class Grouped:
    """A photo's people in input pixels, the affine from there to the photo, and what a trust head reads of them
    (`codecs.group_tokens`); None without features."""

    people: DetectedPeople
    to_image: Float[np.ndarray, "2 3"]
    tokens: Float[np.ndarray, "N K T"] | None = None
    whole: Float[np.ndarray, "N D"] | None = None


class BottomUpNetwork(PhotoNetwork):
    """A network whose maps show all people of a photo, of one of the kinds `PHOTO_MAPS`; min_score: of people, None for
    the spec's. features: the output of its file that `grouped` reads for a trust head; None for that of its own. flip:
    flip test, maps are averaged with those of the mirror image; features are the photo's own."""

    def __init__(
        self,
        spec: ModelSpec,
        device: str = "cpu",
        min_score: float | None = None,
        features: str | None = None,
        *,
        flip: bool = False,
    ) -> None:
        output, trust = spec.expect(*PHOTO_MAPS), spec.trust
        super().__init__(spec, output, device)
        self.flip = flip
        self.features = features if trust is None else trust.maps["features"]
        if self.features is not None:
            named = {**output.tensors, "features": self.features}
            self._tensors = output_names(self._session(), spec.onnx, spec.input, named)
        self.output = output if min_score is None else replace(output, min_score=min_score)
        self.min_score = self.output.min_score
        self._head = None if trust is None else GroupHead(spec, trust, device)

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Poses:
        """Return the people of a photo, RGB, the best first, with the scores that the output's `decode` describes, and
        the trust of the model's head, if it has one.

        Joints that were not found are `missing`. Where the network finds boxes, `box_score` is `pose_score`, but None
        with a head: its presence × expected OKS rank alone. Raises InputError.
        """
        grouped = self.grouped(pixels)
        people, to_image = grouped.people, grouped.to_image
        xy = _to_image(to_image, people.xy)
        if people.missing is not None:
            xy = np.where(people.missing[..., None], 0.0, xy)
        box = None if people.box is None else _to_image(to_image, people.box.reshape(-1, 2, 2)).reshape(-1, 4)
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

    def grouped(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Grouped:
        """Return the people of a photo, RGB, in the network's input, with tokens if it gives features. Raises
        InputError."""
        return self.grouped_by(pixels, (self.flip,))[0]

    def grouped_by(self, pixels: UInt8[np.ndarray, "H W 3"], flips: tuple[bool, ...]) -> list[Grouped]:
        """Return `grouped` with each of these settings of the flip test. Raises InputError."""
        ready, affine = self.spec.input.fit(pixels)
        plain_maps, features = self._maps(ready)
        groups = []
        for flip in flips:
            arrays = plain_maps
            if flip:
                mirrored, _ = self._maps(np.ascontiguousarray(ready[:, ::-1]))
                arrays = self._averaged(plain_maps, mirrored)
            groups.append(self._people(arrays, features, (ready.shape[1], ready.shape[0]), invert_affine(affine)))
        return groups

    def _maps(self, ready: UInt8[np.ndarray, "h w 3"]) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Return the output's tensors and the features of a photo in the input's size. Raises InputError."""
        arrays = self.run_input(ready)
        features = None if self.features is None else arrays.pop()
        misfit = self.output.misfit(arrays, ready.shape[1], ready.shape[0])
        if misfit is not None:
            raise InputError(f"{self.spec.onnx}: {misfit}")
        if features is not None and (features.ndim != 4 or len(features) != 1):
            raise InputError(f"{self.spec.onnx}: gave {self.features} {features.shape}, expected (1, C, h, w)")
        return arrays, features

    def _averaged(self, arrays: list[np.ndarray], mirrored: list[np.ndarray]) -> list[np.ndarray]:
        try:
            return self.output.average_flipped(arrays, mirrored, self.spec.skeleton.flip_index)
        except InputError as error:
            raise InputError(f"{self.spec.onnx}: {error}") from None

    def _people(
        self,
        arrays: list[np.ndarray],
        features: np.ndarray | None,
        size: tuple[int, int],
        to_image: Float[np.ndarray, "2 3"],
    ) -> Grouped:
        people = self.output.decode(arrays, *size)
        if features is None:
            return Grouped(people, to_image)
        heatmaps = arrays[list(self.output.tensors).index("heatmaps")][0, : len(self.spec.skeleton)]
        grid = Grid((self.output.stride, self.output.stride), self.output.offset)
        support = self.output.support(arrays, people)
        return Grouped(people, to_image, *group_tokens(features[0], heatmaps, people, grid, float(max(size)), support))


class GroupHead:
    """A trust head on grouped people, from its own file beside the network's. Raises InputError if it does not match
    the spec."""

    def __init__(self, spec: ModelSpec, trust: TrustOutput, device: str = "cpu") -> None:
        self.path, self.keypoints = spec.onnx.with_name(str(trust.file)), len(spec.skeleton)
        self._session = PerProcess(lambda: open_session(self.path, 1, device))
        self._names = trust_names(self._session(), self.path, trust)
        self._width = {node.name: node.shape[-1] for node in self._session().get_inputs()}
        if sorted(self._width) != sorted(GROUP_INPUTS):
            names = ", ".join(self._width)
            raise InputError(f"{self.path}: its inputs are {names}, expected {' and '.join(GROUP_INPUTS)}")

    def __call__(self, grouped: Grouped) -> dict[str, Float[np.ndarray, "N ..."]]:
        """Return the fields of `Poses` that the head fills. Raises InputError if it was trained on other numbers of a
        group, or cannot be run."""
        assert grouped.tokens is not None and grouped.whole is not None
        count, inputs = len(grouped.tokens), dict(zip(GROUP_INPUTS, (grouped.tokens, grouped.whole), strict=True))
        for name, array in inputs.items():
            if array.shape[-1] != self._width[name]:
                mismatch = f"reads {self._width[name]} numbers as {name}, a group has {array.shape[-1]}"
                raise InputError(f"{self.path}: {mismatch}; a head of another version: train it again")
        if count:
            arrays = run_tensors(self._session(), self.path, list(self._names.values()), inputs)
        else:
            arrays = [np.zeros((0, *trust_shape(name, self.keypoints))) for name in self._names]
        named = dict(zip(self._names, arrays, strict=True))
        trust = TrustArrays.of(named, count, self.keypoints, self.path).filled()
        return {name: value.astype(np.float64) for name, value in pose_fields(trust, is_detected=True).items()}


def _to_image(affine: Float[np.ndarray, "2 3"], xy: Float[np.ndarray, "P M 2"]) -> Float[np.ndarray, "P M 2"]:
    return transform(np.broadcast_to(affine, (len(xy), 2, 3)), xy)
