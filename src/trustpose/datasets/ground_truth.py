"""Read any labelled file as a ground truth: COCO's layout, or the native layout of a data set; `tp.read_truth`
gives its people.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.datasets import ai_challenger, mpii, ochuman
from trustpose.datasets.flic import read_flic
from trustpose.datasets.label_files import dataset_of_name, missing, truth_of_labelled
from trustpose.datasets.lsp import read_lsp
from trustpose.files import BOM, InputError, read_bytes
from trustpose.images import Images
from trustpose.io.arrays import is_matlab, read_hdf5, read_matlab
from trustpose.io.coco.labels import is_ternary
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.io.columns import parse_finite_json
from trustpose.io.hdf5 import is_hdf5
from trustpose.io.recognise import read_labelled
from trustpose.io.truth_stream import TruthBatches, held_truth, open_truth
from trustpose.poses import Truth
from trustpose.skeletons import COCO_17, FLIC_11, MPII_16, Skeleton, difference, skeleton_of

TruthSource = Truth | TruthFile | str | Path
"""Labelled people, or the path of what `read_truth` reads."""


def read_truth(
    path: str | Path, *, category: str | int | None = None, skeleton: Skeleton | str | Path | None = None
) -> Truth:
    """Read the labelled people of a ground truth file of any known layout, recognised by its content.

    Args:
        path: COCO's JSON; labels of CVAT, Label Studio or VIA; MPII, FLIC, LSP, LSPET, AI Challenger and OCHuman in
            their own files.
        category: of COCO's layout, by name or id, if several have keypoints; "all" reads each of them.
        skeleton: names the keypoints, where the file names them otherwise or not at all: a `Skeleton`, one of
            `SKELETONS` by name, or a skeleton's JSON file.

    Returns:
        One row per labelled person, in image pixels, and the file's photos as `images`.

    Raises:
        InputError: if the file is missing or damaged, naming the file, the field and what was expected.

    Example:
        >>> truth = tp.read_truth("gt.json")
        >>> len(truth), len(truth.images)
        (60, 30)
    """

    file = read_ground_truth(path, category, skeleton)
    return replace(file.truth, images=file.images)


def truth_file_of(
    truth: TruthSource,
    *,
    category: str | int | None = None,
    skeleton: Skeleton | str | Path | None = None,
    argument: str = "ground_truth",
) -> TruthFile:
    """Return a ground truth with its photos and identity, from a file or from labelled people in memory.

    Args:
        truth: the path of a ground truth, a file that was read, or `Truth`.
        category: as for `read_truth`, for a path.
        skeleton: as for `read_truth`, for a path.
        argument: the name of the caller's argument, for the message.

    Raises:
        TypeError: for anything else, naming what was expected and what came.
        InputError: if a file cannot be read.
        ValueError: for `Truth` without `image_id`.
    """
    if isinstance(truth, TruthFile):
        return truth
    if isinstance(truth, (str, Path)):
        return read_ground_truth(truth, category, skeleton)
    if not isinstance(truth, Truth):
        raise TypeError(f"{argument}: expected Truth or the path of a ground truth, got {type(truth).__name__}")
    if truth.image_id is None:
        raise ValueError(f"{argument}: Truth.image_id is None, the people's photos are unknown")
    named, count = truth.skeleton, truth.keypoint_count
    return TruthFile(
        truth=truth,
        images=Images(np.unique(truth.image_id)) if truth.images is None else truth.images,
        skeleton=named,
        keypoint_names=tuple(f"keypoint_{k}" for k in range(count)) if named is None else named.keypoints,
        category_id=1,
        category_ids=(1,),
        path="people in memory",
        sha256="",
        has_visibility=is_ternary(truth.v, None),
    )


_LAYOUTS = (
    "COCO's JSON; CVAT's XML; Label Studio's JSON; VIA's JSON and CSV; MPII, FLIC (.mat, .h5); LSP, LSPET (.mat); "
    "MPII, AI Challenger, OCHuman (their own JSON)"
)


def read_ground_truth(
    path: str | Path, category: str | int | None = None, skeleton: Skeleton | str | Path | None = None
) -> TruthFile:
    """Read a ground truth, recognised by its content; `category` and `skeleton` are as in `io.coco.read_truth`,
    which reads COCO's layout. Raises InputError."""
    path = Path(path)
    dataset = dataset_of_name(path)
    if dataset is not None and not path.exists():
        raise InputError(missing(path, dataset))
    file = _own_layout(path)
    if file is None and dataset == "DriPE" and skeleton is None:
        skeleton = COCO_17  # the labels a converter of it reads, which does not look at the names of keypoints
    if file is None:
        return read_coco_truth(path, category, skeleton)
    if category not in (None, "all"):
        raise InputError(f"{path}: has no categories, --category is for COCO's layout")
    expected = None if skeleton is None else skeleton_of(skeleton, "skeleton")
    if differ := difference(expected, file.skeleton):
        raise InputError(f"{path}: has a different skeleton from --skeleton, {differ}")
    return file


