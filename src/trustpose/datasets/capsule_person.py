"""A person of capsules whose surface is known in every pixel: photos of our own making for networks of surfaces.

The body has fourteen capsules, whose charts are those of DensePose by name and number; their coordinates are ours: U
runs around the capsule, V along it. A part of two charts is divided into back (1) and front (2), the head into right
and left. Lengths are in metres, x to the person's left, y up, z out of the chest; the camera looks along −z without
perspective.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from trustpose.codecs.surface import UVMirror
from trustpose.geometry.surface_mesh import SurfaceMesh
from trustpose.poses.surfaces import Surface
from trustpose.skeletons.surface_parts import SURFACE_PARTS

_FRONT, _SIDE = np.array([0.0, 0, 1]), np.array([1.0, 0, 0])
_RINGS, _AROUND, _JOINTS = 10, 12, 6  # of the mesh: rings of a capsule, vertices of a ring, links at a joint


@dataclass(frozen=True)
class _Bone:
    """A capsule from `start` to `end` in the rest pose, and the bone that it moves with; `spread` is the deviation of
    its random rotation about x, y and z, radians, `bend` a mean rotation about x."""

    name: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float
    parent: str | None
    spread: tuple[float, float, float]
    bend: float = 0.0


def _limbs(side: str, x: float) -> list[_Bone]:
    arm, shoulder, hip = x * 0.45, x * 0.2, x * 0.1
    return [
        _Bone(f"{side}_upper_arm", (shoulder, 1.4, 0), (shoulder + arm * 0.4, 1.15, 0), 0.05, "torso", (0.6, 0.3, 0.5)),
        _Bone(
            f"{side}_lower_arm",
            (shoulder + arm * 0.4, 1.15, 0),
            (shoulder + arm * 0.6, 0.93, 0),
            0.04,
            f"{side}_upper_arm",
            (0.5, 0.2, 0.2),
            -0.6,
        ),
        _Bone(
            f"{side}_hand",
            (shoulder + arm * 0.63, 0.87, 0),
            (shoulder + arm * 0.68, 0.78, 0),
            0.045,
            f"{side}_lower_arm",
            (0.2, 0.1, 0.2),
        ),
        _Bone(f"{side}_upper_leg", (hip, 0.92, 0), (hip * 1.1, 0.52, 0), 0.08, "torso", (0.4, 0.15, 0.15), -0.2),
        _Bone(
            f"{side}_lower_leg",
            (hip * 1.1, 0.5, 0),
            (hip * 1.15, 0.12, 0),
            0.058,
            f"{side}_upper_leg",
            (0.3, 0.05, 0.05),
            0.4,
        ),
        _Bone(
            f"{side}_foot", (hip * 1.15, 0.05, 0), (hip * 1.25, 0.05, 0.16), 0.045, f"{side}_lower_leg", (0.15, 0.1, 0)
        ),
    ]


BONES: tuple[_Bone, ...] = (
    _Bone("torso", (0, 0.98, 0), (0, 1.34, 0), 0.15, None, (0.15, 0, 0.2)),
    _Bone("head", (0, 1.6, 0), (0, 1.66, 0), 0.1, "torso", (0.15, 0.3, 0.15)),
    *_limbs("left", 1.0),
    *_limbs("right", -1.0),
)
_NUMBER = {name: number for number, name in enumerate(SURFACE_PARTS, 1)}


@dataclass(frozen=True, eq=False)
class CapsulePose:
    """Where the capsules are: start and end (14, 3), and the rotation of each from the rest pose (14, 3, 3)."""

    start: Float[np.ndarray, "14 3"]
    end: Float[np.ndarray, "14 3"]
    rotation: Float[np.ndarray, "14 3 3"]


def rest_pose() -> CapsulePose:
    """Return the pose in which distances along the surface are measured."""
    return CapsulePose(
        np.array([bone.start for bone in BONES], np.float64),
        np.array([bone.end for bone in BONES], np.float64),
        np.repeat(np.eye(3)[None], len(BONES), axis=0),
    )


def random_pose(random: np.random.Generator) -> CapsulePose:
    """Return a random pose, seen from any side."""
    yaw = random.uniform(-np.pi, np.pi)
    turns: dict[str | None, np.ndarray] = {None: Rotation.from_euler("y", yaw).as_matrix()}
    shifts: dict[str | None, np.ndarray] = {None: np.zeros(3)}
    start, end, rotation = [], [], []
    for bone in BONES:
        angles = random.normal(0, 1, 3) * bone.spread + [bone.bend, 0, 0]
        local = Rotation.from_euler("xyz", angles).as_matrix()
        turn = turns[bone.parent] @ local
        origin = np.array(bone.start)
        shift = turns[bone.parent] @ origin + shifts[bone.parent] - turn @ origin
        turns[bone.name], shifts[bone.name] = turn, shift
        start.append(turn @ origin + shift)
        end.append(turn @ np.array(bone.end) + shift)
        rotation.append(turn)
    return CapsulePose(np.stack(start), np.stack(end), np.stack(rotation))


def charts(
    bone: int, pose: CapsulePose, xyz: Float[np.ndarray, "P 3"]
) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "P 2"]]:
    """Return part and uv of points on a capsule's surface."""
    name, radius = BONES[bone].name, BONES[bone].radius
    axis = pose.end[bone] - pose.start[bone]
    length = float(np.linalg.norm(axis))
    axis = axis / length
    away = xyz - pose.start[bone]
    along = (away @ axis + radius) / (length + 2 * radius)
    front = pose.rotation[bone] @ (_SIDE if name == "head" else np.array([0.0, 1, 0]) if "foot" in name else _FRONT)
    front = front - axis * (front @ axis)
    front /= np.linalg.norm(front)
    left = np.cross(axis, front) * (-1 if name.startswith("right") else 1)
    angle = np.arctan2(away @ left, away @ front)  # 0 in front, or at the head's left
    if f"{name}_1" in _NUMBER or name == "head":
        second, first = ("left_head", "right_head") if name == "head" else (f"{name}_2", f"{name}_1")
        is_second = np.abs(angle) <= np.pi / 2
        around = np.where(is_second, angle, np.mod(angle + np.pi + np.pi, 2 * np.pi) - np.pi) / np.pi + 0.5
        if name == "head":
            around = np.where(is_second, around, 1 - around)  # the mirror image of the left side
        part = np.where(is_second, _NUMBER[second], _NUMBER[first])
    else:
        around, part = angle / (2 * np.pi) + 0.5, np.full(len(xyz), _NUMBER[name])
    return part, np.clip(np.stack([around, along], axis=1), 0, 1)


