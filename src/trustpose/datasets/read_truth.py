"""`tp.read_truth`: read the labelled people of any ground truth as one record, or accept those in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.formats.coco import TruthFile
from trustpose.formats.coco.visibility import is_ternary
from trustpose.images import Images
from trustpose.poses import Truth
from trustpose.skeletons import Skeleton

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
    from trustpose.datasets.ground_truth import read_ground_truth

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
        from trustpose.datasets.ground_truth import read_ground_truth  # the readers of all layouts take their time

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
