"""Read COCO keypoint ground truth files, of one category or of several."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.files import InputError, read_bytes, sha256_of, shown
from trustpose.geometry.boxes import xywh_to_xyxy
from trustpose.images import Images
from trustpose.io.coco.labels import (
    ASSUMED,
    LABELLED,
    TERNARY,
    Labels,
    check_boxes,
    check_centres,
    is_ternary,
    read_labels,
    without_occlusion,
)
from trustpose.io.columns import (
    LARGEST,
    NO_TEXTS,
    IdTexts,
    Rows,
    garbage_collection_paused,
    ids_among,
    own_ids,
    parse_finite_json,
)
from trustpose.io.json_rows import rows_of_fields
from trustpose.names import expected_one_of
from trustpose.notebook import html_record
from trustpose.poses import AREAS, MISSING_ID, SEGMENT, Area, Truth, describe_counts
from trustpose.skeletons import Skeleton, sigmas_of, skeleton_of

ALL = "all"
_NOUNS = {"images": "image", "annotations": "annotation", "categories": "category"}  # of one row, in messages


@dataclass(frozen=True, eq=False)
class Categories:
    """Names by id of the categories that were read, in the order of the file, and the category id of each of M people.

    A name that occurs twice has its id appended.
    """

    names: dict[int, str]
    of_row: Int[np.ndarray, " M"]


@dataclass(frozen=True)
class Chosen:
    """The categories to read, among all ids (C,) of the file; `is_all` if "all" was requested."""

    rows: tuple[dict[str, Any], ...]
    ids: Int[np.ndarray, " C"]
    is_all: bool

    @property
    def category_id(self) -> int:
        """The category's id; -1 for several."""
        return MISSING_ID if self.is_all else self.rows[0]["id"]

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Their common keypoint names; empty if they have none."""
        return tuple(self.rows[0].get("keypoints", ()))

    @property
    def visibility(self) -> str | None:
        """What their v means (`coco.visibility`), None if the file does not say or they differ."""
        stated = {str(row.get("visibility")) for row in self.rows}
        return stated.pop() if len(stated) == 1 and stated <= {TERNARY, LABELLED} else None

    def of(self, category_id: Int[np.ndarray, " N"]) -> np.ndarray:
        """Return which of N rows have these categories."""
        return np.isin(category_id, [row["id"] for row in self.rows])

    def apart(self, category_id: Int[np.ndarray, " M"]) -> Categories | None:
        """Return the categories of M people; None for a single requested category."""
        if not self.is_all:
            return None
        plain = [str(row.get("name", row["id"])) for row in self.rows]
        names = {
            row["id"]: name if plain.count(name) == 1 else f"{name} ({row['id']})"
            for row, name in zip(self.rows, plain, strict=True)
        }
        return Categories(names, category_id)


def choose_categories(rows: Rows, category: str | int | None, used: Int[np.ndarray, " N"] | None = None) -> Chosen:
    """Select the category of that name or id; without, the only one with keypoints, or of several the only one that
    annotations have, whose categories are `used`; "all": all with keypoints. Raises InputError."""
    ids = rows.integers("id", numerals=True)
    if ids is None or not len(ids):
        raise InputError(f"{rows.path}: field 'categories': expected at least one category, got an empty list")
    rows.unique("id", ids)
    rows = Rows(
        rows.path,
        rows.noun,
        [row | {"id": category_id} for row, category_id in zip(rows.rows, ids.tolist(), strict=True)],
    )
    for index, row in enumerate(rows.rows):
        names = row.get("keypoints", [])
        if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
            raise rows.fail(index, "keypoints", "a list of names", names)
        twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if twice is not None:
            raise InputError(f"{rows.path}: category {index}: field 'keypoints': {twice[:40]!r} occurs twice")
    with_keypoints = [row for row in rows.rows if row.get("keypoints")] or rows.rows
    matches = [row for row in rows.rows if category in (row["id"], row.get("name"), str(row["id"]))]
    if category == ALL and not matches:
        _check_same_keypoints(rows, with_keypoints)
        return Chosen(tuple(with_keypoints), ids, is_all=True)
    if category is None:
        with_people = [] if used is None else [row for row in with_keypoints if (used == row["id"]).any()]
        matches = with_people if len(with_people) == 1 else with_keypoints
    if len(matches) != 1:
        named = ", ".join(str(row.get("name", row["id"])) for row in rows.rows[:5])
        named += ", …" if len(rows) > 5 else ""
        problem = f"no category {category!r}" if not matches else "several categories"
        problem += f" are {category!r}" if matches and category is not None else ""
        raise InputError(
            f"{rows.path}: field 'categories': {problem} ({named}), expected one, chosen by its name or id, or {ALL}"
        )
    return Chosen((matches[0],), ids, is_all=False)


def _check_same_keypoints(rows: Rows, chosen: list[dict[str, Any]]) -> None:
    first = chosen[0]
    different = next((row for row in chosen if row.get("keypoints") != first.get("keypoints")), None)
    if different is not None:
        names = " and ".join(repr(str(row.get("name", row["id"]))) for row in (first, different))
        raise InputError(f"{rows.path}: field 'categories': {names} have different keypoints, {ALL} expects the same")


def other_layout(value: Any) -> str | None:
    """Return the known layout of a JSON value, or None, for a better message than "expected an object"."""
    if isinstance(value, list):
        return _of_list(value)
    if not isinstance(value, dict):
        return None
    if "bodies" in value:
        return "3D poses of CMU Panoptic"
    if "cameras" in value and "calibDataSource" in value:
        return "a camera calibration of CMU Panoptic"
    if "shapes" in value and "imagePath" in value:
        return "LabelMe's annotations of one photo"
    first = next((item for item in value.values() if isinstance(item, dict)), None)
    if first is not None and ("campos" in first or ({"R", "T"} <= set(first)) or ({"R", "K"} <= set(first))):
        return "a camera calibration"
    return None


def _of_list(value: list[Any]) -> str | None:
    first = value[0] if value and isinstance(value[0], dict) else {}
    fields = set(first)
    if {"joints", "joints_vis", "center", "scale"} <= fields:
        return "MPII's annotations as mmpose and HRNet write them (joints, joints_vis; measured by PCKh, not OKS)"
    if {"keypoint_annotations", "human_annotations"} <= fields:
        return "AI Challenger's own annotations (mmpose's aic_val.json has COCO's layout)"
    if {"image_id", "score", "keypoints"} <= fields:
        return "COCO results, which --results expects"
    if {"image_id", "score", "bbox"} <= fields:
        return "COCO detections, boxes without keypoints (predict --boxes reads them)"
    return None


@dataclass(frozen=True, repr=False)
class TruthFile:
    """A COCO ground truth file: its people of one category, its photos, and its identity.

    With several categories `categories` holds the category of each person, and `category_id` is -1. `notes` are
    sentences on assumptions; `left_out` counts the photos and people that `together.common_photos` removed.
    `image_texts` and `annotation_texts` map the file's text ids to numbers. `metrics` are the data set's own beside OKS
    (`evaluation.localisation`), `first_pixel` the coordinate of a photo's first pixel in the file: `truth` has it at 0.
    `has_visibility`: whether v is COCO's; if not, labelled joints are all 2.
    """

    truth: Truth
    images: Images
    skeleton: Skeleton | None
    keypoint_names: tuple[str, ...]
    category_id: int
    category_ids: tuple[int, ...]
    path: str
    sha256: str
    notes: tuple[str, ...] = ()
    categories: Categories | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    image_texts: IdTexts = NO_TEXTS
    annotation_texts: IdTexts = NO_TEXTS
    metrics: tuple[str, ...] = ()
    first_pixel: int = 0
    has_visibility: bool = True

    def __repr__(self) -> str:
        """One line: the file, and how many people and photos."""
        named = "no skeleton" if self.skeleton is None else self.skeleton.name
        people = f"{len(self.truth):,} people on {len(self.images):,} photos"
        return f"TruthFile({self.path}: {people}, {len(self.keypoint_names)} keypoints ({named}))"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, what is filled, and notes on assumptions."""
        fields = [("truth", repr(self.truth)), ("images", repr(self.images)), *(("note", note) for note in self.notes)]
        return html_record(repr(self), fields)

    def sigmas(self, values: Float[np.ndarray, " L"] | None = None) -> Float[np.ndarray, " K"]:
        """Return sigmas (K,) for OKS: those given, one per keypoint or one for all, else the skeleton's published ones.

        Raises InputError if there are none, or if those given do not match.
        """
        count = self.truth.keypoint_count
        if values is not None:
            return sigmas_of(values, count)
        if self.skeleton is None or not self.skeleton.has_sigmas:
            named = f"the skeleton {self.skeleton.name}" if self.skeleton else f"from {self.keypoint_names[0]!r} on"
            raise InputError(
                f"{self.path}: field 'categories': no published sigmas for these {count} keypoints ({named}); "
                "give them with --sigmas, or name the keypoints with --skeleton"
            )
        return self.skeleton.sigmas

    def area_convention(self, convention: str) -> Area:
        """Return the area for OKS: `convention`, unless the file's `area_source` names other sources than segments.

        For these "segment" and "auto" become "file": the file's areas, which pycocotools uses too. Otherwise "auto" is
        "segment" if annotations have an area, and "box*0.53" if they have none, as in xtcocotools. Raises InputError if
        the file lacks the data, or for "segment" if no area is from a segment.
        """
        return area_convention(self.path, convention, self.area_sources(), has_boxes=self.truth.box is not None)

    @property
    def all_people_boxed(self) -> Bool[np.ndarray, " I"]:
        """Which photos (I,) have a box around every person, so that a result that matches none is wrong.

        As `images` says; a file that says nothing has all of them if it holds crowd regions or people with a box alone
        (as COCO's own files do), and none otherwise.
        """
        if self.images.all_people_boxed is not None:
            return self.images.all_people_boxed
        truth = self.truth
        assert truth.iscrowd is not None and truth.num_keypoints is not None
        is_complete = truth.box is not None and bool((truth.iscrowd | (truth.num_keypoints == 0)).any())
        return np.full(len(self.images), is_complete)

    def area_sources(self) -> dict[str, int]:
        """Count areas by their source; empty if people have none."""
        if self.truth.area is None:
            return {}
        source = np.full(len(self.truth), SEGMENT) if self.truth.area_source is None else self.truth.area_source
        return dict(Counter(source.tolist())) or {SEGMENT: 0}


