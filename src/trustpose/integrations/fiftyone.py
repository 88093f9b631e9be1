"""Results as keypoints of a FiftyOne data set, and back without loss (the extra `fiftyone`).

What a person has there is listed in https://trustpose.github.io/trustpose/integrations.html. Photos and poses
are matched by file name, or by the number at the end of it where image ids have no names.

Poses as `fiftyone.Keypoints` of a photo, and back. FiftyOne has positions as fractions of the photo's width and
height, one list of numbers per attribute of keypoints, NaN for a missing point, and None for an unknown number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.images import Images
from trustpose.integrations.fiftyone_photos import files_of, match, photo_size
from trustpose.io.coco.labels import number_in_name
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_images
from trustpose.poses import MISSING_ID, Poses, write_results
from trustpose.predict.photos import PhotoFile
from trustpose.skeletons import SKELETONS, Skeleton, name_or_object, skeleton_of, skeleton_of_object

PIXELS = ("x_pixels", "y_pixels")
CHANCES = ("p_absent", "p_occluded", "p_visible")
_BY_KEYPOINT = {"score": "confidence", "quality": "quality", "visibility_label": "visibility_label"}
_BY_POSE = ("pose_score", "presence", "pose_quality", "box_score", "suppressed_score")
_IDS = {"track_id": "index", "annotation_id": "annotation_id"}
_MOVED = 1e-6  # pixels: a point further from the pixels beside it was moved in FiftyOne


def keypoints_of(
    package: Any,
    poses: Poses,
    size: tuple[int, int],
    label: str,
    ranking: Float[np.ndarray, " N"] | None,
    **attributes: Any,
) -> Any:
    """Return `fiftyone.Keypoints` of the people of one photo, `size` its width and height in pixels.

    `ranking` is the score that they are ranked by, None if unknown; `attributes` are set on each of them.
    """
    columns = _columns(poses, size) | ({} if ranking is None else {"ranking_score": _cells(ranking)})
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    people = [{name: cell for name, cell in row.items() if cell is not None} | attributes for row in rows]
    return package.Keypoints(keypoints=[package.Keypoint(label=label, **person) for person in people])


def _columns(poses: Poses, size: tuple[int, int]) -> dict[str, list[Any]]:
    """Return the values of each attribute, one per person."""
    points = poses.xy.astype(np.float64) / np.array(size, dtype=np.float64)
    if poses.missing is not None:
        points[poses.missing] = np.nan
    columns: dict[str, list[Any]] = {"points": points.tolist()}
    columns |= {name: _cells(poses.xy[:, :, axis]) for axis, name in enumerate(PIXELS)}
    columns |= {
        theirs: _cells(column) for ours, theirs in _BY_KEYPOINT.items() if (column := getattr(poses, ours)) is not None
    }
    if poses.visibility is not None:
        columns |= {name: _cells(poses.visibility[:, :, state]) for state, name in enumerate(CHANCES)}
    columns |= {name: _cells(column) for name in _BY_POSE if (column := getattr(poses, name)) is not None}
    columns |= {theirs: _ids(column) for ours, theirs in _IDS.items() if (column := getattr(poses, ours)) is not None}
    return columns | ({} if poses.box is None else {"box": _cells(poses.box)})


def _cells(column: np.ndarray) -> list[Any]:
    """Return a column as nested lists; NaN is None, and so is a row that is NaN throughout."""
    cells = column.astype(object)
    if column.dtype.kind == "f":
        cells = column.astype(np.float64).astype(object)
        cells[np.isnan(column)] = None
    return [None if _is_empty(row) else row for row in cells.tolist()]


def _is_empty(row: Any) -> bool:
    return all(_is_empty(cell) for cell in row) if isinstance(row, list) else row is None


def _ids(column: np.ndarray) -> list[int | None]:
    return [None if number == MISSING_ID else number for number in column.tolist()]


def poses_of(
    keypoints: Sequence[Any], size: Float[np.ndarray, "N 2"], names: Sequence[str]
) -> dict[str, np.ndarray | None]:
    """Return the columns of `Poses` of `fiftyone.Keypoint`s, without image ids.

    size: width and height of each one's photo, pixels; names: how error messages call each. Where a point still is
    where `keypoints_of` put it, its pixels are those that `Poses` had, to the last bit. Raises InputError if numbers of
    points differ or an attribute has another length.
    """
    count = len(keypoints[0].points)
    points = _table(keypoints, names, "points", (count, 2))
    assert points is not None
    missing = np.isnan(points[..., 0]) | np.isnan(points[..., 1])
    xy, exact = points * size[:, None], _tables(keypoints, names, PIXELS, (count,))
    if exact is not None:
        still = missing | (np.abs(xy - exact).max(axis=2) <= _MOVED)
        xy = np.where(still[:, :, None], exact, xy)
    by_keypoint = {ours: _table(keypoints, names, theirs, (count,)) for ours, theirs in _BY_KEYPOINT.items()}
    label = by_keypoint.pop("visibility_label")
    return {
        "xy": xy,
        "missing": missing if missing.any() else None,
        "visibility": _tables(keypoints, names, CHANCES, (count,)),
        "visibility_label": None if label is None else np.nan_to_num(label, nan=MISSING_ID).astype(np.int8),
        "box": _table(keypoints, names, "box", (4,)),
        **by_keypoint,
        **{name: _table(keypoints, names, name, ()) for name in _BY_POSE},
        **{ours: id_column(keypoints, names, theirs) for ours, theirs in _IDS.items()},
    }


def number_column(keypoints: Sequence[Any], names: Sequence[str], attribute: str) -> Float[np.ndarray, " N"] | None:
    """Return an attribute that has one number per person (N,); NaN where it is unknown, None if it always is."""
    return _table(keypoints, names, attribute, ())


def id_column(keypoints: Sequence[Any], names: Sequence[str], attribute: str) -> np.ndarray | None:
    """Return an attribute that holds ids (N,), int64; -1 where there is none, None if there is none at all."""
    column = _table(keypoints, names, attribute, ())
    return None if column is None else np.nan_to_num(column, nan=MISSING_ID).astype(np.int64)


def _tables(
    keypoints: Sequence[Any], names: Sequence[str], attributes: Sequence[str], shape: tuple[int, ...]
) -> np.ndarray | None:
    """Return attributes that belong together (N, *shape, A). Raises InputError as `_table`, and if only some of
    them are set."""
    tables = [_table(keypoints, names, attribute, shape) for attribute in attributes]
    columns = [table for table in tables if table is not None]
    if columns and len(columns) < len(tables):
        raise InputError(f"{names[0]}: keypoints have some of {', '.join(attributes)}, expected all or none")
    return np.stack(columns, axis=-1) if columns else None


def _table(keypoints: Sequence[Any], names: Sequence[str], attribute: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return an attribute (N, *shape), NaN where it is unknown; None if no person has it. Raises InputError."""
    values = [_value(keypoint, attribute) for keypoint in keypoints]
    if all(value is None for value in values):
        return None
    table = np.full((len(values), *shape), np.nan)
    for row_index, value in enumerate(values):
        if value is None:
            continue
        try:
            row = np.array(value, dtype=np.float64)  # None becomes NaN
        except (TypeError, ValueError):
            row = np.empty(0)
        if row.shape != shape:
            expected = " × ".join(map(str, shape)) + " numbers" if shape else "a number"
            raise InputError(
                f"{names[row_index]}: a keypoint's {attribute!r} is {str(value)[:40]}, expected {expected}"
            )
        table[row_index] = row
    return table


