"""The record of an audit's tracking section; None where a number cannot be computed."""

from dataclasses import dataclass

Number = float | None


@dataclass(frozen=True)
class JointTracking:
    """One joint in PoseTrack's numbers, 0 to 1."""

    MOTA: Number
    MOTP: Number
    precision: Number
    recall: Number
    AP: Number


@dataclass(frozen=True)
class PoseTrack:
    """PoseTrack's numbers, as its code poseval computes them: means over joints, 0 to 1; switches of all joints; and
    each joint's by name."""

    MOTA: Number
    MOTP: Number
    precision: Number
    recall: Number
    AP: Number
    switches: int
    joints: dict[str, JointTracking]


@dataclass(frozen=True)
class Tracking:
    """How well people are tracked, by OKS: HOTA with its parts, IDF1 with precision and recall, and CLEAR MOT at OKS
    0.5, with the numbers that it counts, and how many poses are of no track; `posetrack` is None without head boxes."""

    HOTA: Number
    DetA: Number
    AssA: Number
    LocA: Number
    IDF1: Number
    IDP: Number
    IDR: Number
    MOTA: Number
    MOTP: Number
    switches: int
    fragments: int
    misses: int
    false_alarms: int
    people: int
    poses: int
    untracked: int
    frames: int
    clips: int
    posetrack: PoseTrack | None
