"""Convert other tools' files to COCO results or a ground truth: what `trustpose convert` does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.files import BOM, InputError, parse_json, read_bytes, write_json
from trustpose.io import position_arrays
from trustpose.io.coco.labels import LABELLED, TERNARY
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.io.companions import write_companions
from trustpose.io.output_files import table_format
from trustpose.io.pose_files import MissingKeypoints, Photos, assemble, find_files, read_pose_files
from trustpose.io.recognise import is_labelled
from trustpose.io.row_stream import open_rows, write_in_order
from trustpose.io.tables import is_results_table, row_writer, write_table
from trustpose.io.truth_stream import truth_columns, truth_rows
from trustpose.options import flag
from trustpose.skeletons import COCO_WHOLEBODY_133, Skeleton, parse_sigmas, sigmas_of, skeleton_of

_LABEL_SUFFIXES = (".xml", ".json", ".csv")
_RESULT_FIELDS = {"image_id", "category_id", "keypoints", "score"}
_TRUTH_ROWS = 50_000  # of a row group
_ARRAY_SUFFIXES = (".h5", ".hdf5", ".mat")


@dataclass(frozen=True)
class Converted:
    """What to print: `lines` say what was written, `notes` what the user should know."""

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()


def convert_poses(
    sources: Sequence[Path],
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
    progress: Callable[..., Any] = lambda *_, **__: None,
) -> Converted:
    """Convert the poses in another tool's files to COCO results, with unchanged scores.

    COCO results, in any layout, keep their rows, unless another option is set; a COCO ground truth becomes Parquet, and
    the labels of CVAT, Label Studio or VIA a ground truth.

    Args:
        sources: The files, or folders with a file for each photo; or one Parquet file or folder of its parts.
        out: The file to write, in the format of its suffix; from Parquet, without a suffix, a new folder of parts.
        format: The tool, see `io.recognise.FORMATS`; "auto": recognised.
        gt: Ground truth, for image ids, photo sizes and the order of keypoints or people.
        category: Of the ground truth, by name or id, if there are several.
        images: Folder of the photos, for their sizes, if coordinates are relative.
        skeleton: Of the files, if neither they nor the tool name it: NAME or FILE.json.
        sigmas: To write to skeleton.json: one per keypoint, separated by commas, or one for all.
        class_: The class of people, if the files hold several.
        fill_missing: Write 0, 0, 0 for the ground truth's keypoints that the files lack.
        progress: Called with a number of rows or files that are done, and with a new `total`.

    Returns:
        What to print.

    Raises:
        InputError: Naming the file or option at fault.
    """
    source = Path(sources[0])
    options: dict[str, Any] = {"gt": gt, "category": category, "images": images, "skeleton": skeleton}
    options |= {"sigmas": sigmas, "class_": class_, "fill_missing": fill_missing or None}
    changed = [flag(name) for name, value in options.items() if value is not None]
    if any(map(is_results_table, sources)):
        if len(sources) > 1:
            raise InputError(
                f"{sources[1]}: expected one table of results or one folder of its parts, got {len(sources)} sources"
            )
        if changed:
            raise InputError(
                f"{changed[0]}: applies to other tools' files; {source} is a table of results, whose rows are kept as "
                "they are"
            )
        return _convert_rows(source, out, progress)
    content = _content(sources)
    if out.suffix.lower() in (".parquet", "") and _is_ground_truth(content):
        for_poses = [name for name in changed if name not in ("--category", "--skeleton")]
        if for_poses:
            raise InputError(
                f"{for_poses[0]}: applies to poses; {source} is a ground truth, whose people are kept as they are"
            )
        joints = None if skeleton is None else skeleton_of(skeleton)
        return _convert_truth(read_coco_truth(source, category, joints), out, as_rows=True)
    if content is not None and is_labelled(content, str(source)):
        if changed:
            raise InputError(
                f"{changed[0]}: applies to poses; {source} holds labels, whose people are kept as they are"
            )
        return _convert_truth(read_ground_truth(source), out, as_rows=out.suffix.lower() == ".parquet")
    if format in ("auto", "coco") and not changed and content is not None and _is_results(content, source):
        return _convert_rows(source, out, progress)
    return _convert_tool(find_files(sources), out, format=format, progress=progress, **options)


def converted_files(sources: Sequence[Path]) -> list[Path]:
    """Return the files that `convert_poses` reads, without the parts of a folder.

    Args:
        sources: As for `convert_poses`.

    Returns:
        Their paths.

    Raises:
        InputError: A source is missing, empty, or of a kind that is never read.
    """
    if any(map(is_results_table, sources)):
        return [path for path in sources if not path.is_dir()]
    return find_files(sources)


def _content(sources: Sequence[Path]) -> bytes | None:
    """Return the content of a single file that may hold labels or results; None otherwise."""
    if len(sources) != 1 or sources[0].suffix.lower() not in _LABEL_SUFFIXES or not sources[0].is_file():
        return None
    return read_bytes(sources[0], "poses")


def _is_ground_truth(content: bytes | None) -> bool:
    """Return whether content is a COCO ground truth in JSON."""
    if content is None or content.removeprefix(BOM).lstrip()[:1] != b"{":
        return False
    return all(name in content for name in (b'"images"', b'"annotations"', b'"categories"'))


def _is_results(content: bytes, path: Path) -> bool:
    """Return whether content is COCO results in JSON whose photos have numbers in every row."""
    if content.removeprefix(BOM).lstrip()[:1] != b"[" or b'"foot_kpts"' in content:
        return False  # not a list, or COCO-WholeBody's five fields, which become 133 keypoints
    try:
        rows = parse_json(content, path)
    except InputError:
        return False  # whose reader says what is wrong
    return bool(rows) and all(
        type(row) is dict and row.keys() >= _RESULT_FIELDS and type(row["image_id"]) is int for row in rows
    )


def _convert_rows(source: Path, out: Path, progress: Callable[..., Any]) -> Converted:
    """Write the rows of COCO results, checked but unchanged. Raises InputError."""
    stream = open_rows(source, whole_photos=False)
    missing, notes, keypoint_count = MissingKeypoints(), dict[str, None](), 0
    progress(0, total=stream.count)
    with write_in_order(out, stream.schema, stream) as write:
        for batch in stream.batches():
            poses = batch.results.poses
            notes |= dict.fromkeys(batch.results.notes)
            missing.add(poses)
            keypoint_count = poses.keypoint_count
            write(batch.rows.rows, batch.position)
            progress(len(poses))
    line = f"{out}: {_count(stream.count, 'pose')}, {keypoint_count} keypoints, from coco"
    return Converted((line,), (*notes, *missing.notes("coco")))


def _convert_truth(truth: TruthFile, out: Path, *, as_rows: bool) -> Converted:
    """Write a ground truth as COCO's JSON, or as a table. Raises InputError."""
    if not as_rows:
        write_json(out, _as_coco(truth))
    else:
        rows, schema = truth_rows(truth)
        with row_writer(out, schema) as write:
            for start in range(0, len(rows), _TRUTH_ROWS):
                write(rows[start : start + _TRUTH_ROWS])
    people = f"{len(truth.truth):,} people on {len(truth.images):,} photos"
    return Converted((f"{out}: {people}, a ground truth for --gt",))