def area_convention(path: str, convention: str, sources: Mapping[str, int], *, has_boxes: bool) -> Area:
    """Return the area for OKS of people whose areas have these sources (none: without areas), see
    `TruthFile.area_convention`. Raises InputError."""
    if convention not in ("auto", *AREAS):
        raise InputError(f"area: {expected_one_of(('auto', *AREAS), convention)}")
    if not has_boxes:
        raise InputError(f"{path}: field 'bbox' is missing in every annotation")
    if convention in ("segment", "file") and not sources:
        raise InputError(f"{path}: field 'area' is missing in every annotation; --area box*0.53 does not need it")
    if convention == "segment" and SEGMENT not in sources:
        raise InputError(
            f"{path}: field 'area': none is from a segment, area_source is {describe_counts(sources)}; "
            "--area file uses them unchanged"
        )
    if convention in ("auto", "segment") and sources:
        return "segment" if set(sources) == {SEGMENT} else "file"
    if convention == "auto":
        return "box*0.53"
    return cast(Area, convention)


@garbage_collection_paused()
def read_coco_truth(
    path: str | Path, category: str | int | None = None, skeleton: Skeleton | str | Path | None = None
) -> TruthFile:
    """Read a COCO keypoint ground truth file.

    All annotations of the category are rows, including people with only a box (xy and v are 0). `category`, a name or
    id, is needed only if several have keypoints; "all" reads each of them, if all have the same keypoints. `skeleton`,
    a Skeleton, name or file, names the annotations' keypoints if the category names them otherwise or not at all.
    `area` and `box` are None if no annotation has them. Raises InputError.
    """
    content = read_bytes(path)
    digest = sha256_of(content)
    lists = rows_of_fields(content, str(path), _NOUNS) or _lists(content, path)
    categories, annotations = lists["categories"], lists["annotations"]
    images, image_texts = images_of_rows(lists["images"])
    chosen = choose_categories(categories, category, annotations.integers("category_id", numerals=True))
    ids, annotation_texts = own_ids(annotations, "id")
    image_id = ids_among(annotations, "image_id", images.id, image_texts, "field 'images'")
    skeleton_override = None if skeleton is None else skeleton_of(skeleton, "skeleton")
    truth, labels, of_row = read_annotations(annotations, ids, image_id, images, chosen, skeleton_override)
    has_visibility, notes = is_ternary(truth.v, chosen.visibility), () if labels.note is None else (labels.note,)
    return TruthFile(
        truth=truth if has_visibility else without_occlusion(truth),
        images=images,
        skeleton=labels.skeleton,
        keypoint_names=labels.names,
        category_id=chosen.category_id,
        category_ids=tuple(chosen.ids.tolist()),
        path=shown(path),
        sha256=digest(),
        notes=notes if has_visibility or chosen.visibility else (*notes, ASSUMED),
        categories=chosen.apart(of_row),
        image_texts=image_texts,
        annotation_texts=annotation_texts,
        has_visibility=has_visibility,
    )


