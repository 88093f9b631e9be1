"""What a run at scale reads: photos, Parquet, tars and videos give the same poses; ids, names and faults of each."""

import io
import tarfile

import cv2
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from tests.scale.cases import BROKEN, WHOLE, digest, model_in, rows, run_here, write_photos
from tests.tiny_onnx import photo_of_people
from trustpose.files import InputError
from trustpose.predict.load import load
from trustpose.scale.reading import blocks
from trustpose.scale.storage import StoragePath, find_files
from trustpose.scale.units import FILE_IDS, find_inputs


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Seven photos, number 3 broken, in a folder, a Parquet file of bytes, one of paths, and a tar; and their poses."""
    folder = tmp_path_factory.mktemp("inputs")
    write_photos(folder / "photos", 7)
    names = sorted((folder / "photos").iterdir(), key=lambda file: file.stem[-4:])
    ids = list(range(1, 8))
    contents = [file.read_bytes() for file in names]
    table = arrow.table({"bytes": contents, "file_name": [file.name for file in names], "image_id": ids})
    parquet.write_table(table, folder / "bytes.parquet", row_group_size=4)
    paths = [f"photos/{file.name}" for file in names]
    parquet.write_table(arrow.table({"path": paths}), folder / "paths.parquet", row_group_size=4)
    with tarfile.open(folder / "shard-000.tar", "w") as tar:
        for file, content in zip(names, contents, strict=True):
            for name, data in ((file.name, content), (f"{file.stem}.json", b"{}")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return folder, model_in(folder), names


def without_names(some):
    return [{name: value for name, value in row.items() if name != "file_name"} for row in some]


def test_the_same_photos_from_everywhere(case, tmp_path):
    folder, model, _ = case
    found = {}
    for name in ("photos", "bytes.parquet", "paths.parquet", "shard-{000..000}.tar"):
        inputs = find_inputs([str(folder / name)], block=3)
        assert inputs.total == (None if name.endswith(".tar") else 7)
        total = run_here(inputs, model, tmp_path / name[:5])
        assert (total.photos, total.people) == (7, 6)
        (unread,) = total.unread
        assert unread.image_id == 3 and BROKEN in unread.file
        assert unread.reason == "cannot be decoded as an image (broken or truncated)"
        found[name] = digest(without_names(rows(tmp_path / name[:5])))
    assert len(set(found.values())) == 1, found


def test_a_name_is_a_function_of_what_is_read(case):
    folder, _, _ = case

    def names(*given, block=3):
        inputs = find_inputs([str(one) for one in given], block)
        return [block.name for unit in inputs.units for block in blocks(unit)], inputs.fingerprint

    first = names(folder / "photos")
    assert first == names(folder / "photos") and len(set(first[0])) == 3
    others = names(folder / "photos", block=4), names(folder / "photos" / "photo_*"), names(folder / "paths.parquet")
    assert len({fingerprint for _, fingerprint in (first, *others)}) == 4
    assert not set(first[0]) & {name for some, _ in others for name in some}


def test_ids_are_numbers_in_names_or_counted(case, tmp_path):
    folder, _, names = case
    (unit,) = find_inputs([str(folder / "photos")], 100).units
    assert sorted(unit.ids) == list(range(1, 8))
    path = tmp_path / "z_0001.png"
    path.write_bytes(names[0].read_bytes())
    inputs = find_inputs([str(folder / "photos"), str(path)], 100)
    assert [photo for unit in inputs.units for photo in unit.ids] == list(range(1, 9)) and inputs.is_numbered_here
    two = find_inputs([str(folder / "shard-000.tar"), str(folder / "shard-00?.tar")], 100).units
    assert [unit.first for unit in two] == [1]  # once, however it is named
    path = tmp_path / "b.tar"
    path.write_bytes((folder / "shard-000.tar").read_bytes())
    assert [unit.first for unit in find_inputs([str(folder / "*.tar"), str(path)], 9).units] == [1, FILE_IDS + 1]


def test_a_tar_that_is_cut_off_gives_what_can_be_read(case, tmp_path):
    folder, model, _ = case
    content = (folder / "shard-000.tar").read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(content[: len(content) // 2])
    total = run_here(find_inputs([str(cut)], 3), model, tmp_path / "out")
    assert 1 <= total.people < 6
    assert "cannot be read after" in total.unread[-1].reason and total.unread[-1].file == str(cut)


def test_a_photo_that_is_gone_is_an_error_and_not_the_end(case, tmp_path):
    folder, model, _ = case
    parquet.write_table(arrow.table({"path": ["photos/photo_0001.png", "none.png", None]}), folder / "gone.parquet")
    total = run_here(find_inputs([str(folder / "gone.parquet")], 9), model, tmp_path / "out")
    assert (total.photos, total.people) == (3, 1)
    assert [photo.reason for photo in total.unread] == ["no such file", "the file is empty (0 bytes)"]


def write_video(path, count=9):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (96, 96))
    for number in range(count):
        photo, _, _ = photo_of_people(1, seed=number)
        writer.write(cv2.resize(photo, (96, 96))[..., ::-1])
    writer.release()


@pytest.mark.parametrize("block", [4, 100])
def test_clips_of_a_video_are_the_frames_of_one_process(case, tmp_path, block):
    _, model, _ = case
    write_video(tmp_path / "clip.avi")
    total = run_here(find_inputs([str(tmp_path / "clip.avi")], block), model, tmp_path / "out")
    assert (total.blocks, total.photos, total.people) == (-(-9 // block), 9, 9)
    load(model, WHOLE).run(str(tmp_path / "clip.avi"), tmp_path / "alone", format="parquet")
    expected = parquet.read_table(tmp_path / "alone" / "results.parquet").to_pylist()
    for row, one in zip(rows(tmp_path / "out"), expected, strict=True):
        assert row["image_id"] == one["image_id"] and row["file_name"] == str(tmp_path / "clip.avi")
        np.testing.assert_allclose(row["keypoints"], one["keypoints"], rtol=1e-6)


def test_a_video_that_is_none_is_an_error(case, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"none")
    total = run_here(find_inputs([str(tmp_path / "clip.mp4")], 4), case[1], tmp_path / "out")
    assert [photo.reason for photo in total.unread] == ["cannot be read as a video"] and total.photos == 1


def test_patterns_and_folders_of_folders(tmp_path):
    for name in ("a/one.tar", "a/b/two.tar", "a/.hidden.tar", "three.tar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(name, **options):
        return [
            StoragePath.of(tmp_path).local / file.path for file in find_files(str(name), suffixes=(".tar",), **options)
        ]

    tar_path, two, three = tmp_path / "a" / "one.tar", tmp_path / "a" / "b" / "two.tar", tmp_path / "three.tar"
    assert found(tmp_path / "a") == [tar_path] and found(tmp_path / "a", recursive=True) == [two, tar_path]
    assert found(tmp_path / "*" / "*.tar") == [tar_path] and found(tmp_path / "**" / "t*.tar") == [two, three]
    assert [file.path for file in find_files("file://" + str(tmp_path / "a" / "o*.tar"), suffixes=(".tar",))] == [
        str(tar_path)
    ]
    for name, match in (("x*", "no file fits"), ("none", "no such file"), ("{1..}.tar", "expected two numbers")):
        with pytest.raises(InputError, match=match):
            found(tmp_path / name)


def test_refused(case, tmp_path):
    folder, _, _ = case
    for given, match in (
        ([folder / "photos", folder / "bytes.parquet"], "photos and parquet in one run"),
        ([folder / "bytes.parquet", folder / "paths.parquet"], "some of these files have a column 'image_id'"),
    ):
        with pytest.raises(InputError, match=match):
            find_inputs([str(one) for one in given], 4)
    with pytest.raises(InputError, match="has no column 'x'"):
        find_inputs([str(folder / "paths.parquet")], 4, column="x")
    parquet.write_table(arrow.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="expected a column with photos' bytes"):
        find_inputs([str(tmp_path)], 4)
    with pytest.raises(InputError, match="is not a readable Parquet file"):
        (tmp_path / "a.parquet").write_bytes(b"none")
        find_inputs([str(tmp_path)], 4)
    with pytest.raises(InputError, match="holds nothing but this run's own results"):
        find_inputs([str(folder / "photos")], 4, out=StoragePath.of(folder))
