"""Combine ground truth and results: their common photos, and their separate categories."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError
from trustpose.formats.coco.categories import Categories
from trustpose.formats.coco.results import ResultsFile
from trustpose.formats.coco.truth import TruthFile
from trustpose.poses import Poses, Truth


def common_photos(truth: TruthFile, results: Sequence[ResultsFile]) -> tuple[TruthFile, list[ResultsFile]]:
    """Restrict ground truth and results to the photos that occur in all of them.

    A photo without a single result counts as not covered, even if the estimator detected no person there. `left_out`
    counts what was removed. Raises InputError if no photo is common to all.
    """
    covered = [np.unique(_image_ids(file)) for file in results]
    common = reduce(np.intersect1d, covered, truth.images.id)
    if not len(common):
        files = ", ".join(file.path for file in results)
        raise InputError(f"{truth.path}: none of its photos is in {files}, --common expects some")
    restricted = [_of_photos(file, common) for file in results]
    return _truth_of_photos(truth, common), restricted


def separate_categories(truth: TruthFile, results: ResultsFile) -> tuple[Poses, Truth, Int[np.ndarray, " I"]]:
    """Return poses and people with image ids that separate categories, and these ids (I,).

    With several categories the ids number pairs of photo and category; with one they are the file's own.
    """
    poses, people = results.poses, truth.truth
    if truth.categories is None:
        return poses, people, truth.images.id
    assert poses.image_id is not None and people.image_id is not None
    images = np.concatenate([poses.image_id, people.image_id])
    categories = np.concatenate([results.category_id, truth.categories.of_row])
    pairs, number = np.unique(np.stack([images, categories], axis=1), axis=0, return_inverse=True)
    number = number.reshape(-1).astype(np.int64)
    separated = replace(poses, image_id=number[: len(poses)]), replace(people, image_id=number[len(poses) :])
    return *separated, np.arange(len(pairs))


def left_out_notes(truth: TruthFile, results: ResultsFile) -> list[str]:
    """Return sentences on the photos, people and results that `common_photos` left out."""
    notes = []
    if truth.left_out:
        total = truth.left_out["images"] + len(truth.images)
        notes.append(
            f"--common: photos without results, left out: {truth.left_out['images']} of {total}, with "
            f"{truth.left_out['people']} labelled or boxed people"
        )
    if results.left_out:
        total = results.left_out["results"] + len(results.poses)
        notes.append(
            f"--common: results in photos that are not compared, left out: {results.left_out['results']} of {total}, "
            f"photos: {results.left_out['images']}"
        )
    return notes


def _of_photos(results: ResultsFile, ids: np.ndarray) -> ResultsFile:
    image_id = _image_ids(results)
    keep = np.isin(image_id, ids)
    if keep.all():
        return results
    photos = len(np.unique(image_id[~keep]))
    counts = {name: results.left_out.get(name, 0) + more for name, more in (("results", int((~keep).sum())),)}
    counts["images"] = results.left_out.get("images", 0) + photos
    poses, score, category_id = results.poses[keep], results.score[keep], results.category_id[keep]
    return replace(results, poses=poses, score=score, category_id=category_id, left_out=counts)


def _truth_of_photos(truth: TruthFile, ids: np.ndarray) -> TruthFile:
    photos, people = truth.images, truth.truth
    assert people.image_id is not None
    in_photo, keep = np.isin(photos.id, ids), np.isin(people.image_id, ids)
    if in_photo.all():
        return truth
    categories = truth.categories
    if categories is not None:
        categories = Categories(categories.names, categories.of_row[keep])
    left_out = {"images": int((~in_photo).sum()), "people": int((~keep).sum())}
    return replace(truth, truth=people[keep], images=photos[in_photo], categories=categories, left_out=left_out)


def _image_ids(results: ResultsFile) -> np.ndarray:
    assert results.poses.image_id is not None
    return results.poses.image_id
