"""Skeletons of hands and faces, and of the whole body: COCO-WholeBody and Halpe.

The 68 points of a face are those of 300-W (Sagonas et al., 2013); OpenPose adds both pupils. The 98 are those of
WFLW (Wu et al., Look at Boundary, CVPR 2018). The 21 of a hand go from the wrist to each fingertip.
"""

from trustpose.skeletons.bodies import COCO_17, HALPE_26
from trustpose.skeletons.skeleton import Skeleton, edges_along, tenths

_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")


def _hand(root: str, prefix: str = "") -> tuple[str, ...]:
    return (root, *(f"{prefix}{finger}{joint}" for finger in _FINGERS for joint in range(1, 5)))


def _finger_chains(root: str, prefix: str = "") -> tuple[str, ...]:
    return tuple(" ".join((root, *(f"{prefix}{finger}{joint}" for joint in range(1, 5)))) for finger in _FINGERS)


_HAND = _hand("wrist")
HAND_21 = Skeleton(name="hand21", keypoints=_HAND, edges=edges_along(_HAND, *_finger_chains("wrist")))

_FACE = tuple(f"face_{i}" for i in range(68))
_FACE_CHAINS = (  # jaw, brows, nose, eyes, lips
    *(range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36)),
    *((*range(36, 42), 36), (*range(42, 48), 42), (*range(48, 60), 48), (*range(60, 68), 60)),
)
_FACE_MIRROR = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)
FACE_68 = Skeleton(
    name="face68",
    keypoints=_FACE,
    edges=edges_along(_FACE, *(" ".join(_FACE[i] for i in chain) for chain in _FACE_CHAINS)),
    mirror_pairs=_FACE_MIRROR,
)
_FACE_AND_PUPILS = (*_FACE, "face_right_pupil", "face_left_pupil")
FACE_70 = Skeleton(
    name="face70",
    keypoints=_FACE_AND_PUPILS,
    edges=(*FACE_68.edges, *edges_along(_FACE_AND_PUPILS, "face_36 face_right_pupil", "face_45 face_left_pupil")),
    mirror_pairs=(*_FACE_MIRROR, (69, 68)),
)


_WFLW = tuple(f"wflw_{i}" for i in range(98))
_WFLW_CHAINS = (  # jaw, brows (both edges), bridge and foot of the nose, eyes from their pupils, lips
    *(range(33), (*range(33, 42), 33), (*range(42, 51), 42), range(51, 55), range(55, 60)),
    *((96, *range(60, 68), 60), (97, 72, *range(73, 76), *range(68, 73)), (*range(76, 88), 76), (*range(88, 96), 88)),
)
FACE_98 = Skeleton(
    name="face98",
    keypoints=_WFLW,
    edges=edges_along(_WFLW, *(" ".join(_WFLW[i] for i in chain) for chain in _WFLW_CHAINS)),
    mirror_pairs=(
        *((i, 32 - i) for i in range(16)),
        *((33 + i, 46 - i) for i in range(5)),
        *((38 + i, 50 - i) for i in range(4)),
        *((55, 59), (56, 58), (60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74), (67, 73)),
        *((76, 82), (77, 81), (78, 80), (87, 83), (86, 84), (88, 92), (89, 91), (95, 93), (96, 97)),
    ),
)


def _whole_body(
    name: str, body: tuple[str, ...], edges: tuple[tuple[int, int], ...], source: str, sigmas: tuple[float, ...]
) -> Skeleton:
    """Build a body with feet, then a face, then the left and the right hand."""
    hands = tuple(_hand(f"{side}_hand_root", f"{side}_") for side in ("left", "right"))
    keypoints = (*body, *_FACE, *hands[0], *hands[1])
    chains = [chain for side in ("left", "right") for chain in _finger_chains(f"{side}_hand_root", f"{side}_")]
    wrists = [f"{side}_wrist {side}_hand_root" for side in ("left", "right")]
    by_name = Skeleton(name, keypoints, ()).flip_pairs
    first = len(body)
    return Skeleton(
        name=name,
        keypoints=keypoints,
        edges=(
            *edges,
            *((first + a, first + b) for a, b in FACE_68.edges),
            *edges_along(keypoints, "nose face_30", *wrists, *chains),
        ),
        sigmas_source=source,
        _sigmas=sigmas,
        mirror_pairs=(*by_name, *((first + left, first + right) for left, right in _FACE_MIRROR)),
    )


