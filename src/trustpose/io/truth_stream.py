"""COCO ground truth in batches of whole photos: Parquet that does not fit into memory, or a ground truth in memory.

Parquet has one row a labelled or boxed person, with the fields of a COCO annotation (`id`, `image_id`, `category_id`,
`keypoints`, `num_keypoints`, `area`, `area_source`, `bbox`, `iscrowd`, `track_id`) and of its photo (`width`, `height`,
`file_name`); a photo without people has one row without `id`. The schema's metadata has the COCO file's `categories`.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError, parse_json
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.images import Images
from trustpose.io.coco.labels import ASSUMED, LABELLED, TERNARY, is_ternary, keypoint_table, without_occlusion
from trustpose.io.coco.truth import ALL, Chosen, TruthFile, choose_categories, read_annotations
from trustpose.io.columns import Rows
from trustpose.io.companions import results_sha256
from trustpose.io.parquet import ROWS, ParquetParts, find_duplicate, open_table, runs, sort_by_photo
from trustpose.io.table_rows import TableRows
from trustpose.poses import SEGMENT, Truth, Visibility
from trustpose.skeletons import Skeleton, find_skeleton

PHOTOS = 2048  # of a ground truth in memory at a time
_METADATA = b"categories"


@dataclass(frozen=True, eq=False)
class TruthBatches:
    """A ground truth's people, photos ascending. `header` is the file without its people: skeleton, category, path;
    `areas` counts people by the source of their area, empty if there are none, and `has_boxes` says whether they have
    boxes. `people` are all rows in memory, or `parts` those on disk, in ascending order."""

    header: TruthFile
    areas: Counter[str]
    has_boxes: bool
    people: TruthFile | None = None
    parts: ParquetParts | None = None
    chosen: Chosen | None = None
    folder: Any = field(default=None, repr=False)  # of sorted parts, removed with the object

    def batches(self, *, is_whole: bool = False) -> Iterator[TruthFile]:
        """Yield the ground truth in pieces, photos ascending, each whole; `is_whole`: one in memory as a single piece.
        Raises InputError naming part, row, field."""
        if self.people is not None:
            yield from _of_memory(self.people, len(self.people.images) if is_whole else PHOTOS)
            return
        assert self.parts is not None
        for rows in self.parts.batches():
            yield self._of_rows(rows)

    def image_ids(self) -> Int[np.ndarray, " i"]:
        """Return the ids of all photos, ascending."""
        if self.people is not None:
            return np.sort(self.people.images.id)
        assert self.parts is not None
        return np.unique(np.concatenate([np.zeros(0, np.int64), *runs(self.parts)]))

    @property
    def has_text_ids(self) -> bool:
        """Whether ids of photos or people are texts."""
        header = self.header
        return bool(len(header.image_texts) or len(header.annotation_texts))

    def of_photos(self, chosen: Callable[[np.ndarray], np.ndarray]) -> TruthFile:
        """Return the chosen photos and their people in memory; `chosen` says which of some image ids (n,) are. Raises
        InputError."""
        if self.parts is not None:
            rows = self.parts.rows_of_photos(chosen)
            return self._of_rows(rows) if len(rows) else self.header
        truth_file = self.people
        assert truth_file is not None and truth_file.truth.image_id is not None
        keep = chosen(truth_file.truth.image_id)
        return replace(truth_file, truth=truth_file.truth[keep], images=truth_file.images[chosen(truth_file.images.id)])

    def _of_rows(self, rows: TableRows) -> TruthFile:
        assert self.chosen is not None
        images = _images(rows)
        is_person = np.array(rows.content.column("id").is_valid())
        people = rows.chosen(is_person)
        ids, image_id = people.integers("id"), people.integers("image_id")
        assert ids is not None and image_id is not None
        skeleton = self.header.skeleton or Skeleton("the ground truth", self.header.keypoint_names, ())
        truth, *_ = read_annotations(people, ids, image_id, images, self.chosen, skeleton)
        truth = replace(truth, skeleton=self.header.truth.skeleton)
        if not self.header.has_visibility:
            truth = without_occlusion(truth)
        if truth.box is None and self.has_boxes:
            if len(truth):
                raise people.fail(0, "bbox", "4 finite numbers (x, y, width, height)")
            truth = replace(truth, box=np.zeros((0, 4)))
        if truth.area is None and self.areas:
            if len(truth):
                raise people.fail(0, "area", "a number of at least 0")
            truth = replace(truth, area=np.zeros(0))
        return replace(self.header, truth=truth, images=images)


def open_truth(path: str | Path, category: str | int | None, skeleton: Skeleton | None) -> TruthBatches | None:
    """Return a COCO ground truth in Parquet; None for other files. Rows are sorted in temporary files if photos are not
    in ascending order of their ids. Raises InputError, also for several categories, and DiskError without space to
    sort."""
    parts = open_table(path, "person")
    if parts is None:
        return None
    if category == ALL:
        raise InputError(f"--category {ALL}: a ground truth in Parquet has one category")
    if not parts.rows:
        raise InputError(f"{path}: holds no people and no photos (no rows)")
    for name in ("id", "category_id"):
        if name not in parts.schema.names:
            raise InputError(
                f"{path}: column {name!r} is missing, expected a ground truth as `trustpose convert` writes it"
            )
    twice = find_duplicate(parts, "id")
    if twice is not None:
        raise InputError(f"{path}: field 'id': {twice} occurs twice, expected each person once")
    chosen = _chosen(parts, category)
    header = _header(parts, chosen, skeleton)
    areas, has_boxes = _areas(parts, chosen), "bbox" in parts.occurring
    folder = tempfile.TemporaryDirectory(prefix="trustpose-")
    ordered = sort_by_photo(parts, Path(folder.name))
    return TruthBatches(header, areas, has_boxes, parts=ordered, chosen=chosen, folder=folder)


def held_truth(truth_file: TruthFile) -> TruthBatches:
    """Return a ground truth in memory as a stream."""
    # of the whole file: a batch of photos need not hold the people that say it
    truth_file = replace(truth_file, images=replace(truth_file.images, all_people_boxed=truth_file.all_people_boxed))
    return TruthBatches(
        truth_file, Counter(truth_file.area_sources()), truth_file.truth.box is not None, people=truth_file
    )


def _of_memory(truth_file: TruthFile, photos_per_batch: int) -> Iterator[TruthFile]:
    people, photos = truth_file.truth, np.argsort(truth_file.images.id, kind="stable")
    assert people.image_id is not None
    by_image = np.argsort(people.image_id, kind="stable")
    ordered, categories = people.image_id[by_image], truth_file.categories
    for start in range(0, len(photos), photos_per_batch):
        chosen = photos[start : start + photos_per_batch]
        ids = truth_file.images.id[chosen]
        first, end = np.searchsorted(ordered, ids[0], "left"), np.searchsorted(ordered, ids[-1], "right")
        rows = by_image[first:end]
        if categories is not None:
            truth_file = replace(truth_file, categories=replace(categories, of_row=categories.of_row[rows]))
        yield replace(truth_file, truth=people[rows], images=truth_file.images[chosen])


def _images(rows: TableRows) -> Images:
    """Return the photos of rows, each once, with what their first row says of them."""
    ids = rows.integers("image_id")
    assert ids is not None
    ids, first = np.unique(ids, return_index=True)
    sizes = [rows.integers(side, optional=True) for side in ("width", "height")]
    names = rows.values("file_name")
    boxed = rows.values("all_people_boxed") if "all_people_boxed" in rows.fields else None
    return Images(
        ids,
        [names[row] for row in first] if "file_name" in rows.fields else None,
        *(None if side is None else np.maximum(side[first], 0) for side in sizes),
        all_people_boxed=np.zeros(len(ids), np.bool_)
        if boxed is None
        else np.array([boxed[row] is True for row in first]),
    )


def _chosen(parts: ParquetParts, category: str | int | None) -> Chosen:
    content = (parts.schema.metadata or {}).get(_METADATA)
    if content is None:
        raise InputError(
            f"{parts.path}: the schema's metadata has no 'categories', expected a ground truth as `trustpose convert` "
            "writes it"
        )
    return choose_categories(Rows.of(parse_json(content, parts.path), parts.path, "category"), category)


def _header(parts: ParquetParts, chosen: Chosen, skeleton: Skeleton | None) -> TruthFile:
    names = chosen.keypoints if skeleton is None else skeleton.keypoints
    known_skeleton = find_skeleton(names) if skeleton is None else skeleton
    names = names if known_skeleton is None else known_skeleton.keypoints
    if not names:
        raise InputError(f"{parts.path}: category {chosen.category_id}: field 'keypoints': names none, see --skeleton")
    empty = Truth(
        xy=np.zeros((0, len(names), 2)),
        v=np.zeros((0, len(names)), np.int64),
        skeleton=known_skeleton or Skeleton("the ground truth", names, ()),
    )
    images = Images(np.zeros(0, np.int64))
    has_visibility = _is_ternary(parts, chosen, len(names))
    return TruthFile(
        truth=empty,
        images=images,
        skeleton=known_skeleton,
        keypoint_names=names,
        category_id=chosen.category_id,
        category_ids=tuple(chosen.ids.tolist()),
        path=parts.path,
        sha256=results_sha256(Path(parts.path)) or "",
        notes=() if has_visibility or chosen.visibility else (ASSUMED,),
        has_visibility=has_visibility,
    )


def _is_ternary(parts: ParquetParts, chosen: Chosen, keypoints: int) -> bool:
    """Return whether v has COCO's meaning (`coco.visibility`), reading no further than the first visible keypoint."""
    occurs = np.zeros(3, np.bool_)
    if chosen.visibility is None:
        for people in _people(parts, chosen, ["keypoints"]):
            table = keypoint_table(people, keypoints, "v")
            if table is not None:
                occurs |= [bool((table[:, 2::3] == v).any()) for v in range(3)]
            if occurs[Visibility.VISIBLE]:
                break
    return is_ternary(np.flatnonzero(occurs)[None], chosen.visibility)


