"""Draw poses on photos: trust, left and right, expected errors, people's numbers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.poses import MISSING_ID, Poses, Visibility
from trustpose.report.describe import skeleton_to_show
from trustpose.report.legend import Entry, draw_legend
from trustpose.report.numbers import Plates, has_tracks, person_labels, person_numbers
from trustpose.report.palettes import EDGE, LEFT_EDGE, as_tuples, check_style
from trustpose.report.scene import Scene, prepare
from trustpose.report.strokes import SHIFT, Colour, circle, line, tint
from trustpose.skeletons import Skeleton

_OPACITY = 0.22  # of the discs of expected errors


def draw_poses(
    image: UInt8[np.ndarray, "H W 3"],
    poses: Poses,
    skeleton: Skeleton | None = None,
    *,
    style: str = "trust",
    min_score: float | None = None,
    legend: bool = True,
    is_frame: bool = False,
    colour_indices: Int[np.ndarray, " N"] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a copy of the photo, RGB, with the poses drawn on it.

    style: the meaning of colours. "trust": `poses.quality`, a limb's by the lower of its two ends, grey where unknown;
    for poses without any, parts are coloured, and the legend states it. "parts": left blue, right orange, the middle
    white, darker below the waist. "people": one colour per person, by track where there is one. All colours are told
    apart with the common forms of colour blindness. Where colours do not show the side, the left one has white edges.

    With `poses.visibility`, a joint that is most likely not visible (absent) is left out with its limbs, and one that
    is most likely occluded is a hollow ring; `visibility_label` has precedence. A missing joint is left out, and so is
    one with a raw score below `min_score`. The legend counts them, as "not visible" if all are, and poses without any
    joint to draw. A disc holds the joint half of the time, by the error that its quality stands for
    (`geometry.expected_error`), and is shown where it is larger than the joint. Two people or more have numbers, those
    of `report.numbers.person_numbers`, which `report.describe.read_out` uses too. Lines are as wide as suits the
    person's size. The legend takes at most 5 % of the picture, in the corner with the fewest joints. is_frame: whether
    the image is a frame of a video, where the legend stays in its corner and only tracks are numbered. colour_indices:
    each person's colour in style "people", as an index into `palettes.PEOPLE`; `report.frame_colours.FrameColours`
    keeps them from frame to frame.

    Limbs are those of `skeleton` (default: `poses.skeleton`). Raises ValueError if neither is known or the two have
    different joints, or if `min_score` is given and the poses have no scores; InputError for an unknown style.
    """
    skeleton = skeleton_to_show(poses, skeleton)
    check_style(style)
    if min_score is not None and poses.score is None:
        raise ValueError("min_score: the poses have no scores")
    drawn = np.ascontiguousarray(image).copy()
    if not len(poses):
        return drawn
    scene = prepare(poses, skeleton, style, min_score, drawn.shape, colour_indices)
    order = np.argsort(-scene.width, kind="stable").tolist()  # small people last, on top of large ones
    for row in order:
        _draw_errors(drawn, scene, row)
    for row in order:
        _draw_person(drawn, scene, row)
    joints = scene.joints[scene.shown] / (1 << SHIFT)
    if has_tracks(poses) or (len(poses) > 1 and not is_frame):
        labelled = replace(poses, presence=None) if is_frame else poses  # which would flicker in a video
        _draw_numbers(drawn, scene, labelled, joints, has_colours=style == "people")
    if legend:
        draw_legend(drawn, _entries(poses, scene, skeleton, style, min_score, is_frame), joints, stays=is_frame)
    return drawn


def _entries(
    poses: Poses, scene: Scene, skeleton: Skeleton, style: str, min_score: float | None, is_frame: bool
) -> list[Entry]:
    """Return the legend's entries: only what is in the picture, but in a video the same for every frame."""
    entries: list[Entry] = []
    if style == "trust":
        entries.append(Entry("", "no trust") if poses.quality is None else Entry("scale", "trust"))
        if poses.quality is not None and np.isnan(poses.quality[scene.shown]).any():
            entries.append(Entry("grey", "unknown"))
    if scene.joint_has_white_edge.any():
        entries.append(Entry("left edge", "left"))
    elif skeleton.flip_pairs:
        entries += [Entry("left", "left"), Entry("right", "right")]
    if scene.hollow.any() or (is_frame and poses.decided_visibility is not None):
        entries.append(Entry("ring", "occluded"))
    if scene.error.any() or (is_frame and poses.quality is not None and skeleton.has_sigmas):
        entries.append(Entry("disc", "error"))
    if not is_frame and len(poses) > 1 and any("%" in label for label in person_labels(poses)):
        entries.append(Entry("", "%: presence"))
    return entries + _left_out(poses, scene, min_score)


