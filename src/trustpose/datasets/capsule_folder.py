"""Write photos of capsule people as a data set in the layout of DensePose-COCO, with the files that a user of
DensePose's own has: the mesh with its distances, and the mirror images of the charts."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.io import savemat

from trustpose.datasets.capsule_person import CapsulePhoto, capsule_mesh, capsule_mirror, render
from trustpose.files import new_folder, write_json
from trustpose.images import Images
from trustpose.io.coco.surface_labels import surface_truth_value
from trustpose.io.surface_mesh import write_surface_mesh
from trustpose.poses.run_lengths import RunLengths
from trustpose.poses.surfaces import MASK_SIDE, SurfaceTruth
from trustpose.skeletons.surface_parts import MASK_OF_PART, MASK_PARTS

POINTS = 100  # labelled on each person


def write_capsule_people(folder: str | Path, count: int, seed: int = 0, size: int = 128) -> Path:
    """Write `count` photos of size × size pixels with a person each; return the folder.

    It holds surfaces.json and images/, which `trustpose train dense-pose-small` reads, mesh.npz (`--surfaces.mesh`) and
    mirror.mat (`--surfaces.mirror`). The same seed gives the same photos. Raises InputError if it exists.
    """
    folder = Path(folder)
    with new_folder(folder) as temporary:
        (temporary / "images").mkdir()
        photos, points = [], []
        for number in range(count):
            random = np.random.default_rng([seed, number])
            photo = render(random, size, size)
            points.append(_labelled(photo, random))
            cv2.imwrite(str(temporary / "images" / f"{number}.png"), photo.pixels[..., ::-1])
            photos.append(photo)
        images = Images(
            np.arange(count),
            [f"{number}.png" for number in range(count)],
            np.full(count, size),
            np.full(count, size),
        )
        write_json(temporary / "surfaces.json", surface_truth_value(_truth(photos, points), images))
        write_surface_mesh(temporary / "mesh.npz", capsule_mesh())
        _write_mirror(temporary / "mirror.mat")
    return folder


def _labelled(photo: CapsulePhoto, random: np.random.Generator) -> Int[np.ndarray, "P 2"]:
    """Return rows and columns of pixels that show the person."""
    pixels = np.argwhere(photo.surface.part > 0)
    return pixels[np.sort(random.permutation(len(pixels))[:POINTS])]


def _truth(photos: list[CapsulePhoto], points: list[Int[np.ndarray, "P 2"]]) -> SurfaceTruth:
    box = np.stack([photo.box for photo in photos])
    person = np.repeat(np.arange(len(photos)), [len(of_person) for of_person in points])
    row, column = np.concatenate(points).T
    middle = np.stack([column, row], axis=1) + 0.5
    share = (middle - box[person, :2]) / (box[person, 2:] - box[person, :2])
    surfaces = [photo.surface for photo in photos]
    part = [surface.part[tuple(of_person.T)] for surface, of_person in zip(surfaces, points, strict=True)]
    uv = [surface.uv[tuple(of_person.T)] for surface, of_person in zip(surfaces, points, strict=True)]
    return SurfaceTruth(
        box=box,
        image_id=np.arange(len(photos)),
        annotation_id=np.arange(1, len(photos) + 1),
        area=np.array([float(np.count_nonzero(surface.part)) for surface in surfaces]),
        masks=tuple(_masks(photo) for photo in photos),
        person=person,
        part=np.concatenate(part).astype(np.int64),
        uv=np.concatenate(uv).astype(np.float64),
        xy_box=share * (MASK_SIDE - 0.5),  # between the 255 and the 256 units that programs count
    )


def _masks(photo: CapsulePhoto) -> tuple[RunLengths | None, ...]:
    x0, y0, x1, y1 = photo.box.astype(int)
    labels = MASK_OF_PART[photo.surface.part[y0:y1, x0:x1]]
    large: UInt8[np.ndarray, "256 256"] = cv2.resize(
        labels.astype(np.uint8), (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_NEAREST
    )
    masks = [large == number for number in range(1, len(MASK_PARTS) + 1)]
    return tuple(RunLengths.of(mask) if mask.any() else None for mask in masks)


def _write_mirror(path: Path) -> None:
    mirror = capsule_mirror()
    savemat(path, {"U_transforms": _cells(mirror.u), "V_transforms": _cells(mirror.v)}, do_compression=True)


def _cells(tables: Float[np.ndarray, "24 256 256"]) -> np.ndarray:
    cells = np.empty((1, len(tables)), object)
    for index, table in enumerate(tables):
        cells[0, index] = table
    return cells