def _areas(parts: ParquetParts, chosen: Chosen) -> Counter[str]:
    """Count the people of the category by the source of their area; none if no person has one."""
    areas = Counter[str]()
    if "area" not in parts.occurring:
        return areas
    for people in _people(parts, chosen, ["area_source"]):
        areas.update(str(SEGMENT if source is None else source) for source in people.values("area_source"))
    return areas


def _people(parts: ParquetParts, chosen: Chosen, names: list[str]) -> Iterator[TableRows]:
    """Yield the people of the chosen category, some at a time, with those of the columns `names` that there are."""
    names = [name for name in names if name in parts.schema.names]
    for table, file, row in parts.tables(["id", "category_id", *names], ROWS):
        rows = TableRows(parts.path, parts.noun, table, ((0, file, row),))
        people = rows.chosen(np.array(table.column("id").is_valid()))
        category = people.integers("category_id", numerals=True)
        assert category is not None
        yield people.chosen(chosen.of(category))


def truth_rows(truth_file: TruthFile) -> tuple[list[dict[str, Any]], Any]:
    """Return a ground truth of one category as rows, photos ascending, and their Arrow schema with its metadata.

    Raises InputError for ids that are texts, which Parquet in batches does not have.
    """
    import orjson
    import pyarrow as arrow

    if len(truth_file.image_texts):
        text = next(iter(truth_file.image_texts.number_of))
        raise InputError(f"{truth_file.path}: field 'id' of images: {text[:40]!r}: expected whole numbers, in Parquet")
    people, images = truth_file.truth, truth_file.images
    assert people.image_id is not None
    named = {name: column.tolist() for name, column in truth_columns(truth_file).items()}
    rows = [dict(zip(named, cells, strict=True)) for cells in zip(*named.values(), strict=True)]
    rows += [{"image_id": image_id} for image_id in np.setdiff1d(images.id, people.image_id).tolist()]
    rows.sort(key=lambda row: row["image_id"])  # stable: people of a photo keep their order
    row_of_image = {image_id: row for row, image_id in enumerate(images.id.tolist())}
    is_complete = truth_file.all_people_boxed
    for row in rows:
        row_index = row_of_image[row["image_id"]]
        for name, column in (("width", images.width), ("height", images.height), ("file_name", images.file_name)):
            value: Any = None if column is None else column[row_index]
            if value is not None and value != 0:
                row[name] = value if name == "file_name" else int(value)
        row["all_people_boxed"] = bool(is_complete[row_index])
    whole, number = arrow.int64(), arrow.float64()
    kinds = dict.fromkeys(
        ("image_id", "id", "category_id", "num_keypoints", "iscrowd", "track_id", "width", "height"), whole
    )
    kinds |= {"keypoints": arrow.list_(number), "bbox": arrow.list_(number), "area": number}
    kinds |= {"area_source": arrow.string(), "file_name": arrow.string(), "all_people_boxed": arrow.bool_()}
    present = {name for row in rows for name in row}
    other_categories = [
        {"id": category_id} for category_id in truth_file.category_ids if category_id != truth_file.category_id
    ]
    stated = {"visibility": TERNARY if truth_file.has_visibility else LABELLED}
    categories = [
        {"id": truth_file.category_id, "keypoints": list(truth_file.keypoint_names), **stated},
        *other_categories,
    ]
    schema = arrow.schema(
        [(name, kind) for name, kind in kinds.items() if name in present], {_METADATA: orjson.dumps(categories)}
    )
    return rows, schema


def truth_columns(truth_file: TruthFile) -> dict[str, np.ndarray]:
    """Return the fields of annotations in COCO's layout, of all people; those that the file lacks are absent."""
    people = truth_file.truth
    assert people.image_id is not None and people.annotation_id is not None and people.num_keypoints is not None
    box = None if people.box is None else xyxy_to_xywh(people.box)
    keypoints = np.concatenate([people.xy, people.v[..., None]], axis=2).reshape(len(people), -1)
    columns: dict[str, Any] = {"image_id": people.image_id, "id": people.annotation_id}
    columns |= {"category_id": np.full(len(people), truth_file.category_id), "keypoints": keypoints}
    columns |= {"num_keypoints": people.num_keypoints, "area": people.area, "area_source": people.area_source}
    columns |= {"bbox": box, "iscrowd": None if people.iscrowd is None else people.iscrowd.astype(np.int64)}
    columns |= {"track_id": people.track_id}
    return {name: column for name, column in columns.items() if column is not None}