def read_images(path: str | Path) -> tuple[Images, IdTexts]:
    """Read the photos or frames that a file lists, and the texts of their ids: a COCO ground truth's `images`, or that
    list alone, as in `images.json`. Raises InputError."""
    value = parse_finite_json(read_bytes(path), path)
    if isinstance(value, dict):
        if "images" not in value:
            raise InputError(f"{path}: field 'images' is missing, expected a list of images, or a COCO ground truth")
        value = value["images"]
    return images_of_rows(Rows.of(value, str(path), "image"))


def _lists(content: bytes, path: str | Path) -> dict[str, Rows]:
    """Return the lists of a COCO ground truth. Raises InputError if it is none, naming its layout if known."""
    value, expected = parse_finite_json(content, path), tuple(_NOUNS)
    lacking = [field for field in expected if field not in value] if isinstance(value, dict) else []
    if isinstance(value, dict) and not lacking:
        return {field: Rows.of(value[field], str(path), noun) for field, noun in _NOUNS.items()}
    layout = other_layout(value)
    if layout is not None:
        raise InputError(f"{path}: holds {layout}; expected a COCO ground truth ({', '.join(expected)})")
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object with images, annotations and categories")
    raise InputError(f"{path}: field '{lacking[0]}' is missing, expected a COCO ground truth file")


