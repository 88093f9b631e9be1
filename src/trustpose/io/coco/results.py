"""COCO keypoint results files, with our extended fields, read without loss.

First the record and how its columns are read and checked; then what results have to do with a ground truth: its people
alone, the photos that several files share, categories, and joining parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.files import InputError, read_bytes, sha256_of, shown
from trustpose.geometry.boxes import xywh_to_xyxy
from trustpose.images import Images
from trustpose.io.coco.labels import check_annotation_ids, check_result_boxes, has_whole_body, keypoint_table
from trustpose.io.coco.truth import Categories, TruthFile
from trustpose.io.columns import (
    NO_TEXTS,
    GrowingColumns,
    IdColumn,
    IdTexts,
    Rows,
    garbage_collection_paused,
    number_texts,
    parse_finite_json,
)
from trustpose.io.companions import read_errors
from trustpose.io.json_rows import BLOCK_BYTES, rows_in_blocks
from trustpose.io.tables import read_columns
from trustpose.poses import MISSING_ID, ErrorModel, Poses, Truth, find_missing
from trustpose.skeletons import COCO_WHOLEBODY_133, Skeleton

_Columns = dict[str, np.ndarray | None]
_BLANK = {"f": np.nan, "i": MISSING_ID, "b": False, "O": None}  # in rows without a column, by the kind of its dtype


@dataclass(frozen=True, repr=False)
class ResultsFile:
    """A COCO keypoint results file, as it was read.

    Attributes:
        poses: its N poses; `pose_score` is the field of that name if the file has it, else `score`.
        score: (N,), by which poses are ranked.
        category_id: (N,).
        path: of the file.
        sha256: of its content; empty for rows that are not a file's.
        left_out: numbers of "results" and "images" that the ground truth lacks, if they were left out.
        image_texts, annotation_texts: which numbers stand for ids that are texts.
        notes: sentences on what was not read.
    """

    poses: Poses
    score: Float[np.ndarray, " N"]
    category_id: Int[np.ndarray, " N"]
    path: str
    sha256: str
    left_out: dict[str, int] = field(default_factory=dict)
    image_texts: IdTexts = NO_TEXTS
    annotation_texts: IdTexts = NO_TEXTS
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line: the file, and its poses."""
        return f"ResultsFile({self.path}: {self.poses!r})"


@garbage_collection_paused()
def read_results(
    path: str | Path,
    *,
    truth: TruthFile | None = None,
    keypoint_count: int | None = None,
    skeleton: Skeleton | None = None,
    score_field: str = "score",
    common: bool = False,
) -> ResultsFile:
    """Read a COCO keypoint results file with its extended fields, as JSON or a table (`io.tables`), ranked by
    `score_field`.

    The poses have the error model of the file beside it, if there is one. With `truth`, ids must be found there, K must
    match, and rows of its other categories are left out; with `common` also rows in photos that it lacks. `skeleton`
    names the joints, as such a file does not; with `truth` its skeleton is used. Of COCO-WholeBody's 133 keypoints in
    five fields 17 are read, with a note, unless the skeleton or the number is theirs. Ids may be texts, see `IdTexts`.
    Raises InputError.
    """
    content = read_bytes(path)
    digest = sha256_of(content)
    skeleton = truth.truth.skeleton if truth is not None and skeleton is None else skeleton
    count = truth.truth.keypoint_count if truth is not None else keypoint_count
    count = len(skeleton) if count is None and skeleton is not None else count
    ids = _Ids()
    table = read_columns(content, path)
    is_large = table is None and len(content) > BLOCK_BYTES
    columns = _columns_by_block(content, str(path), count, score_field, ids) if is_large else None
    if columns is None:
        ids = _Ids()
        rows = Rows.of(parse_finite_json(content, path), str(path), "result") if table is None else table
        columns = _columns(rows, count, score_field, ids)
    error_model = read_errors(path, digest())
    results = _results_file(columns, ids, str(path), truth, skeleton, digest(), error_model)
    rows = Rows(str(path), "result", [])
    if truth is not None:
        return of_truth(results, truth, rows, common=common)
    check_result_boxes(rows, results.poses, None)
    return results