def _value(keypoint: Any, attribute: str) -> Any:
    """Return an attribute's value, None if it has none; an empty list is none, as FiftyOne declares some so."""
    value = keypoint[attribute] if keypoint.has_field(attribute) else None
    return None if value is None or (isinstance(value, (list, tuple)) and not len(value)) else value


FIELD = "poses"
_SKELETONS = "trustpose_skeletons"  # in a data set's `info`: by field, the name of a known skeleton, or all of it


@dataclass(frozen=True, eq=False)
class _SourcePoses:
    """Poses to convert, with the further columns of a results file, and the file names of images by id."""

    poses: Poses
    ranking: Float[np.ndarray, " N"] | None
    category_id: Int[np.ndarray, " N"]
    names: Mapping[int, str]


def to_fiftyone(
    results: Poses | str | Path,
    dataset: Any,
    *,
    field: str = FIELD,
    images: Images | str | Path | None = None,
    skeleton: Skeleton | str | None = None,
    label: str = "person",
    common: bool = False,
) -> int:
    """Set `field` of a data set's samples to the poses on their photos, as `fiftyone.Keypoints`; return how many
    samples were set.

    results: poses, or a COCO results file (JSON, CSV or Parquet). dataset: a `fiftyone.Dataset` or view, saved, or a
    list of `fiftyone.Sample`. images: file names of image ids: `Images`, a COCO ground truth or an images.json; without
    it the photos that poses know, the images.json beside a results file, or the numbers in the samples' file names.
    skeleton: of a results file, which does not name its joints. A photo that is known by name and has no people gets
    empty `Keypoints`; other samples are left as they are. A sample without `metadata` gets it, for its size. Raises
    InputError if fiftyone is missing, a photo cannot be read, or poses are on photos that the data set lacks; with
    `common` only if it has none of them.
    """
    package, source = _fiftyone(), _source_poses(results, images, skeleton)
    rows = _rows_by_image(source.poses)
    ids = {image_id: None for image_id in (*rows, *source.names)}
    image_of = match([sample.filepath for sample in _samples(dataset)], ids, source.names)
    lacking = [image_id for image_id in rows if image_id not in set(image_of.values())]
    if lacking and (len(lacking) == len(rows) or not common):
        name = source.names.get(lacking[0], f"with id {lacking[0]}")
        which = f"photo {name}" + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else "")
        raise InputError(f"{which}: no sample of the data set (common=True leaves such photos out)")
    for sample in _samples(dataset, save=True):
        image_id = image_of.get(sample.filepath)
        if image_id is not None:
            sample[field] = _label(package, sample, source, rows, image_id, label)
    _set_skeleton(package, dataset, field, source.poses.skeleton)
    return len(image_of)


