"""Human3.6M: people with 3D poses, photos and cameras, in the layout of 3DMPPE's annotations, and its protocols.

Layout, for each subject N (mks0601/3DMPPE_POSENET_RELEASE; the same files serve 3DMPPE_ROOTNET, I2L-MeshNet and their
successors, and are the ones most programs name): annotations/Human36M_subjectN_data.json in COCO's form, whose images
also name subject, action, part of it, camera and frame; Human36M_subjectN_camera.json, by camera R, t, f and c;
Human36M_subjectN_joint_3d.json, by action, part and frame 17 joints in the world, millimetres; and images/. A joint is
at R x + t in its camera. Photos need a licence (vision.imar.ro/human3.6m).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.datasets.people import People
from trustpose.datasets.photo_people import photo_people
from trustpose.files import InputError, read_json
from trustpose.geometry.boxes import xywh_to_xyxy
from trustpose.geometry.cameras import Camera
from trustpose.images import Images
from trustpose.json_records import Int64, OpenRecord, Shape, Text, naming, read_record, read_records, read_value
from trustpose.metrics.position_error import Alignment
from trustpose.poses import Poses3D, Truth
from trustpose.skeletons import HUMAN36M_17

LICENCE = "Human3.6M's photos need a licence from http://vision.imar.ro/human3.6m"
ROOT = HUMAN36M_17.keypoints.index("pelvis")
_METRES = 0.001
_ANNOTATIONS, _PHOTOS = "annotations", "images"
_JOINTS = Annotated[np.ndarray, Shape(len(HUMAN36M_17), 3)]


@dataclass(frozen=True)
class Protocol:
    """Subjects to train and to test on, every how many frames are tested, and how poses are aligned before the error is
    measured.

    Source: Sun et al., Integral Human Pose Regression, ECCV 2018, section 4.2. Others call the error after Procrustes
    alignment on subjects 9 and 11 "protocol 2", and that about the root "protocol 1".
    """

    training: tuple[int, ...]
    test: tuple[int, ...]
    alignment: Alignment
    test_every: int = 64


PROTOCOLS = {
    "1": Protocol((1, 5, 6, 7, 8, 9), (11,), "procrustes"),
    "2": Protocol((1, 5, 6, 7, 8), (9, 11), "root"),
}


@dataclass(frozen=True, eq=False)
class Human36M:
    """N people, one in each photo.

    truth: their joints in the photos, boxes and photos. xyz (N, 17, 3): joints in the camera's frame, metres, z along
    the optical axis. cameras: of all subjects, named s_SS_ca_CC; camera (N,): the index of each one's. subject, action,
    part and frame (N,): as the files count them.
    """

    truth: Truth
    xyz: Float[np.ndarray, "N 17 3"]
    cameras: tuple[Camera, ...]
    camera: Int[np.ndarray, " N"]
    subject: Int[np.ndarray, " N"]
    action: Int[np.ndarray, " N"]
    part: Int[np.ndarray, " N"]
    frame: Int[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.xyz)

    def __getitem__(self, rows: Int[np.ndarray, " L"]) -> "Human36M":
        """Return some people."""
        names = ("truth", "xyz", "camera", "subject", "action", "part", "frame")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @property
    def root_depth(self) -> Float[np.ndarray, " N"]:
        """The distance of each root joint from the camera along the optical axis, metres."""
        return self.xyz[:, ROOT, 2]

    @property
    def depth(self) -> Float[np.ndarray, "N 17"]:
        """The depth of each joint behind the root joint, metres."""
        return self.xyz[..., 2] - self.root_depth[:, None]

    def poses(self) -> Poses3D:
        """Return the poses in the world, one row per photo; `track_id` is the subject."""
        xyz = np.zeros_like(self.xyz)
        for index, camera in enumerate(self.cameras):
            rows = np.flatnonzero(self.camera == index)
            xyz[rows] = (self.xyz[rows] - camera.translation) @ camera.rotation
        return Poses3D(xyz=xyz, frame=self.frame, track_id=self.subject, skeleton=HUMAN36M_17)

    def root_boxes(self, extent: float) -> Float[np.ndarray, "N 4"]:
        """Return boxes xyxy in the photos that a square of `extent` metres about the root joint, upright before the
        camera, covers: as in the code of Sun et al., whose side is 2 m."""
        corners = self.xyz[:, ROOT, None] + np.array([[-0.5, -0.5, 0], [0.5, 0.5, 0]]) * extent
        return _in_photos(corners, self.cameras, self.camera).reshape(-1, 4)

    def at_depth(self, xy: Float[np.ndarray, "N K 2"], depth: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K 3"]:
        """Return the points in each one's camera, metres, of pixels of the photos at depths behind the root joint,
        metres."""
        xyz = np.zeros((*depth.shape, 3))
        for index, camera in enumerate(self.cameras):
            rows = np.flatnonzero(self.camera == index)
            xyz[rows] = camera.at_depth(xy[rows], depth[rows] + self.root_depth[rows, None])
        return xyz

    def people(self, folder: Path, boxes: Float[np.ndarray, "N 4"] | None = None) -> People:
        """Return the people with the photos of a data folder, in `boxes`, by default their labelled ones."""
        truth = self.truth
        assert truth.images is not None and truth.box is not None
        box = truth.box if boxes is None else boxes
        labelled = Truth(
            xy=truth.xy,
            v=truth.v,
            box=box,
            area=np.prod(box[:, 2:] - box[:, :2], axis=1) * 0.53,
            area_source=np.full(len(truth), "box*0.53"),
            image_id=truth.image_id,
            annotation_id=truth.annotation_id,
            skeleton=truth.skeleton,
        )
        photo_ids = truth.images.id
        sizes = dict(zip(photo_ids.tolist(), map(tuple, truth.images.sizes(photo_ids).tolist()), strict=True))
        return photo_people(labelled, HUMAN36M_17, folder / _PHOTOS, truth.images.names(), photo_size=sizes)


@dataclass(frozen=True, eq=False)
class _Photo(OpenRecord):
    id: Int64
    file_name: Text
    width: Int64
    height: Int64
    subject: Int64
    action_idx: Int64
    subaction_idx: Int64
    cam_idx: Int64
    frame_idx: Int64


@dataclass(frozen=True, eq=False)
class _Person(OpenRecord):
    id: Int64
    image_id: Int64
    bbox: Annotated[np.ndarray, Shape(4)]


@dataclass(frozen=True, eq=False)
class _Camera(OpenRecord):
    R: Annotated[np.ndarray, Shape(3, 3)]
    t: Annotated[np.ndarray, Shape(3)]
    f: Annotated[np.ndarray, Shape(2)]
    c: Annotated[np.ndarray, Shape(2)]


def read_human36m(folder: str | Path, subjects: tuple[int, ...], every: int = 1) -> Human36M:
    """Read the people of some subjects, in every so-manieth frame of each clip.

    Args:
        folder: the data set's, with annotations/ and images/; photos are not opened.
        subjects: numbers of subjects, as in `PROTOCOLS`.
        every: 64 reads frames 0, 64, 128, … .

    Raises:
        InputError: naming the file and the field, if one is missing or wrong.
    """
    folder = Path(folder)
    parts = [_read_subject(folder, subject, every) for subject in subjects]
    cameras = tuple(camera for part in parts for camera in part.cameras)
    firsts = np.cumsum([0, *(len(part.cameras) for part in parts)])[:-1].tolist()
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("xyz", "subject", "action", "part", "frame")
    }
    columns["camera"] = np.concatenate([part.camera + first for part, first in zip(parts, firsts, strict=True)])
    photos = [part.truth.images for part in parts if part.truth.images is not None]
    with naming(folder / _ANNOTATIONS):
        images = Images(
            **{
                name: np.concatenate([np.asarray(getattr(photo, name)) for photo in photos])
                for name in ("id", "file_name", "width", "height", "camera")
            }
        )
    truths = {
        name: np.concatenate([getattr(part.truth, name) for part in parts])
        for name in ("xy", "v", "box", "image_id", "annotation_id")
    }
    return Human36M(truth=Truth(**truths, skeleton=HUMAN36M_17, images=images), cameras=cameras, **columns)


def _read_subject(folder: Path, subject: int, every: int) -> Human36M:
    paths = {
        kind: folder / _ANNOTATIONS / f"Human36M_subject{subject}_{kind}.json"
        for kind in ("data", "camera", "joint_3d")
    }
    for path in paths.values():
        if not path.is_file():
            raise InputError(f"{path}: no such file, expected an annotation of 3DMPPE's layout; {LICENCE}")
    value = read_json(paths["data"])
    if not isinstance(value, dict):
        raise InputError(f"{paths['data']}: expected an object with 'images' and 'annotations'")
    photos = read_records(_Photo, value.get("images"), f"{paths['data']}", "image")
    photos_by_id = {photo.id: photo for photo in photos if photo.frame_idx % every == 0}
    people = read_records(_Person, value.get("annotations"), f"{paths['data']}", "annotation")
    people = [person for person in people if person.image_id in photos_by_id]
    if not people:
        raise InputError(f"{paths['data']}: has nobody in every {every}. frame")
    shown = [photos_by_id[person.image_id] for person in people]
    cameras = _read_cameras(paths["camera"], subject)
    names = list(cameras)
    unknown = next((photo.cam_idx for photo in shown if str(photo.cam_idx) not in cameras), None)
    if unknown is not None:
        raise InputError(f"{paths['camera']}: field '{unknown}' is missing, expected the camera of that number")
    camera = np.array([names.index(str(photo.cam_idx)) for photo in shown])
    world = _read_joints(paths["joint_3d"], shown)
    listed = tuple(cameras.values())
    xyz = np.zeros_like(world)
    for index, of_index in enumerate(listed):
        rows = np.flatnonzero(camera == index)
        xyz[rows] = of_index.to_camera(world[rows])
    xy, box = _in_photos(xyz, listed, camera), xywh_to_xyxy(np.stack([person.bbox for person in people]))
    _check_boxes(xy, box, paths["camera"])
    truth = Truth(
        xy=xy,
        v=np.full(xy.shape[:2], 2),
        box=box,
        image_id=np.array([photo.id for photo in shown]),
        annotation_id=np.array([person.id for person in people]),
        skeleton=HUMAN36M_17,
        images=Images(
            np.array([photo.id for photo in shown]),
            [photo.file_name for photo in shown],
            np.array([photo.width for photo in shown]),
            np.array([photo.height for photo in shown]),
            camera=[listed[index].name for index in camera.tolist()],
        ),
    )
    columns = {
        "subject": np.full(len(shown), subject),
        "action": np.array([photo.action_idx for photo in shown]),
        "part": np.array([photo.subaction_idx for photo in shown]),
        "frame": np.array([photo.frame_idx for photo in shown]),
    }
    return Human36M(truth=truth, xyz=xyz, cameras=listed, camera=camera, **columns)


def _read_cameras(path: Path, subject: int) -> dict[str, Camera]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object of cameras by number")
    cameras = {}
    for number, content in value.items():
        file = read_record(_Camera, content, path, str(number))
        matrix = np.array([[file.f[0], 0, file.c[0]], [0, file.f[1], file.c[1]], [0, 0, 1]])
        with naming(path, str(number)):
            name = f"s_{subject:02d}_ca_{number:0>2}"
            cameras[str(number)] = Camera(name, matrix, np.zeros(0), file.R, file.t * _METRES)
    return cameras


def _read_joints(path: Path, photos: list[_Photo]) -> Float[np.ndarray, "N 17 3"]:
    """Return the joints of the people in photos, in the world, metres. Raises InputError."""
    value = read_json(path)
    joints = []
    for photo in photos:
        keys = str(photo.action_idx), str(photo.subaction_idx), str(photo.frame_idx)
        content = value
        for key in keys:
            content = content.get(key) if isinstance(content, dict) else None
        if content is None:
            raise InputError(f"{path}: field '{'.'.join(keys)}' is missing, expected the joints of {photo.file_name}")
        joints.append(read_value(_JOINTS, content, path, ".".join(keys)))
    return np.stack(joints) * _METRES


def _in_photos(
    xyz: Float[np.ndarray, "N K 3"], cameras: tuple[Camera, ...], camera: Int[np.ndarray, " N"]
) -> Float[np.ndarray, "N K 2"]:
    """Return the pixels of points in each one's camera."""
    matrix = np.stack([of_index.matrix for of_index in cameras])[camera]
    pixels = np.einsum("nij,nkj->nki", matrix, xyz)
    return pixels[..., :2] / pixels[..., 2:]


def _check_boxes(xy: Float[np.ndarray, "N K 2"], box: Float[np.ndarray, "N 4"], path: Path) -> None:
    """Raise InputError if most people lie outside of their labelled boxes, as when t is a camera's position."""
    middle = (xy.min(axis=1) + xy.max(axis=1)) / 2
    is_inside = ((middle >= box[:, :2]) & (middle <= box[:, 2:])).all(axis=1)
    if is_inside.mean() < 0.5:
        raise InputError(
            f"{path}: puts {np.count_nonzero(~is_inside)} of {len(box)} people outside of their boxes, expected R and "
            "t with x in the camera = R x + t, millimetres"
        )