def images_of_rows(rows: Rows) -> tuple[Images, IdTexts]:
    """Return the images of a file's rows, and the texts of their ids. Raises InputError."""
    if not len(rows):
        raise InputError(f"{rows.path}: field 'images': expected at least one image, got an empty list")
    ids, texts = own_ids(rows, "id")
    names = rows.values("file_name")
    if rows.kinds("file_name", names) - {str, type(None)}:
        index = next(index for index, name in enumerate(names) if name is not None and type(name) is not str)
        raise rows.fail(index, "file_name", "a text", names[index])
    sizes = [rows.integers(side, optional=True) for side in ("width", "height")]
    images = Images(
        ids,
        names if any(name is not None for name in names) else None,
        *(None if side is None else np.maximum(side, 0) for side in sizes),
        crowd_index=rows.numbers("crowdIndex", optional=True),
        camera=_texts(rows, "camera"),
        time=_times(rows),
        clip=_texts(rows, "clip", "vid_id"),  # PoseTrack's name for it
        all_people_boxed=_all_people_boxed(rows),
    )
    return images, texts


def _texts(rows: Rows, *fields: str) -> list[str | None] | None:
    """Return the first of these fields that an image has as a text; other types, which other data sets use, are
    ignored. None if no image has one."""
    if not rows.fields.intersection(fields):
        return None
    columns = [rows.values(field) for field in fields]
    texts = [next((value for value in values if isinstance(value, str)), None) for values in zip(*columns, strict=True)]
    return texts if any(text is not None for text in texts) else None