def fiftyone_samples(
    results: Poses | str | Path,
    photos: str | Path | None = None,
    *,
    field: str = FIELD,
    images: Images | str | Path | None = None,
    skeleton: Skeleton | str | None = None,
    label: str = "person",
) -> list[Any]:
    """Return a new `fiftyone.Sample` for each photo, with its poses in `field`: `dataset.add_samples` takes them, and
    nothing here needs FiftyOne's database.

    photos: the folder with the photos; None: where poses know them to be. Other arguments are as for `to_fiftyone`; as
    samples have no skeleton, `to_fiftyone` on the data set would set it. Raises InputError as `to_fiftyone`, and if a
    photo is not there.
    """
    package, source = _fiftyone(), _source_poses(results, images, skeleton)
    rows = _rows_by_image(source.poses)
    files = files_of(list({image_id: None for image_id in (*rows, *source.names)}), source.names, photos)
    samples = [package.Sample(filepath=str(path)) for path in files.values()]
    for sample, image_id in zip(samples, files, strict=True):
        sample[field] = _label(package, sample, source, rows, image_id, label)
    return samples


def from_fiftyone(dataset: Any, field: str = FIELD, *, skeleton: Skeleton | str | None = None) -> Poses:
    """Return the poses in `field` of a data set, view or list of samples, in their order.

    Poses that `to_fiftyone` wrote come back with every number as it was; what was changed in FiftyOne counts: people
    that were deleted, points that were moved, or made NaN, which are then missing. Keypoints of another source give
    coordinates and, from `confidence`, scores; their image ids are the numbers in the file names if all have one, else
    they count the samples from 0. skeleton: instead of that stored with the data set. Raises InputError if there is no
    such field, or it holds no `Keypoints`.
    """
    return _read(dataset, field, skeleton)[0]


