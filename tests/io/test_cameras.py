"""Camera files: there and back, against OpenCV and plain XML and TOML, and what must be refused."""

import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from trustpose.files import InputError
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras import FORMATS, read_cameras, write_cameras
from trustpose.io.openpose import poses_of

CALIBRATION = "multiview/pose2sim/Calib.qca.txt"
ANIPOSE = """
[cam_0]
name = "A"
size = [ 1920, 1080,]
matrix = [ [ 1352.5, 0.0, 959.5,], [ 0.0, 1352.5, 539.5,], [ 0.0, 0.0, 1.0,],]
distortions = [ 0.061, 0.0, 0.0, 0.0, 0.0,]
rotation = [ -0.91, -0.13, -0.014,]
translation = [ -5.5, -657.5, -582.0,]

[metadata]
"""


@pytest.fixture
def data(data_dir: Path) -> Path:
    if not (data_dir / CALIBRATION).is_file() or not (data_dir / "layouts/shelf").is_dir():
        pytest.skip(f"no {CALIBRATION} and layouts at {data_dir}")
    return data_dir


def rig(size: tuple[int, int] | None = (1088, 1920)) -> Cameras:
    generator = np.random.default_rng(4)
    cameras = []
    for number in range(12):  # more than nine, which tools sort as text
        rotation = cv2.Rodrigues(generator.uniform(-1.5, 1.5, 3))[0]
        matrix = np.array([[1680.25, 0, 530.5], [0, 1690.125, 950.75], [0, 0, 1]])
        distortion = generator.uniform(-0.1, 0.1, 5)
        points = generator.uniform(-4, 4, 3)
        cameras.append(Camera(f"cam {number}", matrix, distortion, rotation, points, size))
    return Cameras(tuple(cameras))


@pytest.mark.parametrize("kind", FORMATS)
def test_there_and_back(kind: str, tmp_path: Path) -> None:
    cameras = rig()
    unit = "mm" if kind == "anipose" else None
    target = tmp_path / "folder" if kind == "openpose" else tmp_path / f"cameras{FORMATS[kind]}"
    files = write_cameras(cameras, target, kind, unit)
    back = read_cameras(files, kind, unit)
    assert back.names == cameras.names
    for camera, again in zip(cameras, back, strict=True):
        assert np.abs(again.rotation - camera.rotation).max() < 1e-12
        assert np.abs(again.translation - camera.translation).max() < 1e-12
        assert np.abs(again.matrix - camera.matrix).max() < 1e-12
        assert (again.distortion[:5] == camera.distortion).all() and not again.distortion[5:].any()
        assert again.size == (None if kind in ("openpose", "shelf") else camera.size)


@pytest.mark.parametrize("suffix", [".json", ".toml", ".yml", ".xml"])
def test_lenses_and_many_coefficients(suffix: str, tmp_path: Path) -> None:
    one = rig()[0]
    fisheye = Camera(
        "fisheye", one.matrix, np.array([0.1, -0.02, 0.003, 0]), one.rotation, one.translation, None, "fisheye"
    )
    rational = Camera("rational", one.matrix, np.linspace(-0.1, 0.2, 14), one.rotation, one.translation, one.size)
    write_cameras(Cameras((fisheye, rational)), tmp_path / f"two{suffix}")
    back = read_cameras(tmp_path / f"two{suffix}")
    assert [camera.lens for camera in back] == ["fisheye", "pinhole"]
    assert (back["fisheye"].distortion == fisheye.distortion).all()
    assert (back["rational"].distortion == rational.distortion).all()
    for kind in ("qualisys", "openpose", "panoptic", "shelf"):
        with pytest.raises(InputError, match=r"fisheye|coefficients|size"):
            write_cameras(Cameras((rational, fisheye)), tmp_path / f"x_{kind}", kind)


def test_what_we_write_projects_the_same_in_plain_opencv(tmp_path: Path) -> None:
    """The TOML that Pose2Sim reads, and OpenCV's own storage, without a line of ours in between."""
    cameras = rig()
    xyz = cameras[3].centre + cameras[3].rotation.T @ np.array([0.3, -0.2, 5.0])
    expected = cameras[3].project(xyz)
    write_cameras(cameras, tmp_path / "calib.toml")
    table = tomllib.loads((tmp_path / "calib.toml").read_text())["cam 3"]
    fields = (np.array(table[name]) for name in ("rotation", "translation", "matrix", "distortions"))
    assert np.abs(cv2.projectPoints(xyz[None], *fields)[0].ravel() - expected).max() < 1e-9  # type: ignore[call-overload]
    write_cameras(cameras, tmp_path / "cameras.xml")
    storage = cv2.FileStorage(str(tmp_path / "cameras.xml"), cv2.FILE_STORAGE_READ)
    node = storage.getNode("cameras").at(3)
    rotation, at, matrix, distortion = (
        node.getNode(name).mat() for name in ("rotation", "translation", "camera_matrix", "distortion_coefficients")
    )
    projectpoint = cv2.projectPoints(xyz[None], cv2.Rodrigues(rotation)[0], at, matrix, distortion)[0]
    assert np.abs(projectpoint.ravel() - expected).max() < 1e-9