def _all_people_boxed(rows: Rows) -> np.ndarray | None:
    """Return which images (I,) say that all their people have a box; None if no image says anything."""
    if "all_people_boxed" not in rows.fields:
        return None
    values = rows.values("all_people_boxed")
    for index, value in enumerate(values):
        if value not in (None, False, True):
            raise rows.fail(index, "all_people_boxed", "true or false", value)
    return np.array([value is True or value == 1 for value in values])


def _times(rows: Rows) -> np.ndarray | None:
    """Return seconds (I,), NaN if an image's `time` is not a number; None if no image has one."""
    if "time" not in rows.fields:
        return None
    times = rows.values("time")
    seconds = np.array(
        [time if type(time) in (int, float) and abs(time) <= LARGEST else np.nan for time in times], float
    )
    return None if np.isnan(seconds).all() else seconds


def read_annotations(
    rows: Rows, ids: np.ndarray, image_id: np.ndarray, images: Images, chosen: Chosen, skeleton: Skeleton | None
) -> tuple[Truth, Labels, np.ndarray]:
    """Return the people of the chosen categories, their keypoints, and the category id of each. `ids` and `image_id`
    (N,) cover all rows."""
    category_id = rows.integers("category_id", numerals=True)
    assert category_id is not None
    rows.known("category_id", category_id, chosen.ids, "field 'categories'")
    keep = chosen.of(category_id)
    if not keep.all():
        rows = rows.chosen(keep)
        ids, image_id, category_id = ids[keep], image_id[keep], category_id[keep]
    labels = read_labels(rows, chosen.keypoints, skeleton)
    area = rows.numbers("area", optional=True)
    box = rows.lists("bbox", 4, optional=True, description=" (x, y, width, height)")
    if area is not None and not (area >= 0).all():
        row = int(np.argmin(area >= 0))
        raise rows.fail(row, "area", "a number of at least 0", None if np.isnan(area[row]) else area[row])
    if box is not None:
        if np.isnan(box).any():
            raise rows.fail(int(np.argmax(np.isnan(box).any(axis=1))), "bbox", "4 finite numbers (x, y, width, height)")
        check_boxes(rows, box, images.sizes(image_id))
    truth = Truth(
        xy=labels.keypoints[:, :, :2],
        v=labels.keypoints[:, :, 2].astype(np.int64),
        area=area,
        area_source=rows.texts("area_source", SEGMENT),  # which is not named
        box=None if box is None else xywh_to_xyxy(box),
        iscrowd=_crowds(rows),
        image_id=image_id,
        annotation_id=ids,
        num_keypoints=labels.num_keypoints,
        track_id=_track_ids(rows),
        skeleton=labels.skeleton or (Skeleton("the ground truth", labels.names, ()) if chosen.keypoints else None),
    )
    check_centres(rows, truth)
    return truth, labels, category_id


def _track_ids(rows: Rows) -> np.ndarray | None:
    """Return track ids (N,), -1 for rows without; None if no row has one, or one is no number, as other data sets
    have them."""
    if not rows.has("track_id"):
        return None
    track_ids = rows.values("track_id")
    if any(type(track_id) is not int or not 0 <= track_id < 2**63 for track_id in track_ids if track_id is not None):
        return None
    return rows.integers("track_id", optional=True)


def _crowds(rows: Rows) -> np.ndarray | None:
    """Return which rows (N,) are crowds; `iscrowd` may be a boolean (PoseTrack). None if no row has it."""
    if bool in rows.kinds("iscrowd"):
        values = rows.values("iscrowd")
        plain = [{"iscrowd": int(value) if isinstance(value, bool) else value} for value in values]
        rows = Rows(rows.path, rows.noun, plain)
    iscrowd = rows.integers("iscrowd", optional=True)
    return None if iscrowd is None else iscrowd > 0
