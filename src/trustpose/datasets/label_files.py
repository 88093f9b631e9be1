"""Assemble the people of a data set's own file into a `TruthFile`: boxes, image ids, checks."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from trustpose.files import InputError, read_bytes, shown
from trustpose.images import Images
from trustpose.io.coco.labels import number_in_name
from trustpose.io.coco.truth import TruthFile
from trustpose.io.labelled import LabelledPeople
from trustpose.metrics.localisation import joints_box
from trustpose.poses import Truth
from trustpose.skeletons import Skeleton

FARTHEST = 1e5  # pixels; larger than any photo
BOX_SHARE = 0.53
_BOX_MARGIN = 0.1  # of the longer side, on each side: people extend beyond their wrists, ankles and top of the head


def check_positions(xy: np.ndarray, labelled: np.ndarray, path: str | Path, field: str) -> None:
    """Raise InputError if a labelled position is not within any photo."""
    if not (np.abs(xy[labelled]) < FARTHEST).all():  # NaN too
        raise InputError(f"{path}: variable '{field}': expected x, y in pixels of a photo")


def boxes_of_joints(xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"]) -> Float[np.ndarray, "N 4"]:
    """Return boxes (N, 4) xyxy for data sets without: the labelled joints' extent plus a tenth of its longer side on
    each side; the origin without any label."""
    box = np.nan_to_num(joints_box(xy, labelled))
    margin = _BOX_MARGIN * (box[:, 2:] - box[:, :2]).max(axis=1, keepdims=True)
    return np.concatenate([box[:, :2] - margin, box[:, 2:] + margin], axis=1)


def image_numbers(names: Sequence[str]) -> dict[str, int]:
    """Return an id for each photo: the number at the end of its name, or, if one has none or two the same, its index
    from 1 in the order of the names, as `trustpose convert` numbers photos."""
    photos = sorted(set(names))
    numbers = [number_in_name(name) for name in photos]
    if None in numbers or len(set(numbers)) < len(photos):
        numbers = list(range(1, len(photos) + 1))
    return dict(zip(photos, numbers, strict=True))  # type: ignore[arg-type]


def truth_file(
    path: str | Path,
    content: bytes,
    skeleton: Skeleton,
    xy: Float[np.ndarray, "N K 2"],
    v: Int[np.ndarray, "N K"],
    names: Sequence[str],
    *,
    box: Float[np.ndarray, "N 4"] | None = None,
    head_size: Float[np.ndarray, " N"] | None = None,
    metrics: tuple[str, ...] = (),
    sizes: Shaped[np.ndarray, "N 2"] | None = None,
    first_pixel: int = 0,
    has_visibility: bool = True,
    notes: tuple[str, ...] = (),
) -> TruthFile:
    """Return the N people of a file with one photo's name each; annotation ids are 1 … N in the file's order.

    Without `box` (xyxy) people have `boxes_of_joints`; `area` is 0.53 × the box's. `sizes` are width and height of each
    person's photo. Raises InputError if the file has no people.
    """
    if not len(xy):
        raise InputError(f"{path}: holds no labelled people")
    number_of = image_numbers(names)
    ids = np.array([number_of[name] for name in names], dtype=np.int64)
    box = boxes_of_joints(xy, v > 0) if box is None else box
    row_of_name = {name: row for row, name in reversed([*enumerate(names)])}
    first = np.array([row_of_name[name] for name in number_of], dtype=np.int64)
    truth = Truth(
        xy=np.where((v > 0)[..., None], xy, 0.0),
        v=v.astype(np.int64),
        area=BOX_SHARE * (box[:, 2:] - box[:, :2]).prod(axis=1),
        area_source=np.full(len(xy), "box*0.53", dtype=object),
        box=box,
        image_id=ids,
        annotation_id=np.arange(1, len(xy) + 1),
        head_size=head_size,
        skeleton=skeleton,
    )
    width, height = (None, None) if sizes is None else (sizes[first, side].astype(np.int64) for side in (0, 1))
    return TruthFile(
        truth=truth,
        images=Images(np.array(list(number_of.values())), list(number_of), width, height),
        skeleton=skeleton,
        keypoint_names=skeleton.keypoints,
        category_id=1,
        category_ids=(1,),
        path=shown(path),
        sha256=hashlib.sha256(content).hexdigest(),
        metrics=metrics,
        first_pixel=first_pixel,
        has_visibility=has_visibility,
        notes=notes,
    )


def truth_of_labelled(labelled: LabelledPeople, content: bytes, path: str | Path) -> TruthFile:
    """Return the people of an annotation tool's file as a ground truth. Raises InputError."""
    skeleton, xy, v = labelled.arrays(str(path))
    people, sizes = labelled.people, np.array([person.size for person in labelled.people])
    return truth_file(
        *(path, content, skeleton, xy, v, [person.photo for person in people]),
        sizes=sizes if sizes.all() else None,
        has_visibility=labelled.has_visibility,
    )