def test_qualisys_reprojects_the_people_of_its_demonstration(data: Path) -> None:
    """OpenPose's poses of the balancing trial intersect in space only with the right sign, unit and place of the
    cameras."""
    import orjson

    from trustpose.io.columns import Rows

    cameras = read_cameras(data / CALIBRATION)
    assert cameras.names == ("cam_01", "cam_02", "cam_03", "cam_04") and cameras[0].size == (1088, 1920)
    seen = []
    for number in (1, 2, 3, 4):
        file = sorted((data / f"multiview/pose2sim/balancing/pose/cam0{number}_json").glob("*.json"))[0]
        rows = Rows.of(orjson.loads(file.read_bytes())["people"], str(file), "person")
        poses = poses_of(rows, "pose_keypoints_2d")
        seen.append(np.concatenate([poses.xy[poses.score.mean(axis=1).argmax()], np.ones((25, 1))], axis=1))
    errors = []
    for keypoint in range(25):
        views = [v for v in (2, 3) if seen[v][keypoint, 0] > 0]  # where one person is seen
        if len(views) < 2:
            continue
        rows = [
            seen[v][keypoint, i] * cameras[v].projection[2] - cameras[v].projection[i] for v in views for i in (0, 1)
        ]
        point = np.linalg.svd(np.array(rows))[2][-1]
        xyz = point[:3] / point[3]
        errors += [np.linalg.norm(cameras[v].project(xyz) - seen[v][keypoint, :2]) for v in views]
    assert len(errors) > 30 and np.median(errors) < 10


def test_shelf_and_campus_hold_places(data: Path) -> None:
    """T is the camera's place: only so do the cameras see the scene's centre that VoxelPose prints."""
    for name, centre, focal in (("shelf", (0.45, -0.32, 0.8), 1063.512085), ("campus", (3, 4.5, 1), 437.9852173913044)):
        cameras = read_cameras(data / f"layouts/{name}/calibration_{name}.json")
        assert cameras[0].matrix[0, 0] == focal
        seen = cameras.project(np.array(centre))
        off = [np.abs(xy - camera.matrix[:2, 2]).max() for xy, camera in zip(seen, cameras, strict=True)]
        assert max(off) < 160  # of 1032 × 776 pixels, and 360 × 288
        assert all(0.9 < camera.centre[2] < 2.8 for camera in cameras)  # metres above the ground


def test_panoptic_is_in_centimetres(data: Path) -> None:
    cameras = read_cameras(data / "layouts/panoptic_body3d/160906_band1/calibration_160906_band1.json")
    dome = np.array([camera.centre for camera in cameras])
    assert len(cameras) == 520 and cameras["00_00"].size == (1920, 1080)
    assert 2 < np.linalg.norm(dome - np.median(dome, axis=0), axis=1).mean() < 4  # the dome's radius is 2.7 m


def test_a_unit_is_never_assumed(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    path.write_text(ANIPOSE)
    with pytest.raises(InputError, match=r"calibration\.toml: unit: .* state"):
        read_cameras(path)
    assert np.allclose(read_cameras(path, unit="mm")[0].translation, [-0.0055, -0.6575, -0.582])
    path.write_text(ANIPOSE + "charuco_square_size = 39.0\n")  # FreeMoCap's, whose unit is known
    assert np.allclose(read_cameras(path)[0].translation, [-0.0055, -0.6575, -0.582])
    assert np.allclose(read_cameras(path, "pose2sim")[0].translation, [-5.5, -657.5, -582.0])
    with pytest.raises(InputError, match="unit"):
        write_cameras(rig(), tmp_path / "out.toml", "anipose")
    cv = tmp_path / "camera.yml"
    for translation in (None, np.ones((3, 1))):
        storage = cv2.FileStorage(str(cv), cv2.FILE_STORAGE_WRITE)
        storage.write("camera_matrix", np.diag([900.0, 900, 1]))
        storage.write("distortion_coefficients", np.zeros((5, 1)))
        if translation is None:  # intrinsics only need no unit
            storage.release()
            assert read_cameras(cv)[0].name == "camera" and not read_cameras(cv)[0].translation.any()
            continue
        storage.write("rotation", np.eye(3))
        storage.write("translation", translation)
        storage.release()
    with pytest.raises(InputError, match="unit"):
        read_cameras(cv)
    assert (read_cameras(cv, unit="cm")[0].translation == 0.01).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"trustpose_cameras": 2}', "'trustpose_cameras': expected 1"),
        ('{"trustpose_cameras": 1, "cameras": []}', "field 'unit' is missing"),
        (
            '{"trustpose_cameras": 1, "unit": "m", "cameras": [{"name": "a"}]}',
            "field 'cameras.0.lens' is missing",
        ),
        ('{"cameras": [{"name": "a", "K": [1, 2]}]}', "field 'cameras.0.K': expected 3 × 3 numbers, got "),
        ('{"people": []}', "is not a known camera file"),
        ("<calibration><cameras/></calibration>", "holds no camera"),
        ("<calibration><cameras><camera><intrinsic/></camera></cameras></calibration>", "<transform> is missing"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><calibration/>', "XML entity"),
        ("<calibration><cam", "is not valid XML"),
        ("%YAML:1.0\n---\ncamera: [", "is not a YAML or XML file of OpenCV"),
        ("%YAML:1.0\n---\nsomething: 1\n", "is not a known camera file"),
        (
            ANIPOSE.replace("[ -0.91, -0.13, -0.014,]", "[1.0]"),
            r"field 'cam_0\.rotation': expected 3 numbers, got \[1\.0\]",
        ),
        (ANIPOSE.replace("1352.5, 0.0, 959.5", "nan, 0.0, 959.5"), "field 'cam_0.matrix': expected 3 × 3 numbers"),
        (ANIPOSE.replace("1080", "0"), "field 'cam_0.size': expected a width and a height in whole pixels"),
        ("name = ", "not valid TOML"),
    ],
)
def test_faults_are_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_cameras(path, unit=None if content.startswith(("{", "<", "%")) else "mm")
    assert str(caught.value).startswith(f"{path}: ")
