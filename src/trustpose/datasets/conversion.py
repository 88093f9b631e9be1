"""Convert other tools' files to COCO results or a ground truth: what `trustpose convert` does in memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.files import read_bytes, write_json
from trustpose.io import position_arrays
from trustpose.io.coco.labels import LABELLED, TERNARY
from trustpose.io.coco.truth import TruthFile
from trustpose.io.companions import write_companions
from trustpose.io.output_files import table_format
from trustpose.io.pose_files import Photos, assemble, read_pose_files
from trustpose.io.recognise import is_labelled
from trustpose.io.tables import row_writer, write_table
from trustpose.io.truth_stream import truth_columns, truth_rows
from trustpose.skeletons import COCO_WHOLEBODY_133, Skeleton, parse_sigmas, sigmas_of, skeleton_of

_LABEL_SUFFIXES = (".xml", ".json", ".csv")
_ARRAY_SUFFIXES = (".h5", ".hdf5", ".mat")


@dataclass(frozen=True)
class Converted:
    """What to print: `lines` say what was written, `notes` what the user should know."""

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()


def is_label_file(sources: Sequence[Path]) -> bool:
    """Return whether there is one source, with the labels of CVAT, Label Studio or VIA."""
    if len(sources) != 1 or sources[0].suffix.lower() not in _LABEL_SUFFIXES or not sources[0].is_file():
        return False
    return is_labelled(read_bytes(sources[0], "labels"), str(sources[0]))


def convert_labels(source: Path, out: Path) -> Converted:
    """Write the labels of CVAT, Label Studio or VIA as a ground truth, JSON or Parquet. Raises InputError."""
    truth = read_ground_truth(source)
    if out.suffix.lower() == ".parquet":
        rows, schema = truth_rows(truth)
        with row_writer(out, schema) as write:
            write(rows)
    else:
        write_json(out, _as_coco(truth))
    people = f"{len(truth.truth):,} people on {len(truth.images):,} photos"
    return Converted((f"{people}, a ground truth for --gt",))


def convert_poses(
    files: Sequence[Path],
    out: Path,
    *,
    format: str = "auto",
    gt: Path | None = None,
    category: str | None = None,
    images: Path | None = None,
    skeleton: str | None = None,
    sigmas: str | None = None,
    class_: int | None = None,
    fill_missing: bool = False,
    watch: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> Converted:
    """Convert the poses in another tool's files to COCO results, with unchanged scores.

    Args:
        files: the tool's files.
        out: the results file, in the format of its suffix.
        format: the tool, see `io.recognise.FORMATS`; "auto": recognised.
        gt: ground truth, for image ids, photo sizes and the order of keypoints or people.
        category: of the ground truth, by name or id, if there are several.
        images: folder of the photos, for their sizes, if coordinates are relative.
        skeleton: of the files, if neither they nor the tool name it: NAME or FILE.json.
        sigmas: to write to skeleton.json: one per keypoint, separated by commas, or one for all.
        class_: the class of people, if the files hold several.
        fill_missing: write 0, 0, 0 for the ground truth's keypoints that the files lack.
        watch: iterates over the files, for a progress bar.

    Raises:
        InputError: naming the file or option at fault.
    """
    joints = None if skeleton is None else skeleton_of(skeleton)
    values = None if sigmas is None else parse_sigmas(sigmas)
    truth = None if gt is None else read_ground_truth(gt, category, _whole_body(gt, joints))
    if format == "auto" and len(files) == 1 and _is_array(files[0]):
        return _convert_array(files[0], truth, out)
    counts = [len(joints)] if joints is not None else [17, *([] if truth is None else [len(truth.keypoint_names)])]
    tool, people = read_pose_files(files, format, keypoint_counts=counts, track=watch)
    assembled = assemble(
        people, Photos(truth, images), tool=tool, skeleton=joints, category=class_, fill_missing=fill_missing
    )
    described = assembled.skeleton
    if values is not None:
        numbers = tuple(sigmas_of(values, len(described)).tolist())
        described = replace(described, _sigmas=numbers, sigmas_source="given to trustpose convert, --sigmas")
    is_described = skeleton is not None or sigmas is not None
    companions = write_companions(out, assembled.counted, described if is_described else None)
    write_table(
        out,
        assembled.poses,
        format=table_format(out),
        score=assembled.score,
        category_id=1 if truth is None else truth.category_id,
        texts=None if truth is None else {"image_id": truth.image_texts.text_of},
    )
    numbers = f"{_count(len(assembled.poses), 'pose')} in {_count(assembled.photo_count, 'photo')}"
    joint_names = f"{len(assembled.skeleton)} keypoints ({assembled.skeleton.name})"
    line = f"{out}: {numbers}, {joint_names}, from {tool}"
    return Converted((line, *companions.lines), (*assembled.notes, *companions.notes))


def _whole_body(gt: Path, skeleton: Skeleton | None) -> Skeleton | None:
    """Return COCO-WholeBody's skeleton if it is the one and a ground truth has all its keypoints, which are not in the
    field that is read otherwise."""
    is_whole = skeleton is not None and skeleton.keypoints == COCO_WHOLEBODY_133.keypoints
    return skeleton if is_whole and b'"foot_kpts"' in read_bytes(gt) else None


def _is_array(path: Path) -> bool:
    """Return whether a file holds an array of positions; other tools' HDF5 and all other files do not."""
    return path.suffix.lower() in _ARRAY_SUFFIXES and position_arrays.fits(read_bytes(path, "predictions"), path)


def _convert_array(path: Path, truth: TruthFile | None, out: Path) -> Converted:
    """Write the poses of an array of positions, in the order of the ground truth's people."""
    poses = position_arrays.read(read_bytes(path, "predictions"), path, truth)
    assert truth is not None and poses.pose_score is not None  # `read` refuses to do without
    write_table(
        out,
        poses,
        format=table_format(out),
        score=poses.pose_score,
        category_id=truth.category_id,
        texts={"image_id": truth.image_texts.text_of, "annotation_id": truth.annotation_texts.text_of},
    )
    line = f"{out}: {_count(len(poses), 'pose')} of the people of {truth.path}, in its order"
    return Converted((line,), ("the file has no scores: `score` and keypoint scores are written as 1",))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _as_coco(truth: TruthFile) -> dict[str, Any]:
    """Return a ground truth in COCO's layout, whose category says what v means."""
    images = truth.images
    columns = {"id": images.id, "file_name": images.file_name, "width": images.width, "height": images.height}
    category = {"id": truth.category_id, "name": "person", "keypoints": list(truth.keypoint_names)}
    return {
        "images": _objects({name: column for name, column in columns.items() if column is not None}),
        "annotations": _objects(truth_columns(truth)),
        "categories": [category | {"visibility": TERNARY if truth.has_visibility else LABELLED}],
    }


def _objects(columns: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
