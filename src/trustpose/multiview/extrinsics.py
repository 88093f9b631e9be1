"""Where cameras stand, from the people that they see: a first placing (`placing`), then bundle adjustment.

Once all cameras stand, people are associated by them, and everything is adjusted again, twice: better cameras
associate better.

The first placing of cameras by people of whom it is not known who is who: essential matrices, then one camera after
the other. Two cameras come first, by the essential matrix of their common keypoints (Nistér 2004, in RANSAC,
OpenCV's), the pair with the most inliers seen under a good angle; the next is always the one that sees most of the
points so far (RANSAC over `solvePnP`). Whose keypoints belong together is not known yet: every person of one view is
tried with every person of the other at the same moment, and RANSAC drops the wrong ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import cv2
import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.multiview.bundle import Bundle, adjust
from trustpose.multiview.frames import Moments, gather_rows, positions_of, sizes_of, weights_of
from trustpose.multiview.people import Group, group_people
from trustpose.multiview.triangulation import solve_linear, to_plane
from trustpose.poses import Poses

_MIN_WEIGHT_SHARE = 0.5  # of the usual best person's sum of weights; who has less may be none
_MAX_PEOPLE = 3  # of a view and moment, for the first cameras
MIN_KEYPOINTS = 24  # keypoints that agree, for a camera to be placed
_MAX_PAIRS = 4  # with which placing is begun
_FOCAL = 1000.0  # of the plain cameras in which rays are pixels
_DRAWS = 20_000
_SURE = 0.9999
_PERSON = 1.6  # metres from one end of a person's keypoints to the other: association needs about the scale
_WIDEST = np.cos(np.radians(15.0))  # rays that meet under less fix the depth badly


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two cameras by their essential matrix: how much speaks for it, the second's `pose` (3, 4) in the first's frame,
    and `people`: of each camera, which row at which moment."""

    worth: float
    first: int
    second: int
    pose: Float[np.ndarray, "3 4"]
    people: dict[int, dict[int, int]]


