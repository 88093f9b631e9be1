"""Results whose images are the frames of clips, with the frames' order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError, read_bytes, read_json
from trustpose.formats.coco import ResultsFile, read_images, read_results
from trustpose.formats.coco.ids import IdTexts
from trustpose.formats.tables import read_rows
from trustpose.images import Images
from trustpose.skeletons import COCO_17, skeleton_of


def read_clips(
    results: Path, images: Path | None, skeleton: str | None
) -> tuple[ResultsFile, Images | None, list[dict[str, Any]]]:
    """Read results whose images are frames.

    Args:
        results: COCO results.
        images: lists the frames: images.json or a ground truth; None: `image_id` is the number of the frame.
        skeleton: NAME or FILE.json; None: 17 keypoints are COCO's, and any other number has no names.

    Returns:
        The results with the frames' ids, the frames if they are listed, and the rows unchanged.

    Raises:
        InputError: for files that cannot be read, and for frames without an order.
    """
    file = read_results(results, skeleton=None if skeleton is None else skeleton_of(skeleton))
    if skeleton is None and file.poses.keypoint_count == len(COCO_17):
        file = replace(file, poses=replace(file.poses, skeleton=COCO_17))
    rows = read_rows(read_bytes(results), results)
    rows = read_json(results) if rows is None else rows
    if images is None:
        if not file.image_texts.are_numbers:
            text = next(iter(file.image_texts.number_of))
            raise InputError(
                f"{results}: field 'image_id': {text[:40]!r} is no frame number, so the frames have no order; "
                "--images lists them"
            )
        return file, None, rows
    frames, texts = read_images(images)
    if file.image_texts or len(texts):
        ids = _listed_ids(file, texts, images)
        file = replace(file, poses=replace(file.poses, image_id=ids))
    return file, frames, rows


def _listed_ids(file: ResultsFile, texts: IdTexts, images: Path) -> Int[np.ndarray, " N"]:
    """Return the ids that the listed frames have, of results whose ids are texts, or stand for texts in the list."""
    assert file.poses.image_id is not None
    text_of, listed = file.image_texts.text_of, []
    for number in np.unique(file.poses.image_id).tolist():
        text = text_of.get(number, str(number))
        image_id = texts.find(text)
        if image_id is None:
            raise InputError(f"{file.path}: field 'image_id': {text[:40]!r} is not among the images of {images}")
        listed.append(image_id)
    return np.array(listed, dtype=np.int64)[np.unique(file.poses.image_id, return_inverse=True)[1]]
