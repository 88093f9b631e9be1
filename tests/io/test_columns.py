"""Files read block by block give the same numbers and errors as the whole file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.io.json_rows import rows_in_blocks

_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["}", "},", '"},{"', "]", "\\", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)


@given(
    rows=st.lists(st.dictionaries(st.sampled_from("ab"), _values, max_size=2), max_size=8),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,", ":")]),
    indent=st.sampled_from([None, 1]),
    block_bytes=st.integers(1, 60),
)
def test_blocks_are_the_whole_or_refused(rows, separators, indent, block_bytes: int) -> None:
    content = json.dumps(rows, separators=separators, indent=indent).encode()
    try:
        blocks = list(rows_in_blocks(content, "f.json", "row", block_bytes))
    except InputError:  # cut within a row
        assert any(isinstance(value, (dict, list, str)) for row in rows for value in row.values())
    else:
        assert [row for block in blocks for row in block.rows] == rows


def _as_orjson(text: str) -> int | float:
    """Integers of more than 64 bits are read as floats."""
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(number)


@given(
    rows=st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=2), min_size=1, max_size=5),
    at=st.integers(0, 200),
    put=st.sampled_from([b"", b",", b"}", b"{", b"]", b"[", b'"', b" ", b"},", b"0"]),
    removed=st.integers(0, 2),
    block_bytes=st.integers(1, 40),
)
def test_invalid_json_is_invalid_in_blocks(rows, at: int, put: bytes, removed: int, block_bytes: int) -> None:
    content = json.dumps(rows).encode()
    at %= len(content)
    content = content[:at] + put + content[at + removed :]
    try:
        whole = json.loads(content, parse_int=_as_orjson)
    except ValueError:
        with pytest.raises(InputError):
            list(rows_in_blocks(content, "f.json", "row", block_bytes))
        return
    if type(whole) is list and all(type(row) is dict for row in whole):
        try:
            read = [row for block in rows_in_blocks(content, "f.json", "row", block_bytes) for row in block.rows]
        except InputError:  # cut within a row
            assert any("}," in key for row in whole for key in row)
        else:
            assert read == whole
    else:
        with pytest.raises(InputError):
            list(rows_in_blocks(content, "f.json", "row", block_bytes))


def _many(count: int = 4000) -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    xys = random.uniform(-1e3, 1e3, (count, 51))
    xys[::7, ::5] = random.integers(-3, 3, xys[::7, ::5].shape)
    return [
        {"image_id": i // 3, "category_id": 1, "keypoints": xys[i].tolist(), "score": float(random.random())}
        for i in range(count)
    ]


def _written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps(rows))
    assert path.stat().st_size > 2 * 2**19, "one block alone proves nothing"
    return path


def test_a_file_of_several_blocks_is_read_exactly(tmp_path: Path) -> None:
    rows = _many()
    results_file = read_results(_written(tmp_path, rows))
    keypoints = np.array([row["keypoints"] for row in rows]).reshape(-1, 17, 3)
    np.testing.assert_array_equal(results_file.poses.xy, keypoints[:, :, :2])
    np.testing.assert_array_equal(results_file.poses.score, keypoints[:, :, 2])
    np.testing.assert_array_equal(results_file.score, [row["score"] for row in rows])
    np.testing.assert_array_equal(results_file.poses.image_id, [row["image_id"] for row in rows])


def test_fields_of_some_blocks_alone_are_missing_in_the_others(tmp_path: Path) -> None:
    rows = _many()
    rows[3999]["track_id"], rows[3999]["pose_quality"], rows[3998]["pose_score"] = 7, 0.5, 0.25
    results_file = read_results(_written(tmp_path, rows))
    assert results_file.poses.track_id is not None and results_file.poses.pose_quality is not None
    np.testing.assert_array_equal(results_file.poses.pose_score, [np.nan] * 3998 + [0.25, np.nan])
    np.testing.assert_array_equal(results_file.score, [row["score"] for row in rows])
    assert results_file.poses.track_id.tolist() == [-1] * 3999 + [7]
    assert np.isnan(results_file.poses.pose_quality[:-1]).all() and results_file.poses.pose_quality[-1] == 0.5


@pytest.mark.parametrize(
    ("field", "wrong", "message"),
    [
        (
            "keypoints",
            [0.5] * 50 + [True],
            "field 'keypoints': expected 51 finite numbers (x, y, score of",
        ),
        ("keypoints", [0.5] * 50 + [False], "17 keypoints), got false"),
        ("keypoints", [0.5] * 50 + ["1"], "17 keypoints), got the text '1'"),
        ("keypoints", [0.5] * 50 + [[]], "17 keypoints), got a list of 0"),
        ("keypoints", [0.5] * 50, "17 keypoints), got a list of 50"),
        ("score", True, "result 3500: field 'score': expected a finite number, got true"),
        ("image_id", 1.5, "result 3500: field 'image_id': expected a whole number, got 1.5"),
        ("extra", [{"a": 1}, {"b": 2}], None),
        ("extra", "}, {", None),
    ],
)
def test_faults_are_named_by_their_row_in_the_file(tmp_path: Path, field: str, wrong, message: str | None) -> None:
    rows = _many()
    rows[3500][field] = wrong
    path = _written(tmp_path, rows)
    if message is None:
        assert len(read_results(path).poses) == 4000
        return
    with pytest.raises(InputError) as error:
        read_results(path)
    assert message in str(error.value) and "result 3500" in str(error.value) and str(path) in str(error.value)


def test_where_json_ends_is_counted_in_the_file(tmp_path: Path) -> None:
    path = _written(tmp_path, _many())
    content = path.read_bytes()
    index = content.rfind(b"},")
    path.write_bytes(content[: index + 2] + b"]")
    with pytest.raises(InputError, match=f"is not valid JSON .*column {index + 2} "):
        read_results(path)