def write_fiftyone_results(
    path: str | Path, dataset: Any, field: str = FIELD, *, skeleton: Skeleton | str | None = None
) -> None:
    """Write the poses of `from_fiftyone` as a COCO results file, ranked by the scores that the poses, or the results
    file, had when they came to the data set. Raises InputError, and ValueError as `write_results`."""
    poses, people = _read(dataset, field, skeleton)
    ranking, category = number_column(people, [field] * len(people), "ranking_score"), None
    if people:
        category = id_column(people, [field] * len(people), "category_id")
    if ranking is not None and np.isnan(ranking).any():  # people who were added in FiftyOne
        ranking = np.where(np.isnan(ranking), poses.ranking_score, ranking)
    ids = 1 if category is None else np.where(category < 0, 1, category)
    write_results(path, poses, score=ranking, category_id=ids)


def _fiftyone() -> Any:
    try:
        return import_module("fiftyone")
    except ModuleNotFoundError:
        raise InputError(not_installed("fiftyone", "fiftyone")) from None


def _source_poses(
    results: Poses | str | Path, images: Images | str | Path | None, skeleton: Skeleton | str | None
) -> _SourcePoses:
    joints = None if skeleton is None else skeleton_of(skeleton)
    names = (
        {} if images is None else images.names() if isinstance(images, Images) else read_images(Path(images))[0].names()
    )
    if isinstance(results, Poses):
        if results.image_id is None:
            raise InputError("Poses.image_id is None: it is not known which photos the poses are on")
        photo_names = {image_id: photo.name for image_id, photo in (results.photos or {}).items()}
        poses = results if joints is None else replace(results, skeleton=joints)
        can_rank = poses.pose_score is not None or poses.pose_quality is not None or poses.suppressed_score is not None
        return _SourcePoses(
            poses, poses.ranking_score if can_rank else None, np.ones(len(poses), dtype=np.int64), names or photo_names
        )
    results_file, images_file = read_results(results, skeleton=joints), Path(results).with_name("images.json")
    if not results_file.image_texts.are_numbers:
        raise InputError(f"{results}: its image ids are texts, expected numbers")
    if not names and images_file.is_file():
        names = read_images(images_file)[0].names()
    return _SourcePoses(results_file.poses, results_file.score, results_file.category_id, names)


def _rows_by_image(poses: Poses) -> dict[int, np.ndarray]:
    assert poses.image_id is not None
    if not len(poses):
        return {}
    order = np.argsort(poses.image_id, kind="stable")
    ids, starts = np.unique(poses.image_id[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))


def _label(
    package: Any, sample: Any, source: _SourcePoses, rows: Mapping[int, np.ndarray], image_id: int, label: str
) -> Any:
    """Return the `fiftyone.Keypoints` of one photo."""
    photo_rows = rows.get(image_id, np.zeros(0, dtype=np.int64))
    ranking = None if source.ranking is None else source.ranking[photo_rows]
    people = keypoints_of(package, source.poses[photo_rows], photo_size(package, sample), label, ranking)
    for person, category in zip(people.keypoints, source.category_id[photo_rows].tolist(), strict=True):
        if category != 1:
            person["category_id"] = category
    people["image_id"] = image_id
    return people


def _samples(dataset: Any, *, save: bool = False) -> Iterable[Any]:
    """Return the samples of a data set, view or list, saved as they are changed if asked to."""
    if hasattr(dataset, "iter_samples"):
        return dataset.iter_samples(autosave=save)
    return dataset


def _stored(dataset: Any) -> Any:
    """Return the data set of a view, or itself; None for a list of samples."""
    if not hasattr(dataset, "iter_samples"):
        return None
    return _fiftyone().load_dataset(dataset.dataset_name) if hasattr(dataset, "dataset_name") else dataset


