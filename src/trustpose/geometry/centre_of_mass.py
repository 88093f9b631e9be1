"""The centre of mass of a body from its joints, by a published table of segments.

Each segment has a share of the body's mass, and its centre lies at a share of the way from its first end to its second.
So the centre of mass is a weighted mean of the joints, and its derivative by each joint is that joint's weight.

Source: Winter, Biomechanics and Motor Control of Human Movement, 4th edition, 2009, table 4.1 (masses and centres by
Dempster, Space requirements of the seated operator, 1955), of the segments that end at joints of nearly every
skeleton: the foot belongs to the shank (its end is the ankle), the hand to the forearm (the wrist), and head and neck
to the trunk (from the hips to the shoulders, beyond which part of the segment lies).
"""

from dataclasses import dataclass

SIDES = ("left", "right")


@dataclass(frozen=True)
class Segment:
    """A part of the body between two joints, or the middle of two pairs.

    Args:
        start: its first end, a joint without its side.
        end: its second end.
        mass: its share of the body's mass, of each side where it has one.
        centre: the share of the way from `start` to `end` at which its centre of mass lies.
        is_middle: whether it lies between the middle of both sides' joints, and so is there once.
    """

    start: str
    end: str
    mass: float
    centre: float
    is_middle: bool = False


WINTER = (
    Segment("elbow", "wrist", 0.022, 0.682),  # forearm and hand
    Segment("shoulder", "elbow", 0.028, 0.436),
    Segment("knee", "ankle", 0.061, 0.606),  # foot and leg
    Segment("hip", "knee", 0.100, 0.433),
    Segment("hip", "shoulder", 0.578, 0.66, is_middle=True),  # trunk, head and neck
)
"""Winter 2009, table 4.1."""


def weights_of_joints(segments: tuple[Segment, ...] = WINTER) -> dict[str, float]:
    """Return the weight of each joint in the mean that is the centre of mass; they sum to 1.

    Example:
        >>> round(weights_of_joints()["left_ankle"], 4)
        0.037
    """
    weights: dict[str, float] = {}
    for segment in segments:
        mass = segment.mass / 2 if segment.is_middle else segment.mass
        for side in SIDES:
            for joint, share in ((segment.start, 1 - segment.centre), (segment.end, segment.centre)):
                name = f"{side}_{joint}"
                weights[name] = weights.get(name, 0.0) + mass * share
    return weights
