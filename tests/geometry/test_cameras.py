"""Cameras: against OpenCV called directly, and there and back."""

import cv2
import jaxtyping
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry.cameras import Camera, Cameras

MATRIX = np.array([[1680.0, 0.3, 530], [0, 1690, 950], [0, 0, 1]])
DISTORTIONS = {
    "none": ("pinhole", []),
    "four": ("pinhole", [-0.05, 0.14, 0.0006, 0.0007]),
    "five": ("pinhole", [-0.28, 0.1, 0.001, -0.002, -0.01]),
    "rational": ("pinhole", [0.1, -0.2, 0.001, 0.0005, 0.05, 0.12, -0.18, 0.04]),
    "fisheye": ("fisheye", [0.03, -0.01, 0.002, -0.0004]),
}


def camera_of(kind: str, turn=(0.2, -0.4, 0.1), at=(0.3, -0.2, 4.0), name: str = "left") -> Camera:
    lens, distortion = DISTORTIONS[kind]
    matrix = MATRIX if lens == "pinhole" else np.array([[1680.0, 0, 530], [0, 1690, 950], [0, 0, 1]])
    rotation = cv2.Rodrigues(np.array(turn, dtype=np.float64))[0]
    return Camera(name, matrix, np.array(distortion), rotation, np.array(at, dtype=np.float64), (1088, 1920), lens)  # type: ignore[arg-type]


def world(seed: int, count: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3))


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_projects_as_opencv(kind):
    turn, at = np.array([0.2, -0.4, 0.1]), np.array([0.3, -0.2, 4.0])
    camera, xyz = camera_of(kind), world(0)
    if camera.lens == "fisheye":
        expected = cv2.fisheye.projectPoints(xyz[:, None], turn, at, camera.matrix, camera.distortion)[0]
    else:
        no_skew = camera.matrix * (1 - np.eye(3, k=1))  # OpenCV ignores skew
        camera = Camera("left", no_skew, camera.distortion, camera.rotation, camera.translation)
        expected = cv2.projectPoints(xyz, turn, at, no_skew, camera.distortion)[0]
    np.testing.assert_allclose(camera.project(xyz), expected[:, 0], atol=1e-9)


@pytest.mark.parametrize("kind", DISTORTIONS)
@given(seed=st.integers(0, 10_000))
def test_undistorts_what_it_distorts_and_looks_at_the_point(kind, seed):
    camera, xyz = camera_of(kind), world(seed)
    image = camera.project(xyz)
    ideal = camera.undistort(image)
    np.testing.assert_allclose(ideal, camera.project_ideal(xyz), atol=1e-4)
    np.testing.assert_allclose(camera.distort(ideal), image, atol=1e-4)
    homogeneous = np.concatenate([xyz, np.ones((len(xyz), 1))], axis=1) @ camera.projection.T
    np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], camera.project_ideal(xyz), atol=1e-9)
    distance = np.linalg.norm(xyz - camera.centre, axis=1)
    np.testing.assert_allclose(camera.centre + distance[:, None] * camera.directions(image), xyz, atol=1e-5)


def test_skew_is_kept_with_and_without_distortion():
    plain, bent = camera_of("none"), camera_of("five")
    tiny = Camera("left", bent.matrix, np.full(5, 1e-12), bent.rotation, bent.translation)
    np.testing.assert_allclose(tiny.project(world(1)), plain.project(world(1)), atol=1e-6)


def test_behind_the_camera_and_unknown_points_have_no_pixels():
    camera = camera_of("five", turn=(0, 0, 0), at=(0, 0, 0))
    xyz = np.array([[0.1, 0, 1], [0.1, 0, -1], [0.1, 0, 0], [np.nan, 0, 1]])
    assert np.isfinite(camera.project(xyz)).all(axis=1).tolist() == [True, False, False, False]
    assert np.isnan(camera.undistort(np.array([[np.nan, 3.0]]))).all()
    assert camera.project(np.zeros((0, 7, 3))).shape == (0, 7, 2)


def test_resized_is_the_camera_of_resized_photos():
    camera = camera_of("five")
    half = camera.resized(544, 960)
    np.testing.assert_allclose(half.project(world(2)) + 0.5, (camera.project(world(2)) + 0.5) / 2, atol=1e-9)


def test_several_cameras_by_name_and_number():
    rig = Cameras((camera_of("none"), camera_of("five", name="right")))
    assert rig["right"] is rig[1] and rig[["right", "left"]].names == ("right", "left")
    assert rig[:1].names == ("left",)
    xyz = world(3).reshape(4, 10, 3)
    image = rig.project(xyz)
    np.testing.assert_array_equal(image[1], rig["right"].project(xyz))
    np.testing.assert_allclose(rig.undistort(image)[0], image[0])
    with pytest.raises(KeyError, match="no camera 'middle'; there are left, right"):
        rig["middle"]
    with pytest.raises(ValueError, match="'left' occurs twice"):
        Cameras((camera_of("none"), camera_of("five")))


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("matrix", np.eye(2), "matrix: expected 3 × 3 finite numbers"),
        ("matrix", np.diag([0.0, 1, 1]), "matrix: expected focal lengths above 0"),
        ("distortion", np.zeros(3), "distortion: expected 0, 4, 5, 8, 12, 14 coefficients"),
        ("rotation", np.diag([1.0, 1, -1]), "rotation: expected a rotation matrix"),
        ("translation", np.array([0, 0, np.nan]), "translation: expected 3 finite numbers"),
        ("lens", "mirror", "lens: expected one of pinhole, fisheye"),
    ],
)
def test_what_is_no_camera_is_named(field, value, text, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users, who do not run its checks
    values = {name: getattr(camera_of("none"), name) for name in ("matrix", "distortion", "rotation", "translation")}
    with pytest.raises(ValueError, match=f"camera 'left': {text}"):
        Camera("left", **(values | {field: value}))
