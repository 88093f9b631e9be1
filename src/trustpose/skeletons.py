"""Skeletons: which joints a data set or estimator speaks of, how they hang together, how far apart people label them.

`sigmas` are the standard deviations of human labelling that OKS is measured with (kᵢ = 2σᵢ). They are given only
where a published source gives them; elsewhere there are none, and asking for them raises.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Skeleton:
    """Names in order, edges as pairs of keypoint indices, and sigmas (K,) with their source, or None.

    A joint "left_x" has its mirror in "right_x". Raises ValueError where the numbers do not fit each other.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    sigmas_source: str | None = None
    _sigmas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        k = len(self.keypoints)
        if len(set(self.keypoints)) != k:
            raise ValueError(f"{self.name}: a keypoint name stands twice")
        if any(not 0 <= end < k for edge in self.edges for end in edge):
            raise ValueError(f"{self.name}: an edge names a keypoint outside 0..{k - 1}")
        if self._sigmas is not None and (len(self._sigmas) != k or min(self._sigmas) <= 0):
            raise ValueError(f"{self.name}: expected {k} sigmas above 0")

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def sigmas(self) -> Float[np.ndarray, " K"]:
        """Labelling sigmas (K,). Raises ValueError where no published source gives them."""
        if self._sigmas is None:
            raise ValueError(f"skeleton {self.name!r} has no published sigmas; OKS needs sigmas=… of your own for it")
        return np.array(self._sigmas)

    @property
    def has_sigmas(self) -> bool:
        """Whether a published source gives sigmas for this skeleton."""
        return self._sigmas is not None

    @cached_property
    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        """(left, right) index pairs, by name."""
        place = {name: i for i, name in enumerate(self.keypoints)}
        return tuple(
            (i, place[mirror])
            for i, name in enumerate(self.keypoints)
            if (mirror := _mirror(name)) != name and "left" in name and mirror in place
        )

    @cached_property
    def flip_index(self) -> Int[np.ndarray, " K"]:
        """Permutation (K,) that puts every joint where its mirror stands; applied twice it is the identity."""
        index = np.arange(len(self.keypoints))
        for left, right in self.flip_pairs:
            index[left], index[right] = right, left
        return index

    def index_in(self, target: "Skeleton", missing: str = "raise") -> Int[np.ndarray, " L"]:
        """For every keypoint of `target` its index in this skeleton, matched by name.

        `poses.take_keypoints(COCO_17.index_in(LSP_14, missing="mark"))` turns COCO poses into LSP order. A joint that
        this skeleton lacks raises ValueError naming it; with missing="mark" its index is -1.
        """
        if missing not in ("raise", "mark"):
            raise ValueError(f"missing: expected 'raise' or 'mark', got {missing!r}")
        place = {name: i for i, name in enumerate(self.keypoints)}
        lacking = [name for name in target.keypoints if name not in place]
        if lacking and missing == "raise":
            raise ValueError(
                f"skeleton {self.name!r} lacks {', '.join(lacking)} of {target.name!r}; missing='mark' allows it"
            )
        return np.array([place.get(name, -1) for name in target.keypoints])