@dataclass(frozen=True, eq=False)
class CapsulePhoto:
    """A photo of one person: pixels, RGB; its surface over the whole photo; box of the visible pixels, xyxy."""

    pixels: UInt8[np.ndarray, "H W 3"]
    surface: Surface
    box: Float[np.ndarray, " 4"]


def render(random: np.random.Generator, width: int = 128, height: int = 128) -> CapsulePhoto:
    """Return a photo of a person in a random pose, clothes and light before a random background."""
    pose = random_pose(random)
    reach = np.array([bone.radius for bone in BONES])[:, None]
    low = np.minimum(pose.start, pose.end)[:, :2] - reach
    high = np.maximum(pose.start, pose.end)[:, :2] + reach
    low, high = low.min(axis=0), high.max(axis=0)
    scale = random.uniform(0.65, 0.95) / ((high - low) / [width, height]).max()  # pixels a metre
    free = np.array([width, height]) - (high - low) * scale
    corner = free * random.uniform(0, 1, 2)
    x = (np.arange(width) + 0.5 - corner[0]) / scale + low[0]
    y = high[1] - (np.arange(height) + 0.5 - corner[1]) / scale
    ground = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    depth, nearest = np.full(len(ground), -np.inf), np.full(len(ground), -1)
    for bone in range(len(BONES)):
        z = _visible(pose, bone, ground)
        is_nearer = z > depth
        depth, nearest = np.where(is_nearer, z, depth), np.where(is_nearer, bone, nearest)
    part, uv = np.zeros(len(ground), np.uint8), np.zeros((len(ground), 2), np.float32)
    light = np.array([0, 0.5, 1]) + random.normal(0, 0.5, 3)
    light /= np.linalg.norm(light)
    colours = _background(random, width, height).reshape(-1, 3)
    clothes = _clothes(random)
    for bone in np.unique(nearest[nearest >= 0]).tolist():
        rows = np.flatnonzero(nearest == bone)
        xyz = np.concatenate([ground[rows], depth[rows, None]], axis=1)
        part[rows], uv[rows] = charts(bone, pose, xyz)
        normal = _normals(pose, bone, xyz)
        shade = 0.35 + 0.65 * np.clip(normal @ light, 0, 1)
        front = normal @ pose.rotation[bone] @ _FRONT
        colours[rows] = _colour(clothes, bone, uv[rows], front) * shade[:, None]
    pixels = np.clip(colours + random.normal(0, 5, colours.shape), 0, 255).astype(np.uint8).reshape(height, width, 3)
    whole = np.array([0.0, 0.0, width, height])
    surface = Surface(part.reshape(height, width), uv.reshape(height, width, 2), whole)
    rows, columns = np.nonzero(surface.part)
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float64)
    return CapsulePhoto(pixels, surface, box)