def _left_out(poses: Poses, scene: Scene, min_score: float | None) -> list[Entry]:
    """Return how many joints are left out, and why, if it is for one reason; people without any joint count apart."""
    body_count = (
        poses.keypoint_count if poses.skeleton is None else poses.skeleton.body_count
    )  # few hands are looked for
    if min_score is not None:
        return [Entry("", f"{int((~scene.shown[:, :body_count]).sum()):,} left out (score < {min_score:g})")]
    is_drawn = np.asarray(scene.shown.any(axis=1))
    left_out, decided = ~scene.shown & is_drawn[:, None], poses.decided_visibility
    left_out[:, body_count:] = False
    absent = np.zeros_like(left_out) if decided is None else decided == Visibility.ABSENT
    count, unseen = int(left_out.sum()), int((~is_drawn).sum())
    entries = [Entry("", f"{count:,} {'not visible' if absent[left_out].all() else 'left out'}")] if count else []
    return [*entries, Entry("", f"{unseen:,} {'pose' if unseen == 1 else 'poses'} not drawn")] if unseen else entries


def _draw_errors(drawn: np.ndarray, scene: Scene, row: int) -> None:
    colours = as_tuples(scene.colours[row])
    for joint in np.flatnonzero(scene.error[row]).tolist():
        tint(drawn, scene.joints[row, joint], float(scene.error[row, joint]), colours[joint], _OPACITY)


def _draw_person(drawn: np.ndarray, scene: Scene, row: int) -> None:
    """Draw a person's limbs, then joints, each on its edge; a white edge has a dark one around, if there is room."""
    width, outline = int(scene.width[row]), int(scene.outline[row])
    dark = [(EDGE, outline)]
    white = [(EDGE, outline + max(1, outline // 2)), (LEFT_EDGE, outline)] if width > 1 else [(LEFT_EDGE, outline)]
    ends, widths, colours = (
        scene.limbs[row].tolist(),
        scene.limb_width[row].tolist(),
        as_tuples(scene.limb_colours[row]),
    )
    limbs = np.flatnonzero(scene.limb_shown[row]).tolist()
    edges = {limb: white if scene.limb_has_white_edge[limb] else dark for limb in limbs}
    for limb in limbs:
        colour, wide = edges[limb][0]
        line(drawn, ends[limb], colour, widths[limb] + 2 * wide)
    for limb in limbs:
        for colour, wide in (*edges[limb][1:], (colours[limb], 0)):
            line(drawn, ends[limb], colour, widths[limb] + 2 * wide)
    colours = as_tuples(scene.colours[row])
    for joint in np.flatnonzero(scene.shown[row]).tolist():
        around = white if scene.joint_has_white_edge[joint] else dark
        _draw_joint(drawn, scene, row, joint, [*around, (colours[joint], 0)])


def _draw_joint(drawn: np.ndarray, scene: Scene, row: int, joint: int, layers: Sequence[tuple[Colour, int]]) -> None:
    """Draw a joint in layers of a colour, each wider than the joint by some pixels."""
    point, radius = scene.joints[row, joint], float(scene.radius[row, joint])
    for colour, wide in layers:
        if scene.hollow[row, joint]:
            circle(drawn, point, radius, colour, int(scene.ring[row]) + 2 * wide)
        else:
            circle(drawn, point, radius + wide, colour)


def _draw_numbers(
    drawn: np.ndarray, scene: Scene, poses: Poses, joints: Float[np.ndarray, "J 2"], *, has_colours: bool
) -> None:
    """Write the number of each person with a visible part."""
    plates, numbers, labels = Plates(drawn, joints), person_numbers(poses), person_labels(poses)
    photo = max(drawn.shape[:2])
    for row in np.argsort(numbers, kind="stable").tolist():
        person_joints = scene.joints[row][scene.shown[row]] / (1 << SHIFT)
        if not len(person_joints) or numbers[row] == MISSING_ID:
            continue
        width = int(scene.width[row])
        height = int(np.clip(5 * width, max(10, photo / 55), max(11, photo / 30)))
        colour = as_tuples(scene.colours[row])[0] if has_colours else None
        plates.put(labels[row], person_joints, 2.5 * width + 2, height, colour)
