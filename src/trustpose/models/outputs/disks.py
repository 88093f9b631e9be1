"""The output kind "disks": PersonLab's disks and offsets of a photo, how people grow, and which pixels show them."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.codecs.disks import MIN_VOTE, RADIUS, DiskCodec, DiskFields, directed
from trustpose.codecs.people import DetectedPeople
from trustpose.files import InputError
from trustpose.geometry.crops import Grid
from trustpose.grouping.personlab import PersonLabGrouping, PersonLabPeople, embedding_distances
from trustpose.json_records import Number, Text, within
from trustpose.models.outputs.photo_maps import Least, LimbMaps, Offset
from trustpose.models.outputs.spec_fields import OutputFields
from trustpose.skeletons import Skeleton

_MIN_PERSON = 0.5  # probability of a pixel that shows a person, and its largest distance from one, as in the paper
_LARGEST_DISTANCE = 0.25


@dataclass(frozen=True)
class DiskOutput(LimbMaps):
    """Maps as in `codecs.disks`, `stride` input pixels a cell from `offset` on: disks (1, keypoints, h, w),
    probabilities; short (1, 2 × keypoints, h, w) and middle (1, 4 × limbs, h, w), offsets in input pixels; and, for
    people's pixels, person (1, 1, h, w), probabilities, and long (1, 2 × keypoints, h, w).

    disks, short, middle, person, long: the outputs' names; without person and long there are no masks. limbs: pairs of
    keypoints. sigmas: of OKS, for scores. radius: of disks, input pixels. min_vote, min_seed: of a cell that votes, and
    of a Hough map's peak that begins a person. nms_radius: see `grouping.personlab`.
    """

    kind: ClassVar[str] = "disks"

    sigmas: tuple[Annotated[float, within(1e-6, 10)], ...]
    disks: Text = "disks"
    short: Text = "short"
    middle: Text = "middle"
    person: Text | None = None
    long: Text | None = None
    offset: Offset = 0.0
    radius: Annotated[float, within(1, 1024)] = RADIUS
    min_vote: Annotated[float, within(0, 1)] = MIN_VOTE
    min_seed: Annotated[float, within(1e-6)] = 0.01
    nms_radius: Least = 10.0
    min_score: Number = 0.0

    @classmethod
    def defaults(cls, skeleton: Skeleton) -> dict[str, Any]:
        """Return the skeleton's limbs, and its sigmas where it has them."""
        return super().defaults(skeleton) | ({"sigmas": skeleton.sigmas.tolist()} if skeleton.has_sigmas else {})

    def check(self, fields: OutputFields) -> None:
        """Raise ValueError, naming the field, for what does not fit the spec's input or skeleton."""
        super().check(fields)
        if len(self.sigmas) != self.keypoints:
            raise ValueError(f"sigmas: expected {self.keypoints} numbers, one per keypoint, got {len(self.sigmas)}")
        if (self.person is None) != (self.long is None):
            raise ValueError(
                f"{'person' if self.person is None else 'long'}: expected both person and long, or neither"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = {name: field for name, field in asdict(self).items() if field is not None}
        lists = {"limbs": [list(limb) for limb in self.limbs], "sigmas": list(self.sigmas)}
        return {"output": {"kind": self.kind} | value | lists}

    @property
    def codec(self) -> DiskCodec:
        """The codec of the maps."""
        return DiskCodec(self.limbs, Grid((self.stride, self.stride), self.offset), self.radius)

    @property
    def grouping(self) -> PersonLabGrouping:
        """The decoder of people."""
        return PersonLabGrouping(self.limbs, self.sigmas, self.nms_radius)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        names = {name: getattr(self, name) for name in ("disks", "short", "middle", "person", "long")}
        return {name: tensor for name, tensor in names.items() if tensor is not None}

    @property
    def joint_tensor(self) -> str:
        """The name of the tensor that shows joints."""
        return self.disks

    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels."""
        maps = {"disks": self.keypoints, "short": 2 * self.keypoints, "middle": 4 * len(self.limbs)}
        maps |= {"person": 1, "long": 2 * self.keypoints}
        return [(1, maps[name], *self.cells(width, height)) for name in self.tensors]

    def joint_maps(self, arrays: list[np.ndarray]) -> Float[np.ndarray, "K h w"]:
        """Return the disks."""
        return arrays[0][0]

    def decode(self, arrays: list[np.ndarray], width: int, height: int) -> DetectedPeople:
        """Return the people of a photo, the best first, with every keypoint, scored as `PersonLabGrouping.group`
        does."""
        people = self._people(self._fields(arrays), width, height)
        return DetectedPeople(people.xy, people.score, None, people.person_score)

    def decode_masks(
        self, arrays: list[np.ndarray], width: int, height: int
    ) -> tuple[DetectedPeople, Bool[np.ndarray, "P H W"]]:
        """Return the people as `decode` does, and which of the photo's width × height input pixels show each.

        These are a person's pixels at a distance of at most 0.25 (`grouping.personlab.embedding_distances`), both
        between cells bilinearly. Raises ValueError for a network without masks.
        """
        if self.person is None:
            raise ValueError("expected a network with the outputs person and long, which give people's pixels")
        fields = self._fields(arrays)
        people = self._people(fields, width, height)
        person, long = (array[0].astype(np.float32, copy=False) for array in arrays[3:])
        row, column, embedding = fields.embedding(person[0], long, _MIN_PERSON / 4)
        distance = np.full((len(people.xy), *person.shape[1:]), 2 * _LARGEST_DISTANCE, np.float32)
        from_people = embedding_distances(embedding, people.xy, people.probability)
        distance[:, row, column] = np.minimum(from_people.T, 2 * _LARGEST_DISTANCE)
        is_person = self._enlarged(person[0], width, height) >= _MIN_PERSON
        masks = np.zeros((len(people.xy), height, width), np.bool_)
        for number, cells in enumerate(distance):
            masks[number] = is_person & (self._enlarged(cells, width, height) <= _LARGEST_DISTANCE)
        return DetectedPeople(people.xy, people.score, None, people.person_score), masks

    def _fields(self, arrays: list[np.ndarray]) -> DiskFields:
        disks, short, middle = (array[0].astype(np.float32, copy=False) for array in arrays[:3])
        return DiskFields(self.codec, disks, short, middle, self.codec.votes(disks, short, self.min_vote))

    def _people(self, fields: DiskFields, width: int, height: int) -> PersonLabPeople:
        codec = self.codec
        seeds = codec.seeds(codec.hough(fields.votes, self.keypoints, width, height), self.min_seed)
        people = self.grouping.group(seeds, fields)
        rows = np.flatnonzero(people.person_score >= self.min_score)
        return PersonLabPeople(*(values[rows] for values in people))

    def _enlarged(self, cells: Float[np.ndarray, "h w"], width: int, height: int) -> Float[np.ndarray, "H W"]:
        """Return a map's values at the photo's pixels."""
        to_cells = np.array([[1, 0, -self.offset], [0, 1, -self.offset]]) / self.stride
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(cells, to_cells, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of both views' probabilities, and those of offsets weighted by the probabilities of what
        they begin at; see `PhotoMaps.average_flipped`."""
        limbs = directed(self.limbs)
        mirror_limbs = [(int(flip_index[start]), int(flip_index[end])) for start, end in limbs]
        unknown = next((pair for pair, mirror in zip(limbs, mirror_limbs, strict=True) if mirror not in limbs), None)
        if unknown is not None:
            raise InputError(f"limbs: expected the mirror image of {list(unknown)}, too, for a flip test")
        starts = [start for start, _ in limbs]
        channels = {"short": flip_index, "middle": [limbs.index(pair) for pair in mirror_limbs], "long": flip_index}
        both = {
            name: (photo.astype(np.float32), mirror[..., ::-1].astype(np.float32))
            for name, photo, mirror in zip(self.tensors, arrays, mirrored, strict=True)
        }
        photo, mirror = both["disks"]
        disks = photo, mirror[:, flip_index]
        weights = {"short": disks, "middle": tuple(view[:, starts] for view in disks), "long": both.get("person")}
        averaged = []
        for name, (photo, mirror) in both.items():
            if name in channels:
                averaged.append(self._mean_offsets(photo, mirror, channels[name], weights[name]))
            else:
                averaged.append((photo + mirror) / 2 if name == "person" else (disks[0] + disks[1]) / 2)
        return averaged

    def _mean_offsets(
        self,
        photo: Float[np.ndarray, "1 C h w"],
        mirror: Float[np.ndarray, "1 C h w"],
        channels: Any,
        weights: Any,
    ) -> Float[np.ndarray, "1 C h w"]:
        """Return the mean of a photo's offsets and of its mirror image's, turned round but still in its order of
        channels, weighted."""
        vectors = photo.reshape(-1, 2, *photo.shape[2:])
        back = mirror.reshape(vectors.shape)[channels].copy()
        back[:, 0] = self.stride - 1 - 2 * self.offset - back[:, 0]  # a mirrored cell stands this much aside
        first, second = (view[0][:, None] for view in weights)  # (C / 2, 1, h, w)
        total = first + second
        share = np.where(total > 0, first / np.where(total > 0, total, 1), 0.5)
        return (share * vectors + (1 - share) * back).reshape(photo.shape).astype(np.float32)

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        masks = "" if self.person is None else ", with masks"
        return f"people of a photo, by disks and offsets along {len(self.limbs)} limbs{masks}"
