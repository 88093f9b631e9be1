"""MPII Human Pose: people in everyday activities from videos, sixteen joints, head rectangles for PCKh.

Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014. Three layouts:

- the official `mpii_human_pose_v1_u12_1.mat`: the struct RELEASE with `annolist(i).annorect(j)`, the head rectangle x1,
  y1, x2, y2, `annopoints.point` (x, y, id, is_visible), `objpos` and `scale`; people without joints are left out, and
  so are the test photos, whose joints are not published;
- `valid.h5`, `train.h5` of the stacked hourglass's code: `part`, `visible`, `normalize` (the head size), `center` and
  `scale`, which that code has enlarged (scale × 1.25, the centre moved down by 15 units of scale; undone here);
- the JSON list of HRNet and mmpose: `image`, `joints`, `joints_vis`, `center`, `scale`; head sizes are in
  `gt_valid.mat` beside it (`mpii_gt_val.mat` in mmpose). It does not tell visible and occluded joints apart.

All count pixels from 1, as MATLAB does; `Truth` counts from 0. A person's box is the square of side 200 · scale about
its centre, as `scale` is defined.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float

from trustpose.datasets.label_files import check_positions, read_labels_of, truth_file
from trustpose.files import InputError
from trustpose.io.arrays import is_matlab, read_hdf5, read_matlab, texts
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import parse_finite_json
from trustpose.io.hdf5 import is_hdf5
from trustpose.json_records import Number, OpenRecord, declared_fields, of_length, read_records
from trustpose.metrics.localisation import head_size
from trustpose.skeletons import MPII_16

METRICS = ("pckh",)
_UNIT = 200  # pixels of a person of scale 1
_JOINTS = len(MPII_16)
_HEADS = ("gt_valid.mat", "mpii_gt_val.mat")
_ARRAYS = ("part", "visible", "normalize", "center", "scale", "imgname")


def read_mpii(path: str | Path) -> TruthFile:
    """Read one of the three layouts; `truth.head_size` is None for JSON without the file of head sizes beside it.

    Raises InputError, for a missing file with the place where it is published.
    """
    content = read_labels_of(path, "MPII")
    if is_hdf5(content):
        return _of_hdf5(content, path)
    if is_matlab(content):
        return _of_matlab(content, path)
    return of_json(parse_finite_json(content, path), content, path)


def fits_json(value: Any) -> bool:
    """Return whether a JSON value is MPII's in HRNet's layout."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and {"joints", "joints_vis", "center", "scale", "image"} <= set(first)


@dataclass(frozen=True)
class _Person(OpenRecord):
    image: str
    joints: Annotated[tuple[tuple[Number, Number], ...], of_length(_JOINTS, "pairs of numbers")]
    joints_vis: Annotated[tuple[Number, ...], of_length(_JOINTS)]
    center: tuple[Number, Number]
    scale: Number


def of_json(value: list[Any], content: bytes, path: str | Path) -> TruthFile:
    """Return the people of HRNet's list. Raises InputError naming the person and the field."""
    people = read_records(_Person, value, path, "person")
    columns = {name: np.array([getattr(person, name) for person in people]) for name in declared_fields(_Person)}
    labelled = columns["joints_vis"] > 0
    check_positions(columns["joints"], labelled, path, "joints")
    heads = _heads_beside(Path(path), len(value))
    note = f"pckh: not computed, it needs head sizes: put MPII's {_HEADS[0]} beside the ground truth"
    return truth_file(
        path,
        content,
        MPII_16,
        columns["joints"] - 1,
        np.where(labelled, 2, 0),
        columns["image"].tolist(),
        box=_squares(columns["center"] - 1, columns["scale"]),
        head_size=heads,
        metrics=METRICS if heads is not None else ("pck",),
        first_pixel=1,
        has_visibility=False,
        notes=() if heads is not None else (note,),
    )