SOURCES = {
    "AI Challenger": "https://github.com/AIChallenger/AI_Challenger_2017",
    "COCO": "https://cocodataset.org/#download",
    "COCO-WholeBody": "https://github.com/jin-s13/COCO-WholeBody",
    "CrowdPose": "https://github.com/Jeff-sjtu/CrowdPose",
    "DensePose-COCO": "http://densepose.org/",
    "DriPE": "https://projet.liris.cnrs.fr/dripe/",
    "FLIC": "https://bensapp.github.io/flic-dataset.html",
    "Halpe": "https://github.com/Fang-Haoshu/Halpe-FullBody",
    "Human3.6M": "http://vision.imar.ro/human3.6m/",
    "LSP": "https://sam.johnson.io/research/lsp.html",
    "LSPET": "https://sam.johnson.io/research/lspet.html",
    "MPII": "http://human-pose.mpi-inf.mpg.de/",
    "OCHuman": "https://github.com/liruilong940607/OCHumanApi",
}
_FILES = {  # beginnings of the published files' names
    "mpii_": "MPII",
    "joints.mat": "LSPET",
    "examples.mat": "FLIC",
    "crowdpose_": "CrowdPose",
    "ochuman": "OCHuman",
    "keypoint_train_annotations": "AI Challenger",
    "keypoint_validation_annotations": "AI Challenger",
    "coco_wholebody_": "COCO-WholeBody",
    "halpe_": "Halpe",
    "dripe": "DriPE",
    "autob_coco_": "DriPE",
    "person_keypoints_": "COCO",
}

_EXPECTED = {"DriPE": "; expected its labels in COCO's layout, autob_coco_train.json, _val.json or _test.json"}


def read_labels_of(path: str | Path, dataset: str, expected: str = "labels") -> bytes:
    """Return the content of a data set's file. Raises InputError; for a missing one it says where to get it."""
    if not Path(path).exists():
        raise InputError(missing(path, dataset))
    return read_bytes(path, expected)


def missing(path: str | Path, dataset: str, kind: str = "file") -> str:
    """Return the message for a missing file or folder of a data set."""
    expected = _EXPECTED.get(dataset, "") if kind == "file" else ""
    return f"{path}: no such {kind}{published(dataset)}{expected}"


def published(dataset: str) -> str:
    """Return the end of a message, where a data set is published; "" for one that is not in `SOURCES`.

    Args:
        dataset: its name, in any case.
    """
    name, address = source_of(dataset)
    return f"; {name} is published at {address}" if address else ""


def source_of(dataset: str) -> tuple[str, str]:
    """Return a data set's usual name, from its name in any case, and where it is published; the name and "" for one
    that is not in `SOURCES`."""
    named = ((name, address) for name, address in SOURCES.items() if name.lower() == dataset.lower())
    return next(named, (dataset, ""))


def dataset_of_name(path: str | Path) -> str | None:
    """Return the data set that publishes a file of this name, None if unknown."""
    name = Path(path).name.lower()
    return next((dataset for start, dataset in _FILES.items() if name.startswith(start)), None)
