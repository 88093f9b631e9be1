"""Volumes of heatmaps on real 3D poses: what encoding and decoding alone costs, by the argmax and by the integral.

    python benchmarks/volumes.py [--cameras N] [--every N]
    python benchmarks/volumes.py --sizes

The people of CMU Panoptic (20 frames of two sequences, three people each) as its HD cameras see them, with root joints
inside the photo. Each is cropped to 2 m about the root joint, as in integral regression (Sun et al. 2018); its joints
are encoded as Gaussians of 2 voxels in volumes over the crop and 2 m of depth, decoded, and put back into the camera's
frame with the root's true depth. No network is involved: errors are those of the representation.

  error       mean distance in millimetres from the true joint, 95 % interval from drawing people
  across      the same distance at right angles to the optical axis, and along it
  by depth    the error of joints by their depth behind the root joint, metres
  outside     share of joints that the volume does not hold, which are left out

With --sizes: parameters and multiply-adds (convolutions and linear layers) of the networks of volumes for 17 joints.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from harness import Cell, Estimate, parser, run, table

from trustpose.codecs.volumes import EXTENT, VolumeCodec
from trustpose.files import InputError
from trustpose.geometry.cameras import Camera
from trustpose.geometry.crops import affine_to_crop, invert_affine, transform
from trustpose.io.cameras import read_cameras

CROP, ROOT, METRES = 256, 2, 0.01  # pixels; the body's centre among Panoptic's 19 joints; of a centimetre
SIDES = ((64, 64), (64, 32), (64, 16), (32, 32), (16, 16))  # voxels across, and in depth
BINS = (-1.0, -0.5, -0.25, -0.1, 0.1, 0.25, 0.5, 1.0)  # metres behind the root
BATCH = 8
NETWORKS = (("hourglass-2", 64), ("hourglass-2", 1), ("simple-baseline-r50", 64))


@dataclass(frozen=True, eq=False)
class People:
    """N people, each as one camera sees it: xyz (N, 19, 3) in its frame, metres, NaN where unknown, and the camera."""

    xyz: np.ndarray
    camera: list[Camera]


def panoptic_people(data: Path, cameras: int = 31, every: int = 1) -> People:
    """Read the people, as so many HD cameras see them, in every so-manieth frame."""
    folders = sorted((data / "layouts/panoptic_body3d").glob("*_band*"))
    if not folders:
        raise InputError(f"{data}/layouts/panoptic_body3d: no such folder; --data names the folder of the data sets")
    xyz, seen_by = [], []
    for folder in folders:
        rig = read_cameras(folder / f"calibration_{folder.name}.json").matching("00_*")[:cameras]
        for file in sorted((folder / "hdPose3d_stage1_coco19").glob("*.json"))[::every]:
            for body in json.loads(file.read_text())["bodies"]:
                joints = np.array(body["joints19"]).reshape(19, 4)
                world = np.where(joints[:, 3:] > 0, joints[:, :3] * METRES, np.nan)
                for camera in rig:
                    root = camera.project(world[ROOT])
                    if np.isfinite(root).all() and (root > 0).all() and (root < camera.size).all():
                        xyz.append(camera.to_camera(world))
                        seen_by.append(camera)
    return People(np.stack(xyz), seen_by)


def round_trip(people: People, codec: VolumeCodec) -> np.ndarray:
    """Return the errors (N, 19, 3) of all joints in their camera's frame, millimetres; NaN where unknown or outside."""
    differences = np.full(people.xyz.shape, np.nan)
    for start in range(0, len(people.xyz), BATCH):
        rows = range(start, min(start + BATCH, len(people.xyz)))
        crops, affines = zip(*(crop_of(people.xyz[row], people.camera[row]) for row in rows), strict=True)
        crop = np.stack(crops)
        held = is_held(crop, codec)
        decoded = codec.decode_volumes(codec.encode(crop, held).reshape(len(crop), -1, codec.height, codec.width)).xyz
        for index, row in enumerate(rows):
            xy = transform(invert_affine(affines[index][None]), decoded[index : index + 1, :, :2])[0]
            placed = people.camera[row].at_depth(xy, decoded[index, :, 2] + people.xyz[row, ROOT, 2])
            differences[row] = np.where(held[index][:, None], 1000 * (placed - people.xyz[row]), np.nan)
    return differences