def results_of_rows(
    rows: Rows, *, truth: TruthFile | None, keypoint_count: int | None, skeleton: Skeleton | None, score_field: str
) -> ResultsFile:
    """Return checked rows of results as `read_results` does a file's, but with ids and boxes that were not compared
    with the ground truth yet (`of_truth`), and without a fingerprint. Raises InputError."""
    ids = _Ids()
    return _results_file(_columns(rows, keypoint_count, score_field, ids), ids, rows.path, truth, skeleton, "", None)


def _results_file(
    columns: _Columns,
    ids: "_Ids",
    path: str,
    truth: TruthFile | None,
    skeleton: Skeleton | None,
    sha256: str,
    error_model: ErrorModel | None,
) -> ResultsFile:
    image_texts, annotation_texts = ids.resolve(columns, path, truth)
    score, own_score, category_id = (columns.pop(name) for name in ("score to rank by", "own score", "category_id"))
    in_parts = columns.pop("in parts")
    assert in_parts is not None
    if columns.get("pose_score") is None:
        columns["pose_score"] = own_score
    poses = _poses(columns, skeleton, error_model)
    assert score is not None and category_id is not None
    texts = {"image_texts": image_texts, "annotation_texts": annotation_texts}
    whole = COCO_WHOLEBODY_133
    is_whole = not in_parts.any() or poses.keypoint_count == len(whole)
    note = f"{poses.keypoint_count} of the file's {len(whole)} keypoints are read; --skeleton {whole.name} reads all"
    return ResultsFile(poses, score, category_id, shown(path), sha256, **texts, notes=() if is_whole else (note,))


def of_truth(results: ResultsFile, truth: TruthFile, rows: Rows, *, common: bool, is_part: bool = False) -> ResultsFile:
    """Return the results on a ground truth's people, checked against it; `rows` is for error messages. A part of a
    file may have none, and its boxes are not checked."""
    poses, ids = results.poses, truth.images.id
    assert poses.image_id is not None
    in_photos = np.isin(poses.image_id, ids)
    if not common:
        source = f"the images of {truth.path} (--common leaves such photos out)"
        rows.known("image_id", poses.image_id[~in_photos], ids, source, results.image_texts.text_of)
    rows.known("category_id", results.category_id, np.array(truth.category_ids), f"the categories of {truth.path}")
    if not is_part and poses.box is not None:
        check_result_boxes(rows, poses, truth.images.sizes(poses.image_id))
    if not in_photos.any() and not is_part:
        raise InputError(
            f"{results.path}: no result is in a photo of {truth.path}, but --common needs photos in common"
        )
    chosen = (truth.category_id,) if truth.categories is None else tuple(truth.categories.names)
    keep = in_photos & np.isin(results.category_id, chosen)
    if not keep.any() and not is_part:
        raise InputError(f"{results.path}: holds no results of category {', '.join(map(str, chosen[:5]))}")
    if not in_photos.all():
        left_out = {"images": len(np.unique(poses.image_id[~in_photos])), "results": int((~in_photos).sum())}
        results = replace(results, left_out=left_out)
    check_annotation_ids(rows, poses, keep, truth.truth, truth.path, results.annotation_texts.text_of)
    if keep.all():
        return results
    return replace(results, poses=poses[keep], score=results.score[keep], category_id=results.category_id[keep])


