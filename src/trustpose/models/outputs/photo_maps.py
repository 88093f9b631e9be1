"""The base class of outputs of bottom-up networks: maps of a whole photo, decoded to all its people."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float, Int

from trustpose.codecs.fields import Support
from trustpose.codecs.people import DetectedPeople
from trustpose.json_records import LARGEST, Count, described, naming, short, within
from trustpose.models.inputs import Sizes
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.models.outputs.spec_fields import OutputFields
from trustpose.skeletons import Skeleton

Decoding = Literal["argmax-quarter", "dark"]
Stride = Annotated[float, within(1, 256)]  # input pixels a cell
Offset = Annotated[float, within(-256, 256)]  # of the first cell, in input pixels
Sigma = Annotated[float, within(0.1, 64)]  # of a heatmap's peak, in cells
Least = Annotated[float, within(0, LARGEST)]  # a score's or a height's minimum


@dataclass(frozen=True)
class PhotoMaps(ABC):
    """Maps of a photo, `stride` input pixels a cell; each kind adds its own fields, among them `min_score`, below which
    people are dropped."""

    kind: ClassVar[str]
    people_from: ClassVar[PeopleFrom] = "photo"
    sizes: ClassVar[Sizes] = "either"

    keypoints: Count
    stride: Stride

    @classmethod
    def read(cls, fields: OutputFields) -> Self:
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        output = fields.read(cls, cls.defaults(fields.skeleton))
        with naming(fields.path, "output"):
            output.check(fields)
        return output

    @classmethod
    def defaults(cls, skeleton: Skeleton) -> dict[str, Any]:  # noqa: ARG003
        """Return what the JSON may leave out because the skeleton says it."""
        return {}

    def check(self, fields: OutputFields) -> None:
        """Raise ValueError, naming the field, for what does not fit the spec's input or skeleton."""
        fields.check_stride("stride", self.stride)

    @property
    @abstractmethod
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file by the spec's field."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files beside the network's, without folders, that decoding needs."""
        return ()

    @property
    def joint_tensor(self) -> str:
        """The name of the tensor whose maps show joints, which the network's last layers compute from its features."""
        return str(self.tensors["heatmaps"])

    def joint_maps(self, arrays: list[np.ndarray]) -> Float[np.ndarray, "K h w"]:
        """Return the maps, from tensors in the order of `tensors`, that are high at each joint, for trust heads."""
        return arrays[list(self.tensors).index("heatmaps")][0, : self.keypoints]

    @abstractmethod
    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels, in the order of `tensors`."""

    @abstractmethod
    def decode(self, arrays: list[np.ndarray], width: int, height: int) -> DetectedPeople:
        """Return the people of a photo of width × height input pixels, the best first, from tensors of these
        shapes."""

    @abstractmethod
    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of a photo's tensors and of those of its mirror image, brought back; float32.

        flip_index: the skeleton's. Raises InputError if the maps have no mirror image among themselves.
        """

    def support(self, arrays: list[np.ndarray], people: DetectedPeople) -> Support | None:  # noqa: ARG002  # of most kinds none
        """Return features of decoded people from further maps, for a trust head; None if the head reads only the
        network's features and heatmaps at their joints."""
        return None

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""

    @abstractmethod
    def describe(self) -> str:
        """Describe the output for `trustpose models`."""

    def misfit(self, arrays: list[np.ndarray], width: int, height: int) -> str | None:
        """Describe what is wrong with the tensors of one photo of width × height input pixels; None if they are
        valid."""
        for name, shape, array in zip(self.tensors, self.shapes(width, height), arrays, strict=True):
            if array.shape != shape:
                return f"gave {name} {array.shape}, expected {shape}"
        return None

    def cells(self, width: int, height: int) -> tuple[int, int]:
        """Return the maps' height and width in cells."""
        return round(height / self.stride), round(width / self.stride)


@dataclass(frozen=True)
class LimbMaps(PhotoMaps):
    """Maps of joints and of limbs between them; limbs: pairs of joints."""

    limbs: tuple[Annotated[tuple[int, int], described("a pair of joints")], ...]

    @classmethod
    def defaults(cls, skeleton: Skeleton) -> dict[str, Any]:
        """Return the skeleton's limbs."""
        return {"limbs": skeleton.edges}

    def check(self, fields: OutputFields) -> None:
        """Raise ValueError, naming the field, for what does not fit the spec's input or skeleton."""
        super().check(fields)
        joints = {frozenset(limb) for limb in self.limbs}
        is_valid = all(len(limb) == 2 and limb <= set(range(self.keypoints)) for limb in joints)
        if not is_valid or not 0 < len(self.limbs) == len(joints):
            expected = f"pairs of different joints from 0 to {self.keypoints - 1}, each once"
            raise ValueError(f"limbs: expected {expected}, got {short([list(limb) for limb in self.limbs])}")