def open_ground_truth(
    source: TruthSource, category: str | int | None = None, skeleton: Skeleton | str | Path | None = None
) -> TruthBatches:
    """Open a ground truth as a stream: Parquet in batches, all others as one. Raises as `truth_file_of` does."""
    stream = None
    if isinstance(source, (str, Path)):
        stream = open_truth(source, category, None if skeleton is None else skeleton_of(skeleton, "skeleton"))
    return held_truth(truth_file_of(source, category=category, skeleton=skeleton)) if stream is None else stream


_OTHER_FIELDS = (b'"keypointlabels"', b'"regions"', b'"keypoint_names"')  # in JSON objects of other layouts than COCO's


def _own_layout(path: Path) -> TruthFile | None:
    """Return the people of a file in a data set's native layout; None for COCO's, whose reader reports other errors."""
    if path.is_dir() and (path / "joints.mat").is_file():
        path /= "joints.mat"
    content = read_bytes(path)
    start = content[:64].removeprefix(BOM).lstrip()[:1]
    if start == b"{" and not any(field in content for field in _OTHER_FIELDS):
        return None
    if is_hdf5(content):
        return _of_hdf5(path, content)
    if is_matlab(content):
        return _of_matlab(path, content)
    labelled = read_labelled(content, str(path))
    if labelled is not None:
        return truth_of_labelled(labelled, content, path)
    if start == b"[" or b'"keypoint_names"' in content:
        value = parse_finite_json(content, path)
        for layout in (mpii, ai_challenger, ochuman):
            if layout.fits_json(value):
                return layout.of_json(value, content, path)
    return None


def _of_hdf5(path: Path, content: bytes) -> TruthFile:
    part = read_hdf5(content, path, ("part",)).get("part")
    joints = None if part is None or part.ndim != 3 else part.shape[1]
    if joints == len(MPII_16):
        return mpii.read_mpii(path)
    if joints == len(FLIC_11):
        return read_flic(path)
    got = "nothing" if part is None else " × ".join(map(str, part.shape))
    raise InputError(f"{path}: dataset 'part': expected N × 16 × 2 (MPII) or N × 11 × 2 (FLIC), got {got}")


def _of_matlab(path: Path, content: bytes) -> TruthFile:
    variables = read_matlab(content, path)
    if "RELEASE" in variables:
        return mpii.read_mpii(path)
    if "examples" in variables:
        return read_flic(path)
    if "joints" in variables:
        return read_lsp(path)
    names = ", ".join(name for name in variables if not name.startswith("__")) or "nothing"
    expected = "RELEASE (MPII), examples (FLIC) or joints (LSP, LSPET)"
    raise InputError(f"{path}: holds {names[:80]}; expected {expected}. Known: {_LAYOUTS}")