class Start:
    """The first placing, from people of whom it is not known who is who: every joint of every person of a moment is
    an observation of its own."""

    def __init__(
        self,
        cameras: Cameras,
        moments: Moments,
        plane: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        tolerance: Sequence[np.ndarray],
    ) -> None:
        self.cameras, self.moments, self.plane = cameras, moments, plane
        self.weights, self.tolerance = weights, tolerance
        self.rows = [self._sure(view, rows) for view, rows in enumerate(moments.rows)]

    def _sure(self, view: int, moments: Sequence[np.ndarray]) -> list[list[int]]:
        """Return the rows of each moment that are trusted about as far as the view's best, the best first."""
        worth = self.weights[view].sum(axis=1)
        best = [worth[rows].max() for rows in moments if len(rows)]
        threshold = _MIN_WEIGHT_SHARE * float(np.median(best)) if best else 0.0
        ordered = [sorted(rows.tolist(), key=lambda row: -float(worth[row])) for rows in moments]
        return [[row for row in rows if worth[row] >= threshold][:_MAX_PEOPLE] for rows in ordered]

    def _distinct(self, views: Sequence[int], rows: Sequence[np.ndarray]) -> np.ndarray:
        """Return which combinations of rows, one of each view, show what no earlier one did: who stands still would
        otherwise be as many witnesses as there are moments."""
        seen = np.concatenate(
            [
                np.where((self.weights[view][row] > 0)[..., None], self.plane[view][row], np.nan)
                / self.tolerance[view][row][:, None, None]
                for view, row in zip(views, rows, strict=True)
            ],
            axis=1,
        )  # (combinations, joints of all views, 2), in tolerances
        distinct: list[int] = []
        for index, observation in enumerate(seen):
            with np.errstate(invalid="ignore"):
                moved = np.linalg.norm(seen[distinct] - observation, axis=2)
            is_common = np.isfinite(moved)
            mean = np.where(is_common, moved, 0).sum(axis=1) / np.maximum(is_common.sum(axis=1), 1)
            if not len(mean) or mean.min() > 1:
                distinct.append(index)
        return np.array(distinct, dtype=np.int64)

    def run(self) -> Cameras:
        """Return the cameras, placed from each of the best pairs in turn, as most keypoints agree with them."""
        count = len(self.cameras)
        if count < 2:
            raise ValueError(f"expected two or more cameras, got {count}")
        pairs = [pair_found for a, b in combinations(range(count), 2) if (pair_found := self._pair(a, b)) is not None]
        if not pairs:
            raise ValueError(
                f"no two cameras show {MIN_KEYPOINTS} keypoints that agree; were the frames taken at the same "
                "time, and do the intrinsics belong to these cameras?"
            )
        pairs.sort(key=lambda pair: -pair.worth)
        grown, failed = [], []
        for pair in pairs[:_MAX_PAIRS]:
            try:
                grown.append(self._grow(pair))
            except ValueError as error:
                failed.append(error)
        if not grown:
            raise failed[0]
        _, poses, people = max(grown, key=lambda attempt: attempt[0])
        placed = Cameras(
            tuple(camera.placed(poses[view][:, :3], poses[view][:, 3]) for view, camera in enumerate(self.cameras))
        )
        return _in_first_frame(placed, _PERSON / self._size(poses, people))

    def _grow(self, pair: "_Pair") -> tuple[int, dict[int, np.ndarray], dict[int, dict[int, int]]]:
        """Return how many keypoints agree with all cameras, placed one after the other; their poses; whom they show."""
        poses: dict[int, np.ndarray] = {pair.first: np.eye(3, 4), pair.second: pair.pose}
        people = dict(pair.people)
        while True:
            agreeing = self._adjust(poses, people)
            if len(poses) == len(self.cameras):
                return agreeing, poses, people
            xyz = self._points(poses, people)
            offers = {view: self._by_points(view, xyz) for view in range(len(self.cameras)) if view not in poses}
            view = max(offers, key=lambda candidate: offers[candidate][0])
            agreeing, pose, chosen = offers[view]
            if agreeing < MIN_KEYPOINTS:
                name = self.cameras.names[view]
                raise ValueError(f"camera {name!r}: only {agreeing} keypoints agree with the other cameras'")
            poses[view] = pose
            people[view] = chosen

    def _adjust(self, poses: dict[int, np.ndarray], people: dict[int, dict[int, int]]) -> int:
        """Adjust the poses in place; return how many keypoints agree with them."""
        views = sorted(poses)
        plane, weight = self._observed(views, people)
        limit = np.array([np.median(self.tolerance[view]) for view in views])
        rig = Cameras(tuple(_normalised_camera(self.cameras[view].name, poses[view]) for view in views))
        seen = np.where(weight[..., None] > 0, plane, np.nan)
        bundle = adjust(seen * _FOCAL, weight, rig, rounds=4)
        for view, camera in zip(views, bundle.cameras, strict=True):
            poses[view] = np.concatenate([camera.rotation, camera.translation[:, None]], axis=1)
        with np.errstate(invalid="ignore"):
            return int((bundle.errors / _FOCAL < limit[:, None]).sum())

    def _size(self, poses: dict[int, np.ndarray], people: dict[int, dict[int, int]]) -> float:
        """Return the middle of the people's sizes, from one end of the keypoints to the other."""
        xyz = self._points(poses, people)
        is_known = np.asarray(np.isfinite(xyz).all(axis=2))
        sizes = []
        for person in range(len(xyz)):
            seen = xyz[person, is_known[person]]
            if len(seen) > 2:
                sizes.append(np.linalg.norm(seen[:, None] - seen[None], axis=2).max())
        return max(float(np.median(sizes)) if sizes else 1.0, 1e-6)

    def _pair(self, a: int, b: int) -> "_Pair | None":
        """Return the pair by its essential matrix; None if nothing speaks for one."""
        combos = [
            (moment, i, j)
            for moment in range(len(self.moments))
            for i in self.rows[a][moment]
            for j in self.rows[b][moment]
        ]
        if not combos:
            return None
        _, rows_a, rows_b = (np.array(column) for column in zip(*combos, strict=True))
        distinct = self._distinct((a, b), (rows_a, rows_b))
        combos, rows_a, rows_b = [combos[index] for index in distinct], rows_a[distinct], rows_b[distinct]
        both = (self.weights[a][rows_a] > 0) & (self.weights[b][rows_b] > 0)  # (combinations, K)
        if both.sum() < MIN_KEYPOINTS:
            return None
        points_a, points_b = self.plane[a][rows_a][both], self.plane[b][rows_b][both]
        limit = float(np.median((self.tolerance[a][rows_a] + self.tolerance[b][rows_b]) / 2))
        cv2.setRNGSeed(1)
        matrix, mask = cv2.findEssentialMat(
            points_a, points_b, np.eye(3), method=cv2.RANSAC, prob=_SURE, threshold=limit, maxIters=_DRAWS
        )
        if matrix is None or matrix.shape != (3, 3):
            return None
        _, rotation, shift, mask = cv2.recoverPose(matrix, points_a, points_b, np.eye(3), mask=mask)[:4]
        agrees = np.zeros(both.shape, dtype=bool)
        agrees[both] = mask.ravel() > 0
        pose = np.concatenate([rotation, shift], axis=1)
        people = {a: {}, b: {}}
        share = agrees.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
        for index in np.argsort(-share, kind="stable"):
            moment, i, j = combos[index]
            if share[index] >= 0.5 and moment not in people[a]:
                people[a][moment], people[b][moment] = i, j
        good = [
            index
            for index, (moment, i, j) in enumerate(combos)
            if people[a].get(moment) == i and people[b].get(moment) == j
        ]
        inside = agrees[good]
        if inside.sum() < MIN_KEYPOINTS:
            return None
        rays = [
            np.concatenate([xy, np.ones((len(xy), 1))], axis=1)
            for xy in (self.plane[a][rows_a[good]][inside], self.plane[b][rows_b[good]][inside])
        ]
        turned = [rays[0], rays[1] @ rotation]
        turned = [ray / np.linalg.norm(ray, axis=1, keepdims=True) for ray in turned]
        angle = float(np.median((turned[0] * turned[1]).sum(axis=1)))  # cosine
        worth = float(inside.sum()) * (1.0 if abs(angle) < _WIDEST else 0.1)
        return _Pair(worth * float(np.mean(share[good])), a, b, pose, people)

    def _points(self, poses: dict[int, np.ndarray], people: dict[int, dict[int, int]]) -> np.ndarray:
        """Return the joints (moments, K, 3) of the person at each moment, NaN where fewer than two cameras show it."""
        views = sorted(poses)
        plane, weight = self._observed(views, people)
        rig = Cameras(tuple(_normalised_camera(self.cameras[view].name, poses[view]) for view in views))
        return solve_linear(plane, weight, rig).reshape(len(self.moments), -1, 3)

    def _observed(self, views: Sequence[int], people: dict[int, dict[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return where the views see the joints of the person at each moment (v, M, 2), and the weights (v, M)."""
        keypoints = self.plane[0].shape[1]
        plane = np.zeros((len(views), len(self.moments), keypoints, 2))
        weight = np.zeros(plane.shape[:3])
        for index, view in enumerate(views):
            for moment, row in people[view].items():
                plane[index, moment] = np.nan_to_num(self.plane[view][row])
                weight[index, moment] = self.weights[view][row]
        return plane.reshape(len(views), -1, 2), weight.reshape(len(views), -1)

    def _by_points(self, view: int, xyz: np.ndarray) -> tuple[int, np.ndarray, dict[int, int]]:
        """Return how many keypoints agree with a camera's best pose, that pose (3, 4), and the rows of the people that
        it shows."""
        combos = [(moment, row) for moment, rows in enumerate(self.rows[view]) for row in rows]
        nothing = (0, np.eye(3, 4), {})
        if not combos:
            return nothing
        moment, row = (np.array(column) for column in zip(*combos, strict=True))
        distinct = self._distinct((view,), (row,))
        moment, row = moment[distinct], row[distinct]
        both = np.isfinite(xyz[moment]).all(axis=2) & (self.weights[view][row] > 0)
        if both.sum() < MIN_KEYPOINTS:
            return nothing
        limit = float(np.median(self.tolerance[view][row]))
        points, seen = xyz[moment][both], self.plane[view][row][both]
        cv2.setRNGSeed(1)
        is_solved, turn, shift, inside = cv2.solvePnPRansac(
            points, seen, np.eye(3), np.zeros(4), iterationsCount=2000, reprojectionError=limit, confidence=_SURE
        )
        if not is_solved or inside is None:
            return nothing
        agrees = np.zeros(both.shape, dtype=bool)
        agrees.ravel()[np.flatnonzero(both)[np.asarray(inside, dtype=np.int64).ravel()]] = True
        share = agrees.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
        chosen: dict[int, int] = {}
        for index in np.argsort(-share, kind="stable"):
            if share[index] >= 0.5:
                chosen.setdefault(int(moment[index]), int(row[index]))
        pose = np.concatenate([cv2.Rodrigues(turn)[0], shift], axis=1)
        return int(agrees.sum()), pose, chosen


def _in_first_frame(cameras: Cameras, factor: float) -> Cameras:
    """Return the cameras in the frame of the first, all lengths times `factor`."""
    first: Camera = cameras[0]
    placed = []
    for camera in cameras:
        rotation = camera.rotation @ first.rotation.T
        placed.append(camera.placed(rotation, (camera.translation - rotation @ first.translation) * factor))
    return Cameras(tuple(placed))


def _normalised_camera(name: str, pose: Float[np.ndarray, "3 4"]) -> Camera:
    """Return a camera whose pixels are positions in the plane one metre in front of it, times `_FOCAL`."""
    return Camera(name, np.diag([_FOCAL, _FOCAL, 1]), np.zeros(0), pose[:, :3], pose[:, 3])


_MAX_MOMENTS = 200  # looked at: they fix the cameras to a fraction of a degree
_MOMENTS_AT_FIRST = 60
_TOLERANCE = 0.03  # of a person's size in the image: within it a keypoint agrees


@dataclass(frozen=True, eq=False)
class PlacedCameras:
    """Cameras placed by people. `xyz` (N, K, 3) are the people's joints in the same world, NaN where unseen, `moment`
    (N,) the moments that they stand for, and `errors` (V, N, K) the reprojection errors, pixels."""

    cameras: Cameras
    xyz: Float[np.ndarray, "N K 3"]
    moment: np.ndarray
    errors: Float[np.ndarray, "V N K"]

    def scaled(self, factor: float) -> "PlacedCameras":
        """Return the same with all lengths times `factor`."""
        cameras = Cameras(tuple(camera.placed(camera.rotation, camera.translation * factor) for camera in self.cameras))
        return replace(self, cameras=cameras, xyz=self.xyz * factor)

    def moved(self, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, " 3"]) -> "PlacedCameras":
        """Return the same in a world in which a point x is `rotation` x + `shift`."""
        cameras = []
        for camera in self.cameras:
            turned = camera.rotation @ rotation.T
            cameras.append(camera.placed(turned, camera.translation - turned @ shift))
        return replace(self, cameras=Cameras(tuple(cameras)), xyz=self.xyz @ rotation.T + shift)


def place_by_people(views: Sequence[Poses], cameras: Cameras, moments: Moments, weight: str = "trust") -> PlacedCameras:
    """Return the cameras, placed by the people of their `views` (Poses, in the cameras' order), in the first camera's
    frame. The images do not show the scale: it is such that people are about 1.6 m tall, until `PlacedCameras.scaled`.

    moments: which rows are simultaneous, from `frames.match_frames`; weight: "trust", "scores" or "none", as for
    `people.triangulate`. Only the intrinsics of `cameras` are used. Raises ValueError if too few keypoints
    agree, naming the camera.
    """
    moments = _subsample(moments, _MAX_MOMENTS)
    positions = [positions_of(view) for view in views]
    weights = [weights_of(view, weight, index) for index, view in enumerate(views)]
    tolerance = [_TOLERANCE * sizes_of(view) for view in views]
    plane = [
        to_plane(camera, camera.undistort(pixels).reshape(-1, 2)).reshape(pixels.shape)
        for camera, pixels in zip(cameras, positions, strict=True)
    ]
    angles = [pixels / camera.matrix[0, 0] for pixels, camera in zip(tolerance, cameras, strict=True)]
    standing = Start(cameras, _subsample(moments, _MOMENTS_AT_FIRST), plane, weights, angles).run()
    group, bundle = _associate_and_adjust(views, standing, moments, positions, weights)
    # better cameras associate better
    group, bundle = _associate_and_adjust(views, bundle.cameras, moments, positions, weights)
    _check_seen(bundle, cameras)
    seen = np.isfinite(bundle.errors).sum(axis=0) >= 2
    xyz = np.where(seen[:, None], bundle.xyz, np.nan).reshape(len(group.moment), -1, 3)
    return PlacedCameras(bundle.cameras, xyz, group.moment, bundle.errors.reshape(len(views), *xyz.shape[:2]))


def _associate_and_adjust(
    views: Sequence[Poses],
    cameras: Cameras,
    moments: Moments,
    positions: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
) -> tuple[Group, Bundle]:
    """Return who is whom, by cameras that stand roughly right, and the cameras adjusted to it."""
    group = group_people(views, cameras, moments, weights)
    if not len(group.moment):
        raise ValueError("the cameras' people do not match; were the frames taken at the same time?")
    xy, trust = (gather_rows(parts, group.rows) for parts in (positions, weights))
    precision = np.nan_to_num(trust).reshape(len(views), -1) ** 2  # σ is taken as inversely proportional to trust
    return group, adjust(xy.reshape(len(views), -1, 2), precision, cameras)


def _check_seen(bundle: Bundle, cameras: Cameras) -> None:
    for name, errors in zip(cameras.names, bundle.errors, strict=True):
        if np.isfinite(errors).sum() < MIN_KEYPOINTS:
            raise ValueError(
                f"camera {name!r}: shows fewer than {MIN_KEYPOINTS} keypoints that another camera shows too"
            )


def _subsample(moments: Moments, count_limit: int) -> Moments:
    """Return moments spread over the clip."""
    count = len(moments)
    if count <= count_limit:
        return moments
    indices = np.linspace(0, count - 1, count_limit).round().astype(int)
    rows = tuple(tuple(view[index] for index in indices) for view in moments.rows)
    return Moments(moments.frame[indices], rows, moments.frames_of[:, indices])