def crop_of(xyz: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return a person's joints as the codec has them, and the affine from the photo to the crop."""
    in_world = (xyz - camera.translation) @ camera.rotation
    corners = xyz[ROOT] + np.array([[-0.5, -0.5, 0], [0.5, 0.5, 0]]) * EXTENT
    box = camera.project((corners - camera.translation) @ camera.rotation).ravel()
    affine = affine_to_crop(box[None], CROP, CROP)
    xy = transform(affine, camera.project(in_world)[None])[0]
    return np.concatenate([xy, xyz[:, 2:] - xyz[ROOT, 2]], axis=1), affine[0]


def is_held(crop: np.ndarray, codec: VolumeCodec) -> np.ndarray:
    """Return which joints lie between the first and the last voxels of their volumes."""
    voxels = codec.voxels(crop)
    return ((voxels >= 0) & (voxels <= np.array(codec.sides) - 1)).all(axis=-1)


def by_depth(people: People, errors: np.ndarray) -> dict[str, float | None]:
    """Return the mean error of the joints in each bin of depths behind the root, millimetres."""
    depth = people.xyz[..., 2] - people.xyz[:, ROOT, None, 2]
    length, is_joint = np.linalg.norm(errors, axis=2), np.isfinite(errors[..., 0])
    bins: dict[str, float | None] = {}
    for low, high in pairwise(BINS):
        rows = is_joint & (depth >= low) & (depth < high)
        bins[f"{low:g} to {high:g}"] = float(length[rows].mean()) if rows.any() else None
    return bins


def sizes() -> dict[str, dict[str, Cell]]:
    """Print and return the sizes of networks of volumes."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from trustpose.networks.zoo import build

    rows: dict[str, dict[str, Cell]] = {}
    for name, depth in NETWORKS:
        with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
            network = build(name, 17 * depth).eval()
            network(torch.zeros(1, 3, CROP, CROP))
        millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        rows[f"{name}, depth {depth}"] = {"parameters": millions, "multiply-adds": counter.get_total_flops() / 2e9}
    table("256×256, 17 joints", rows, ".1f")
    return rows


def main(options) -> dict:
    if options.sizes:
        return sizes()
    people = panoptic_people(options.data, options.cameras, options.every)
    print(f"{len(people.xyz)} people, {np.isfinite(people.xyz[..., 0]).sum()} joints")
    rows: dict[str, dict[str, Cell]] = {}
    bins: dict[str, dict[str, Cell]] = {}
    for across, depth in SIDES:
        for decoding in ("argmax", "integral"):
            codec = VolumeCodec(across, across, depth, CROP / across, decoding=decoding)
            errors = round_trip(people, codec)
            length = np.linalg.norm(errors, axis=2)
            mean = Estimate.mean(np.nanmean(length, axis=1), options.draws)
            name = f"{across} × {across} × {depth}, {decoding}"
            rows[name] = {
                "error": mean.interval,
                "across": float(np.nanmean(np.linalg.norm(errors[..., :2], axis=2))),
                "along": float(np.nanmean(np.abs(errors[..., 2]))),
                "outside %": 100 * float(1 - np.isfinite(length).sum() / np.isfinite(people.xyz[..., 0]).sum()),
            }
            bins[name] = by_depth(people, errors)
    table("voxels, mm", rows, ".2f")
    table("by depth, mm", bins, ".2f")
    return {"people": len(people.xyz), "errors": rows, "by depth": bins}


if __name__ == "__main__":
    options_parser = parser(__doc__, "data", "draws")
    options_parser.add_argument("--cameras", type=int, default=31, help="HD cameras of each sequence")
    options_parser.add_argument("--every", type=int, default=5, help="every so-manieth frame")
    options_parser.add_argument("--sizes", action="store_true", help="sizes of the networks instead")
    run(main, options_parser)