def _counted(files: Sequence[Path], progress: Callable[..., Any]) -> Iterator[Path]:
    """Yield files, and call `progress` for each that was read."""
    progress(0, total=len(files))
    for file in files:
        yield file
        progress(1)


def _convert_tool(
    files: Sequence[Path],
    out: Path,
    *,
    format: str,
    gt: Path | None,
    category: str | None,
    images: Path | None,
    skeleton: str | None,
    sigmas: str | None,
    class_: int | None,
    fill_missing: bool | None,
    progress: Callable[..., Any],
) -> Converted:
    """Write the poses of a tool's files. Raises InputError."""
    joints = None if skeleton is None else skeleton_of(skeleton)
    values = None if sigmas is None else parse_sigmas(sigmas)
    truth = None if gt is None else read_ground_truth(gt, category, _whole_body(gt, joints))
    if format == "auto" and len(files) == 1 and _is_array(files[0]):
        return _convert_array(files[0], truth, out)
    counts = [len(joints)] if joints is not None else [17, *([] if truth is None else [len(truth.keypoint_names)])]
    tool, people = read_pose_files(files, format, keypoint_counts=counts, track=lambda paths: _counted(paths, progress))
    assembled = assemble(
        people, Photos(truth, images), tool=tool, skeleton=joints, category=class_, fill_missing=bool(fill_missing)
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
