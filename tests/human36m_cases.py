"""Made-up people in the layout of Human3.6M's annotations: dots on small photos, as four cameras see them."""

import json
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

SIZE = 128  # pixels
JOINTS = 17
DISTANCE = 4000.0  # millimetres from the middle of the room
FOCAL = 200.0


def cameras() -> dict[str, dict]:
    """Two cameras that look at the room's middle, from two sides."""
    values = {}
    for number, turn in ((1, 0.0), (2, 70.0)):
        rotation = Rotation.from_euler("xz", [-90, turn], degrees=True).as_matrix()
        focal = [FOCAL, FOCAL]
        values[str(number)] = {"R": rotation.tolist(), "t": [0, 0, DISTANCE], "f": focal, "c": [SIZE / 2, SIZE / 2]}
    return values


def write_human36m(folder: Path, subjects: tuple[int, ...], frames: tuple[int, ...] = (0, 64), seed: int = 0) -> Path:
    """Write subjects who hold made-up poses in one clip, seen by both cameras; return the folder.

    Each joint is a dot whose colour is the joint's, and whose brightness falls with its depth.
    """
    random = np.random.default_rng(seed)
    (folder / "annotations").mkdir(parents=True)
    photo_id = 0
    for subject in subjects:
        value: dict[str, list] = {"images": [], "annotations": []}
        joints: dict[str, dict] = {"2": {"1": {}}}
        for frame in frames:
            pose = random.uniform(-600, 600, (JOINTS, 3)) + random.uniform(-200, 200, 3)
            joints["2"]["1"][str(frame)] = pose.tolist()
            for number, camera in cameras().items():
                clip = f"s_{subject:02d}_act_02_subact_01_ca_{number:0>2}"
                name = f"{clip}/{clip}_{frame + 1:06d}.png"
                xyz = pose @ np.array(camera["R"]).T + camera["t"]
                xy = xyz[:, :2] / xyz[:, 2:] * FOCAL + SIZE / 2
                _draw(folder / "images" / name, xy, xyz[:, 2])
                low, high = xy.min(axis=0) - 5, xy.max(axis=0) + 5
                place = {"subject": subject, "action_idx": 2, "subaction_idx": 1, "cam_idx": int(number)}
                size = {"width": SIZE, "height": SIZE}
                value["images"].append({"id": photo_id, "file_name": name, "frame_idx": frame, **place, **size})
                box = [*low.tolist(), *(high - low).tolist()]
                value["annotations"].append({"id": 10 + photo_id, "image_id": photo_id, "bbox": box})
                photo_id += 1
        contents = {"data": value, "camera": cameras(), "joint_3d": joints}
        for kind, content in contents.items():
            path = folder / "annotations" / f"Human36M_subject{subject}_{kind}.json"
            path.write_text(json.dumps(content))
    return folder


def _draw(path: Path, xy: np.ndarray, depth: np.ndarray) -> None:
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    for joint in np.argsort(-depth):
        hue = np.uint8([[[180 * joint // JOINTS, 255, np.clip(255 - (depth[joint] - 3000) / 10, 60, 255)]]])
        colour = cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0].tolist()
        cv2.circle(pixels, np.rint(xy[joint]).astype(int).tolist(), 3, colour, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)