def _mirror(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


def _edges(keypoints: tuple[str, ...], *chains: str) -> tuple[tuple[int, int], ...]:
    """Edges along chains of names, e.g. "left_hip left_knee left_ankle"."""
    place = {name: i for i, name in enumerate(keypoints)}
    return tuple(
        (place[a], place[b]) for chain in chains for a, b in zip(chain.split(), chain.split()[1:], strict=False)
    )


def _tenths(*values: float) -> tuple[float, ...]:
    """A tenth of each value, as the sources write their sigmas: 0.26 / 10 is not 0.026 in the last bit."""
    return tuple(value / 10.0 for value in values)


_ARMS = ("left_shoulder left_elbow left_wrist", "right_shoulder right_elbow right_wrist")
_LEGS = ("left_hip left_knee left_ankle", "right_hip right_knee right_ankle")
_TRUNK = ("left_hip left_shoulder right_shoulder right_hip left_hip",)

_COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
COCO_17 = Skeleton(
    name="coco17",
    keypoints=_COCO,
    edges=_edges(
        _COCO, "left_ear left_eye nose right_eye right_ear", "left_eye right_eye", "left_ear left_shoulder",
        "right_ear right_shoulder", *_TRUNK, *_ARMS, *_LEGS,
    ),
    sigmas_source="COCO keypoint evaluation (cocodataset.org/#keypoints-eval), pycocotools Params.kpt_oks_sigmas",
    _sigmas=_tenths(
        0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89
    ),
)  # fmt: skip

_LSP = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
LSP_14 = Skeleton(
    name="lsp14",
    keypoints=_LSP,
    edges=_edges(_LSP, "head_top neck", "left_shoulder neck right_shoulder", *_TRUNK, *_ARMS, *_LEGS),
)

_MPII = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
MPII_16 = Skeleton(
    name="mpii16",
    keypoints=_MPII,
    edges=_edges(
        _MPII, "head_top upper_neck thorax pelvis", "left_shoulder thorax right_shoulder", "left_hip pelvis right_hip",
        *_ARMS, *_LEGS,
    ),
)  # fmt: skip

_FLIC = (
    "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist", "left_hip",
    "right_hip", "left_eye", "right_eye", "nose",
)  # fmt: skip
FLIC_11 = Skeleton(
    name="flic11",
    keypoints=_FLIC,
    edges=_edges(_FLIC, "left_eye nose right_eye left_eye", *_TRUNK, *_ARMS),
)

_CROWDPOSE = (
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck",
)  # fmt: skip
CROWDPOSE_14 = Skeleton(
    name="crowdpose14",
    keypoints=_CROWDPOSE,
    edges=_edges(_CROWDPOSE, "head neck", "left_shoulder neck right_shoulder", *_TRUNK, *_ARMS, *_LEGS),
    sigmas_source="CrowdPose evaluation (Li et al., CVPR 2019; Jeff-sjtu/CrowdPose, crowdposetools/cocoeval.py)",
    _sigmas=_tenths(0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89, 0.79, 0.79),
)

_BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
OPENPOSE_BODY_25 = Skeleton(
    name="openpose_body25",
    keypoints=_BODY_25,
    edges=_edges(
        _BODY_25, "nose neck mid_hip", "left_ear left_eye nose right_eye right_ear",
        "left_shoulder neck right_shoulder",
        "left_hip mid_hip right_hip", *_ARMS, *_LEGS, "left_heel left_ankle left_big_toe left_small_toe",
        "right_heel right_ankle right_big_toe right_small_toe",
    ),
)  # fmt: skip

_OPENPOSE_COCO = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
OPENPOSE_COCO_18 = Skeleton(
    name="openpose_coco18",
    keypoints=_OPENPOSE_COCO,
    edges=_edges(
        _OPENPOSE_COCO, "left_ear left_eye nose right_eye right_ear", "nose neck left_hip", "neck right_hip",
        "left_shoulder neck right_shoulder", *_ARMS, *_LEGS,
    ),
)  # fmt: skip

_OPENPOSE_MPI = (
    "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "chest",
)  # fmt: skip
OPENPOSE_MPI_15 = Skeleton(
    name="openpose_mpi15",
    keypoints=_OPENPOSE_MPI,
    edges=_edges(
        _OPENPOSE_MPI, "head neck chest left_hip", "chest right_hip", "left_shoulder neck right_shoulder", *_ARMS,
        *_LEGS,
    ),
)  # fmt: skip

_HALPE = (
    *_COCO, "head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel",
    "right_heel",
)  # fmt: skip
HALPE_26 = Skeleton(
    name="halpe26",
    keypoints=_HALPE,
    edges=_edges(
        _HALPE, "left_ear left_eye nose right_eye right_ear", "nose head neck hip", "left_shoulder neck right_shoulder",
        "left_hip hip right_hip", *_ARMS, *_LEGS, "left_heel left_ankle left_big_toe left_small_toe",
        "right_heel right_ankle right_big_toe right_small_toe",
    ),
    sigmas_source="Halpe evaluation, body and foot (Fang-Haoshu/Halpe-FullBody, halpecocotools/cocoeval.py)",
    _sigmas=_tenths(
        0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89,
        0.8, 0.8, 0.8, 0.89, 0.89, 0.89, 0.89, 0.89, 0.89,
    ),
)  # fmt: skip

_BLAZEPOSE = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb",
    "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
BLAZEPOSE_33 = Skeleton(
    name="blazepose33",
    keypoints=_BLAZEPOSE,
    edges=_edges(
        _BLAZEPOSE, "left_ear left_eye_outer left_eye left_eye_inner nose",
        "nose right_eye_inner right_eye right_eye_outer right_ear",
        "mouth_left mouth_right", *_TRUNK, *_ARMS, *_LEGS, "left_wrist left_pinky left_index left_wrist left_thumb",
        "right_wrist right_pinky right_index right_wrist right_thumb", 
        "left_ankle left_heel left_foot_index left_ankle",
        "right_ankle right_heel right_foot_index right_ankle",
    ),
)  # fmt: skip

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        *(COCO_17, LSP_14, MPII_16, FLIC_11, CROWDPOSE_14),
        *(OPENPOSE_BODY_25, OPENPOSE_COCO_18, OPENPOSE_MPI_15, HALPE_26, BLAZEPOSE_33),
    )
}


def find_skeleton(keypoints: tuple[str, ...] | list[str]) -> Skeleton | None:
    """The skeleton whose keypoint names are these, in this order, or None."""
    return next((skeleton for skeleton in SKELETONS.values() if skeleton.keypoints == tuple(keypoints)), None)