class _Ids:
    """The two fields of results that refer to photos and people of the ground truth, by numbers or texts."""

    def __init__(self) -> None:
        self.image, self.annotation = IdColumn("image_id"), IdColumn("annotation_id")

    def resolve(self, columns: _Columns, path: str, truth: TruthFile | None) -> tuple[IdTexts, IdTexts]:
        """Replace texts in the columns by numbers, those of the ground truth if given; return the texts."""
        people = None if truth is None else truth.truth.annotation_id
        texts_by_field = []
        for column, noun in ((self.image, "images"), (self.annotation, "annotations")):
            indices = columns.get(column.field)
            if indices is None:
                column_texts = NO_TEXTS
            elif truth is None or people is None:
                column_texts = number_texts(column.texts)
                columns[column.field] = column.numbers(indices, column_texts)
            else:
                is_image = column is self.image
                known_ids = truth.images.id if is_image else people
                texts = truth.image_texts if is_image else truth.annotation_texts
                columns[column.field], column_texts = column.resolve(
                    path, indices, known_ids, texts, f"the {noun} of {truth.path}"
                )
            texts_by_field.append(column_texts)
        return texts_by_field[0], texts_by_field[1]


def _columns_by_block(content: bytes, path: str, count: int | None, score_field: str, ids: _Ids) -> _Columns | None:
    """Compute `_columns` of a whole file with few of its objects in memory at a time; None if there is an error."""
    columns = GrowingColumns()
    try:
        for rows in rows_in_blocks(content, path, "result"):
            block = _columns(rows, count, score_field, ids)
            keypoints = block["keypoints"]
            assert keypoints is not None
            # as many rows as of the first block's length, and one in 64 more
            columns.append(block, expected_rows=1 + len(rows) * len(content) * 65 // (64 * BLOCK_BYTES))
            count = keypoints.shape[1]
            del rows  # before the parser's next block
    except InputError:
        return None
    return columns.arrays()  # type: ignore[return-value]


def _columns(rows: Rows, count: int | None, score_field: str, ids: _Ids) -> _Columns:
    """Return `_pose_columns` (`count` keypoints, or as many as in the first row), the score to rank by, `score` for
    rows of a file without `pose_score`, and category ids. Raises InputError."""
    if not len(rows):
        raise InputError(f"{rows.path}: holds no results (an empty list)")
    if count is None:
        first = rows.value("keypoints", 0)
        if not isinstance(first, list) or not first or len(first) % 3:
            raise rows.fail(0, "keypoints", "a list of x, y, score for each keypoint", first)
        count = len(first) // 3
    columns = _pose_columns(rows, count, ids.image, ids.annotation)
    score, category_id = rows.numbers(score_field), rows.integers("category_id", numerals=True)
    has_own = score_field == "score" or columns["pose_score"] is not None
    own_score = score if has_own else rows.numbers("score")
    numbers = {"score to rank by": score, "own score": own_score, "category_id": category_id}
    return {**columns, **numbers, "in parts": np.full(len(rows), has_whole_body(rows))}


def poses_of_rows(rows: Rows, count: int) -> Poses:
    """Return the poses of checked results rows, `count` keypoints each. Raises InputError."""
    return _poses(_pose_columns(rows, count, None, None), None, None)


def _poses(columns: _Columns, skeleton: Skeleton | None, error_model: ErrorModel | None) -> Poses:
    keypoints = columns.pop("keypoints")
    assert keypoints is not None
    xy, score = keypoints[:, :, :2], keypoints[:, :, 2]
    return Poses(xy, score, **columns, skeleton=skeleton, error_model=error_model)  # type: ignore[arg-type]


def _pose_columns(rows: Rows, count: int, image: IdColumn | None, annotation: IdColumn | None) -> _Columns:
    """Return the columns of `Poses`, with x, y, score in one, `keypoints` (N, K, 3); `image` and `annotation` read ids
    that may be texts. Raises InputError."""
    table = keypoint_table(rows, count, "score")
    assert table is not None
    keypoints = table.reshape(-1, count, 3)
    box = rows.lists("bbox", 4, optional=True, description=" (x, y, width, height)")
    quality = rows.lists("keypoint_quality", count, optional=True, description=f" (one of each of {count} keypoints)")
    presence, pose_quality = (rows.numbers(name, optional=True) for name in ("presence", "pose_quality"))
    for name, column in (("keypoint_quality", quality), ("pose_quality", pose_quality), ("presence", presence)):
        if column is not None and ((column < 0) | (column > 1)).any():
            row = int(np.argmax(((column < 0) | (column > 1)).reshape(len(rows), -1).any(axis=1)))
            value = next(v for v in np.atleast_1d(column[row]) if not 0 <= v <= 1)
            raise rows.fail(row, name, "numbers from 0 to 1", float(value))
    return dict(
        keypoints=keypoints,
        pose_score=rows.numbers("pose_score", optional=True),
        quality=quality,
        visibility=_read_visibility(rows, count),
        visibility_label=_read_labels(rows, count),
        presence=presence,
        pose_quality=pose_quality,
        box=None if box is None else xywh_to_xyxy(box),
        box_score=rows.numbers("bbox_score", optional=True),
        track_id=rows.integers("track_id", optional=True),
        image_id=rows.integers("image_id") if image is None else image.read(rows),
        annotation_id=(
            rows.integers("annotation_id", optional=True)
            if annotation is None
            else annotation.read(rows, optional=True)
        ),
        missing=_read_missing(rows, keypoints),
    )


def _read_missing(rows: Rows, keypoints: np.ndarray) -> np.ndarray | None:
    """Return which keypoints (N, K) are missing: by `keypoint_missing`, or by their values."""
    count = keypoints.shape[1]
    by_rule = find_missing(keypoints[:, :, :2], keypoints[:, :, 2])
    stated = rows.lists(
        "keypoint_missing", count, optional=True, description=f" (0 or 1 for each of {count} keypoints)"
    )
    if stated is None:
        return by_rule
    is_stated = ~np.isnan(stated[:, 0])
    wrong = ~np.isin(stated[is_stated], (0, 1))
    if wrong.any():
        row = int(np.flatnonzero(is_stated)[wrong.any(axis=1)][0])
        raise rows.fail(
            row, "keypoint_missing", f"0 or 1 for each of {count} keypoints", float(stated[is_stated][wrong][0])
        )
    return np.where(is_stated[:, None], stated == 1, False if by_rule is None else by_rule)


def _read_labels(rows: Rows, count: int) -> np.ndarray | None:
    """Return the decided visibility (N, K) int8 of rows that have it; -1 in others."""
    label = rows.lists(
        "visibility_label", count, optional=True, description=f" (0, 1 or 2 for each of {count} keypoints)"
    )
    if label is None:
        return None
    wrong = ~np.isin(label, (0, 1, 2)) & ~np.isnan(label)
    if wrong.any():
        row = int(np.argmax(wrong.any(axis=1)))
        first = float(label[row][wrong[row]][0])
        raise rows.fail(row, "visibility_label", f"0, 1 or 2 for each of {count} keypoints", first)
    return np.nan_to_num(label, nan=MISSING_ID).astype(np.int8)


def _read_visibility(rows: Rows, count: int) -> np.ndarray | None:
    """Return P(absent), P(occluded), P(visible) (N, K, 3); NaN for rows without."""
    expected = f"{count} lists of three probabilities that sum to 1"
    if "visibility" not in rows.fields:
        return None
    visibility = rows.nested("visibility", count, 3, expected)
    if visibility is None:
        return None
    wrong = (visibility < 0) | (visibility > 1)
    wrong |= np.abs(visibility.sum(axis=2, keepdims=True) - 1) > 1e-3
    if wrong.any():
        row = int(np.argmax(wrong.any(axis=(1, 2))))
        raise rows.fail(row, "visibility", expected, float(visibility[row][wrong[row]][0]))
    return visibility


def common_photos(truth: TruthFile, results: Sequence[ResultsFile]) -> tuple[TruthFile, list[ResultsFile]]:
    """Restrict ground truth and results to the photos that occur in all of them.

    A photo without a single result counts as not covered, even if the estimator detected no person there. `left_out`
    counts what was removed. Raises InputError if no photo is common to all.
    """
    covered = [np.unique(image_ids(results_file)) for results_file in results]
    common = reduce(np.intersect1d, covered, truth.images.id)
    if not len(common):
        files = ", ".join(results_file.path for results_file in results)
        raise InputError(f"{truth.path}: none of its photos is in {files}, but --common needs photos in common")
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