def _of_hdf5(content: bytes, path: str | Path) -> TruthFile:
    arrays = read_hdf5(content, path, _ARRAYS)
    lacking = [name for name in _ARRAYS if name not in arrays]
    if lacking:
        raise InputError(f"{path}: dataset '{lacking[0]}' is missing, expected {', '.join(_ARRAYS)} of MPII's people")
    part, count = arrays["part"].astype(np.float64), len(arrays["part"])
    shapes = {"part": (count, _JOINTS, 2), "visible": (count, _JOINTS), "center": (count, 2)}
    for name, shape in (shapes | {"normalize": (count,), "scale": (count,)}).items():
        if arrays[name].shape != shape:
            sides = " × ".join(map(str, shape))
            raise InputError(f"{path}: dataset '{name}': expected {sides} numbers of MPII, got {arrays[name].shape}")
    labelled = (part != 0).any(axis=2)  # joints without a label are at 0, 0
    check_positions(part, labelled, path, "part")
    scale = arrays["scale"].astype(np.float64) / 1.25
    centre = arrays["center"] - np.stack([np.zeros(count), 15 * scale], axis=1)
    return truth_file(
        path,
        content,
        MPII_16,
        part - 1,
        np.where(labelled, np.where(arrays["visible"] > 0, 2, 1), 0),
        texts(arrays["imgname"]),
        box=_squares(centre - 1, scale),
        head_size=arrays["normalize"].astype(np.float64),
        metrics=METRICS,
        first_pixel=1,
    )


def _of_matlab(content: bytes, path: str | Path) -> TruthFile:
    release = read_matlab(content, path, structures=True).get("RELEASE")
    if release is None or not hasattr(release, "annolist"):
        raise InputError(f"{path}: variable 'RELEASE' with 'annolist' is missing, expected MPII's annotations")
    people = list(_people(release))
    xy, v = np.zeros((len(people), _JOINTS, 2)), np.zeros((len(people), _JOINTS), dtype=np.int64)
    box, heads = np.full((len(people), 4), np.nan), np.full((len(people), 4), np.nan)
    for row, (name, person) in enumerate(people):
        try:
            for point in _listed(person.annopoints.point):
                joint, seen = int(point.id), np.asarray(getattr(point, "is_visible", 1))
                xy[row, joint] = float(point.x), float(point.y)
                v[row, joint] = 1 if seen.size and str(seen.item()) == "0" else 2
            heads[row] = [float(getattr(person, side)) for side in ("x1", "y1", "x2", "y2")]
            centre = np.array([[float(person.objpos.x), float(person.objpos.y)]])
            box[row] = _squares(centre - 1, np.array([float(person.scale)]))[0]
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"{path}: a person of {name}: expected joints, head, objpos and scale ({error})") from None
    check_positions(xy, v > 0, path, "annopoints")
    names = [name for name, _ in people]
    sizes = head_size(heads)
    return truth_file(
        path, content, MPII_16, xy - 1, v, names, box=box, head_size=sizes, metrics=METRICS, first_pixel=1
    )


def _people(release: Any) -> Iterator[tuple[str, Any]]:
    """Yield the labelled people of training photos, each with its photo's name."""
    is_training = np.atleast_1d(np.asarray(getattr(release, "img_train", 1)))
    for index, photo in enumerate(_listed(release.annolist)):
        if is_training[index if len(is_training) > 1 else 0]:
            for person in _listed(getattr(photo, "annorect", ())):
                if hasattr(getattr(person, "annopoints", None), "point") and hasattr(person, "objpos"):
                    yield str(photo.image.name), person


def _listed(value: Any) -> list[Any]:
    """Return the structs of a variable that MATLAB stores as one, several or none."""
    return list(np.atleast_1d(np.asarray(value, dtype=object)).ravel())


def _squares(centre: Float[np.ndarray, "N 2"], scale: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N 4"]:
    half = _UNIT / 2 * scale[:, None]
    return np.concatenate([centre - half, centre + half], axis=1)


def _heads_beside(path: Path, count: int) -> np.ndarray | None:
    """Return the head sizes (N,) of the file beside HRNet's JSON; None if there is none."""
    file = next((path.parent / name for name in _HEADS if (path.parent / name).is_file()), None)
    if file is None:
        return None
    boxes = read_matlab(file.read_bytes(), file).get("headboxes_src")
    if boxes is None or boxes.shape != (2, 2, count) or boxes.dtype.kind not in "iuf":
        raise InputError(f"{file}: variable 'headboxes_src': expected 2 × 2 × {count} numbers, as {path} has people")
    return head_size(boxes.transpose(2, 0, 1).reshape(count, 4).astype(np.float64))