def _set_skeleton(package: Any, dataset: Any, field: str, skeleton: Skeleton | None) -> None:
    """Store the joints of a field: names and limbs for FiftyOne's drawings, and all that a `Skeleton` has."""
    stored = _stored(dataset)
    if stored is None:
        return
    if skeleton is not None:
        edges = [list(edge) for edge in skeleton.edges]
        stored.skeletons[field] = package.KeypointSkeleton(labels=list(skeleton.keypoints), edges=edges)
        stored.info[_SKELETONS] = {**stored.info.get(_SKELETONS, {}), field: name_or_object(skeleton)}
        stored.save()
    stored.add_dynamic_sample_fields(fields=field)  # the numbers of people, for FiftyOne's filters


def _skeleton_of(dataset: Any, field: str) -> Skeleton | None:
    stored = _stored(dataset)
    if stored is None:
        return None
    value = stored.info.get(_SKELETONS, {}).get(field)
    if isinstance(value, str):
        return SKELETONS.get(value)
    if value is not None:
        return skeleton_of_object(value, f"info[{_SKELETONS!r}]")
    skeleton_stored = stored.skeletons.get(field) or stored.default_skeleton
    if skeleton_stored is None or not skeleton_stored.labels:
        return None
    edges = tuple((start, end) for chain in skeleton_stored.edges for start, end in pairwise(chain))
    return Skeleton(field, tuple(skeleton_stored.labels), edges)


def _read(dataset: Any, field: str, skeleton: Skeleton | str | None) -> tuple[Poses, list[Any]]:
    """Return the poses in a field, and each one's `fiftyone.Keypoint`."""
    package, labelled_samples = _fiftyone(), []
    for index, sample in enumerate(_samples(dataset)):
        label = sample[field] if sample.has_field(field) else None
        if label is not None and not isinstance(label, package.Keypoints):
            kind = type(label).__name__
            raise InputError(f"{sample.filepath}: field {field!r} is a {kind}, expected fiftyone.Keypoints")
        if label is not None:
            labelled_samples.append((index, sample.filepath, photo_size(package, sample), label))
    if not labelled_samples:
        raise InputError(f"field {field!r}: no sample has it, expected a field with fiftyone.Keypoints")
    ids = _image_ids([(index, path, label) for index, path, _, label in labelled_samples])
    people, owner = [], []
    for row, (_, _, _, label) in enumerate(labelled_samples):
        people += label.keypoints
        owner += [row] * len(label.keypoints)
    joints = _skeleton_of(dataset, field) if skeleton is None else skeleton_of(skeleton)
    photos = {image_id: PhotoFile(Path(path)) for image_id, (_, path, _, _) in zip(ids, labelled_samples, strict=True)}
    if not people:
        count = 0 if joints is None else len(joints)
        empty = Poses(xy=np.zeros((0, count, 2)), image_id=np.zeros(0, dtype=np.int64), skeleton=joints, photos=photos)
        return empty, []
    size = np.array([labelled_samples[row][2] for row in owner], dtype=np.float64)
    columns = poses_of(people, size, [labelled_samples[row][1] for row in owner])
    image_id = np.array([ids[row] for row in owner], dtype=np.int64)
    if joints is not None and len(joints) != columns["xy"].shape[1]:  # type: ignore[union-attr]
        points = len(people[0].points)
        raise InputError(f"field {field!r}: people have {points} points, but {joints.name} has {len(joints)}")
    return Poses(**columns, image_id=image_id, skeleton=joints, photos=photos), people  # type: ignore[arg-type]


def _image_ids(labelled_samples: list[tuple[int, str, Any]]) -> list[int]:
    """Return the image id of each photo: as stored, else the number in its name, else its index."""
    stored = [label["image_id"] if label.has_field("image_id") else None for _, _, label in labelled_samples]
    numbers = [number_in_name(path) for _, path, _ in labelled_samples]
    ids = next(
        (
            candidates
            for candidates in (stored, numbers)
            if None not in candidates and len(set(candidates)) == len(candidates)
        ),
        None,
    )
    return (
        [index for index, _, _ in labelled_samples]
        if ids is None
        else [int(number) for number in ids if number is not None]
    )