def _visible(pose: CapsulePose, bone: int, ground: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, " P"]:
    """Return the largest z at which a capsule is above each x, y; −∞ where it is not."""
    start, axis, radius = pose.start[bone], pose.end[bone] - pose.start[bone], BONES[bone].radius
    away = np.concatenate([ground - start[:2], np.full((len(ground), 1), -start[2])], axis=1)
    length = axis @ axis
    along = away @ axis
    a = max(length - axis[2] ** 2, 1e-12)
    b = length * away[:, 2] - along * axis[2]
    c = length * ((away**2).sum(axis=1) - radius**2) - along**2
    root = b**2 - a * c
    with np.errstate(invalid="ignore"):
        z = (-b + np.sqrt(root)) / a  # on the cylinder
    reached = along + z * axis[2]
    z = np.where((root >= 0) & (reached > 0) & (reached < length), z, -np.inf)
    for end in (pose.start[bone], pose.end[bone]):
        inside = radius**2 - ((ground - end[:2]) ** 2).sum(axis=1)
        z = np.maximum(z, np.where(inside >= 0, end[2] + np.sqrt(np.maximum(inside, 0)), -np.inf))
    return z


def _normals(pose: CapsulePose, bone: int, xyz: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
    axis = pose.end[bone] - pose.start[bone]
    along = np.clip((xyz - pose.start[bone]) @ axis / (axis @ axis), 0, 1)
    return (xyz - pose.start[bone] - along[:, None] * axis) / BONES[bone].radius


def _clothes(random: np.random.Generator) -> dict[str, Float[np.ndarray, " 3"]]:
    skin = np.array([230, 185, 150]) * random.uniform(0.4, 1.05)
    return {
        "skin": skin,
        "hair": random.uniform(10, 90, 3),
        "shirt": random.uniform(40, 250, 3),
        "stripe": random.uniform(40, 250, 3),
        "trousers": random.uniform(20, 200, 3),
        "shoes": random.uniform(10, 250, 3),
        "stripes": np.array([random.integers(2, 7), 0, 0], np.float64),
    }


def _colour(
    clothes: dict[str, np.ndarray], bone: int, uv: Float[np.ndarray, "P 2"], front: Float[np.ndarray, " P"]
) -> Float[np.ndarray, "P 3"]:
    """Return the colours of points on a capsule; `front` is the cosine between their normal and the front."""
    name = BONES[bone].name
    colour = np.tile(clothes["skin"], (len(uv), 1))
    if name == "head":
        colour[front < 0.2] = clothes["hair"]
    elif name == "torso" or "upper_arm" in name:
        is_stripe = np.floor(uv[:, 1] * clothes["stripes"][0] * (1.5 if name == "torso" else 1)) % 2 == 1
        colour = np.where(is_stripe[:, None], clothes["stripe"], clothes["shirt"])
        if name == "torso":
            colour[(front > 0.97)] = 20  # a zip
    elif "leg" in name:
        colour = np.tile(clothes["trousers"], (len(uv), 1))
    elif "foot" in name:
        colour = np.tile(clothes["shoes"], (len(uv), 1))
    return colour.astype(np.float64)


def _background(random: np.random.Generator, width: int, height: int) -> Float[np.ndarray, "H W 3"]:
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    corners = random.uniform(0, 255, (3, 3))
    photo = corners[0] + across[..., None] * corners[1] * 0.4 + down[..., None] * corners[2] * 0.4
    for _ in range(random.integers(0, 8)):
        x0, y0 = random.integers(0, [width, height])
        photo[y0 : y0 + random.integers(5, 60), x0 : x0 + random.integers(3, 40)] = random.uniform(0, 255, 3)
    return np.clip(photo, 0, 255)


def capsule_mesh() -> SurfaceMesh:
    """Return vertices on all capsules with their distances along the surface, by shortest paths in the rest pose.

    Neighbours on a capsule are linked, diagonally too, and at each joint the nearest vertices of both capsules.
    """
    pose = rest_pose()
    xyz = np.concatenate([_rings(pose, bone) for bone in range(len(BONES))])
    count = _RINGS * _AROUND
    labels = [charts(bone, pose, xyz[bone * count : (bone + 1) * count]) for bone in range(len(BONES))]
    ring, around = (grid.ravel() for grid in np.meshgrid(np.arange(_RINGS), np.arange(_AROUND), indexing="ij"))
    links = []
    for up, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        is_inside = ring + up < _RINGS
        first = (ring * _AROUND + around)[is_inside]
        second = ((ring + up) * _AROUND + (around + right) % _AROUND)[is_inside]
        links += [np.stack([first, second]) + bone * count for bone in range(len(BONES))]
    names = [bone.name for bone in BONES]
    for index, bone in enumerate(BONES):
        if bone.parent is not None:
            links.append(_joint(xyz, index * count, names.index(bone.parent) * count, count))
    first, second = np.concatenate(links, axis=1)
    length = np.maximum(np.linalg.norm(xyz[first] - xyz[second], axis=1), 1e-6)
    graph = coo_array((length, (first, second)), shape=(len(xyz), len(xyz))).tocsr()
    distance = dijkstra(graph, directed=False)
    part, uv = (np.concatenate(column) for column in zip(*labels, strict=True))
    low = np.tril_indices(len(xyz), -1)
    return SurfaceMesh(part, uv, np.arange(len(xyz)), distance[low].astype(np.float32))


def _rings(pose: CapsulePose, bone: int) -> Float[np.ndarray, "P 3"]:
    """Return the vertices of a capsule, ring by ring."""
    start, radius = pose.start[bone], BONES[bone].radius
    axis = pose.end[bone] - start
    length = float(np.linalg.norm(axis))
    axis = axis / length
    across = np.cross(axis, _FRONT if abs(axis[2]) < 0.9 else _SIDE)
    across /= np.linalg.norm(across)
    onward = np.cross(axis, across)
    angle = (np.arange(_AROUND) + 0.5) * 2 * np.pi / _AROUND
    rim = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * onward  # (A, 3)
    height = -radius + (length + 2 * radius) * (np.arange(_RINGS) + 0.5) / _RINGS
    beyond = height - np.clip(height, 0, length)
    width = np.sqrt(np.maximum(radius**2 - beyond**2, 0))
    return (start + height[:, None, None] * axis + width[:, None, None] * rim).reshape(-1, 3)


def _joint(xyz: Float[np.ndarray, "V 3"], first: int, second: int, count: int) -> Int[np.ndarray, "2 L"]:
    """Return the nearest pairs of vertices of two capsules."""
    distance, near = KDTree(xyz[second : second + count]).query(xyz[first : first + count])
    rows = np.argsort(distance)[:_JOINTS]
    return np.stack([first + rows, second + near[rows]])


def capsule_mirror() -> UVMirror:
    """Return how U and V change in a mirrored photo: the charts of both sides are each other's mirror images."""
    steps = np.linspace(0, 1, 256, dtype=np.float32)
    u = np.broadcast_to(steps, (len(SURFACE_PARTS), 256, 256)).copy()
    is_centred = np.array([name.startswith("torso") for name in SURFACE_PARTS])
    u[is_centred] = 1 - u[is_centred]
    v = np.broadcast_to(steps[:, None], u.shape)
    return UVMirror(u, v)
