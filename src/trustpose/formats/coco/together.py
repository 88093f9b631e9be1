"""Combine ground truth and results: their common photos, and their separate categories."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from trustpose.files import InputError
from trustpose.formats.coco.categories import Categories
from trustpose.formats.coco.results import ResultsFile
from trustpose.formats.coco.truth import TruthFile
from trustpose.images import Images
from trustpose.poses import MISSING_ID, Poses, Truth


def common_photos(truth: TruthFile, results: Sequence[ResultsFile]) -> tuple[TruthFile, list[ResultsFile]]:
    """Restrict ground truth and results to the photos that occur in all of them.

    A photo without a single result counts as not covered, even if the estimator detected no person there. `left_out`
    counts what was removed. Raises InputError if no photo is common to all.
    """
    covered = [np.unique(image_ids(results_file)) for results_file in results]
    common = reduce(np.intersect1d, covered, truth.images.id)
    if not len(common):
        files = ", ".join(results_file.path for results_file in results)
        raise InputError(f"{truth.path}: none of its photos is in {files}, --common expects some")
    pairs = [limited_to(truth, results_file, common) for results_file in results]
    return pairs[0][0], [results_file for _, results_file in pairs]


def limited_to(truth: TruthFile, results: ResultsFile, ids: Int[np.ndarray, " i"]) -> tuple[TruthFile, ResultsFile]:
    """Return `of_photos` with what was left out added to `left_out`."""
    remaining_truth, remaining, people, rows = of_photos(truth, results, ids)
    photos = len(np.unique(image_ids(results)[~rows]))
    left_out = _added(results.left_out, images=photos, results=int((~rows).sum()))
    of_truth = _added(
        truth.left_out, images=len(truth.images) - len(remaining_truth.images), people=int((~people).sum())
    )
    return replace(remaining_truth, left_out=of_truth), replace(remaining, left_out=left_out)


def _added(left_out: dict[str, int], **more: int) -> dict[str, int]:
    """Return the sums of counts; empty if all are 0."""
    total = {name: left_out.get(name, 0) + count for name, count in more.items()}
    return total if any(total.values()) else {}


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


def joined_files(pieces: Sequence[tuple[TruthFile, ResultsFile]]) -> tuple[TruthFile, ResultsFile]:
    """Join pieces of a ground truth and of results on it, each of whole photos."""
    truths, results = [truth for truth, _ in pieces], [file for _, file in pieces]
    if len(pieces) == 1:
        return pieces[0]
    first, categories = truths[0], truths[0].categories
    if categories is not None:
        of_row = [truth.categories.of_row for truth in truths if truth.categories is not None]
        categories = Categories(categories.names, np.concatenate(of_row))
    truth = replace(
        first,
        truth=_filled(Truth, [truth.truth for truth in truths]),
        images=_joined_images([truth.images for truth in truths]),
        categories=categories,
    )
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(file, name) for file in results]) for name in ("score", "category_id")
    }
    return truth, replace(results[0], poses=_filled(Poses, [file.poses for file in results]), **joined)


def _filled(record: Any, parts: list[Any]) -> Any:
    """Concatenate rows; a column that only some parts have is NaN, −1 or False in the others."""
    names = [name for name in parts[0].columns() if name != "missing"]
    filled = {name: column for part in parts for name in names if (column := getattr(part, name)) is not None}
    blanks = []
    for part in parts:
        blank = {
            name: np.full((len(part), *column.shape[1:]), _BLANK[column.dtype.kind], column.dtype)
            for name, column in filled.items()
            if getattr(part, name) is None
        }
        blanks.append(replace(part, **blank) if blank else part)
    return record.concatenate(blanks)


_BLANK = {"f": np.nan, "i": MISSING_ID, "b": False, "O": None}


def _joined_images(parts: list[Images]) -> Images:
    columns = [part.columns() for part in parts]
    names = [name for name in columns[0] if all(column[name] is not None for column in columns)]
    joined = {name: np.concatenate([column[name] for column in columns]) for name in names}
    return Images(np.concatenate([part.id for part in parts]), **joined)


def left_out_notes(of_truth: Mapping[str, int], photos: int, of_results: Mapping[str, int], results: int) -> list[str]:
    """Return sentences on the photos, people and results that `common_photos` left out, from `left_out` of a ground
    truth and of results, of which `photos` and `results` are left."""
    notes = []
    if of_truth:
        notes.append(
            f"--common: photos without results, left out: {of_truth['images']} of {of_truth['images'] + photos}, with "
            f"{of_truth['people']} labelled or boxed people"
        )
    if of_results:
        notes.append(
            "--common: results in photos that are not compared, left out: "
            f"{of_results['results']} of {of_results['results'] + results}, photos: {of_results['images']}"
        )
    return notes


def of_photos(
    truth: TruthFile, results: ResultsFile, ids: Int[np.ndarray, " i"]
) -> tuple[TruthFile, ResultsFile, Bool[np.ndarray, " M"], Bool[np.ndarray, " N"]]:
    """Return the people and results of these photos, and which rows of people (M,) and results (N,) they are."""
    assert truth.truth.image_id is not None and results.poses.image_id is not None
    people, rows = np.isin(truth.truth.image_id, ids), np.isin(results.poses.image_id, ids)
    categories = truth.categories
    if categories is not None:
        categories = Categories(categories.names, categories.of_row[people])
    images = truth.images[np.isin(truth.images.id, ids)]
    columns = {name: getattr(results, name)[rows] for name in ("poses", "score", "category_id")}
    truth = replace(truth, truth=truth.truth[people], images=images, categories=categories)
    return truth, replace(results, **columns), people, rows


def image_ids(results: ResultsFile) -> Int[np.ndarray, " N"]:
    """Return the photo of each result."""
    assert results.poses.image_id is not None
    return results.poses.image_id