_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
_BODY_AND_FEET = (*COCO_17.keypoints, *_FEET)
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021,
    0.032, 0.020, 0.019, 0.022, 0.031,
)  # fmt: skip
COCO_WHOLEBODY_133 = _whole_body(
    "coco_wholebody133",
    _BODY_AND_FEET,
    (
        *COCO_17.edges,
        *edges_along(_BODY_AND_FEET, *(f"{s}_heel {s}_ankle {s}_big_toe {s}_small_toe" for s in ("left", "right"))),
    ),
    "COCO-WholeBody evaluation (Jin et al., ECCV 2020; jin-s13/COCO-WholeBody, evaluation/myeval_wholebody.py)",
    (
        *COCO_17.sigmas.tolist(), 0.068, 0.066, 0.066, 0.092, 0.094, 0.094,
        0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041,
        0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012,
        0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034,
        0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008,
        0.008, 0.008, 0.010, 0.008, *_HAND_SIGMAS, *_HAND_SIGMAS,
    ),
)  # fmt: skip

HALPE_136 = _whole_body(
    "halpe136",
    HALPE_26.keypoints,
    HALPE_26.edges,
    "Halpe evaluation (Fang-Haoshu/Halpe-FullBody, halpecocotools/cocoeval.py)",
    (*HALPE_26.sigmas.tolist(), *tenths(*[0.15] * (68 + 42))),
)


def with_parts(body: Skeleton, *, hands: bool = False, face: Skeleton | None = None) -> Skeleton:
    """Return a body's skeleton with a face, `FACE_68` or `FACE_70`, and the left and the right hand after its joints,
    in the order and with the names of COCO-WholeBody (`Skeleton.parts`).

    It has sigmas if the body has them, a face of 68 points those of COCO-WholeBody; pupils have none. Raises ValueError
    for a body that has such joints.
    """
    roots = {side: f"{side}_hand_root" for side in ("left", "right")} if hands else {}
    hand_names = {side: _hand(root, f"{side}_") for side, root in roots.items()}
    of_face = () if face is None else face.keypoints
    keypoints = (*body.keypoints, *of_face, *(name for names in hand_names.values() for name in names))
    chains = [chain for side, root in roots.items() for chain in _finger_chains(root, f"{side}_")]
    chains += [f"{side}_wrist {root}" for side, root in roots.items() if f"{side}_wrist" in body.keypoints]
    first, edges, mirror_pairs = len(body), body.edges, body.flip_pairs
    if face is not None:
        edges += tuple((first + start, first + end) for start, end in face.edges)
        mirror_pairs += tuple((first + left, first + right) for left, right in face.flip_pairs)
    if hands:
        start = first + len(of_face)
        mirror_pairs += tuple((start + joint, start + len(_HAND) + joint) for joint in range(len(_HAND)))
    sigmas, source = None, None
    if body.has_sigmas and face != FACE_70:
        whole = dict(zip(COCO_WHOLEBODY_133.keypoints, COCO_WHOLEBODY_133.sigmas.tolist(), strict=True))
        sigmas = (*body.sigmas.tolist(), *(whole[name] for name in keypoints[first:]))
        source = f"{body.sigmas_source}; {COCO_WHOLEBODY_133.sigmas_source}"
    parts = [("face_kpts", len(of_face))] if face is not None else []
    parts += [(f"{side}hand_kpts", len(_HAND)) for side in roots]
    name = "+".join([body.name, *([] if face is None else [face.name]), *(["hands"] if hands else [])])
    every = (*edges, *edges_along(keypoints, *chains))
    return Skeleton(name, keypoints, every, source, sigmas, mirror_pairs, tuple(parts))
