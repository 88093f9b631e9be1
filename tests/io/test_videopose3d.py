"""VideoPose3D's 2D keypoints as numpy writes them, and pickles that would do more than hold arrays."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.io.reading import read
from trustpose.files import InputError
from trustpose.skeletons import COCO_17

XY = np.random.default_rng(0).uniform(0, 500, (5, 17, 2)).astype(np.float32)
POSITIONS: dict[str, Any] = {"clip.mp4": {"custom": [XY]}}
METADATA = {
    "layout_name": "coco",
    "num_joints": 17,
    "keypoints_symmetry": [[1, 3], [2, 4]],
    "video_metadata": {"clip.mp4": {"w": 640, "h": 480, "fps": np.float64(25)}},
}


def archive(path: Path, content: Any, protocol: int = 4) -> Path:
    """An NPZ file whose arrays of objects are pickled by this protocol, as earlier numpys did."""
    with zipfile.ZipFile(path, "w") as file:
        for name, value in content.items():
            array, part = np.array(value, dtype=object), io.BytesIO()
            np.lib.format.write_array_header_1_0(part, np.lib.format.header_data_from_array_1_0(array))
            file.writestr(f"{name}.npy", part.getvalue() + pickle.dumps(array, protocol))
    return path


def test_what_its_script_writes(tmp_path: Path) -> None:
    path = tmp_path / "data_2d_custom_clip.npz"
    np.savez_compressed(path, positions_2d=POSITIONS, metadata=METADATA)  # type: ignore[arg-type]
    tool_poses = read(path)
    np.testing.assert_array_equal(tool_poses.poses.xy, XY.astype(np.float64))
    assert tool_poses.skeleton is COCO_17 and tool_poses.poses.image_id is not None
    assert tool_poses.poses.image_id.tolist() == [0, 1, 2, 3, 4]
    assert tool_poses.poses.score is not None and (tool_poses.poses.score == 1).all()
    assert any("no scores" in note for note in tool_poses.notes)


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("kind", ["<f4", ">f8", "<i4"])
def test_each_protocol_of_pickle(tmp_path: Path, protocol: int, kind: str) -> None:
    array = np.asfortranarray(XY.round().astype(kind))
    path = archive(tmp_path / "a.npz", {"positions_2d": {"s": {"custom": [array]}}, "metadata": METADATA}, protocol)
    np.testing.assert_array_equal(read(path).poses.xy, XY.round())


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "it ran")


HOSTILE: list[tuple[Any, str]] = [
    ({"positions_2d": Runs(Path("ran.txt"))}, "a pickle that does more than hold names and numbers"),
    ({"positions_2d": {"s": {"a": [XY, XY]}}}, r"holds 2 videos \(s/a/0, s/a/1, …\), expected one"),
    ({"positions_2d": {"s": [XY]}}, "expected a dictionary of actions for each subject"),
    ({"positions_2d": {"s": {"a": XY}}}, "expected a list of cameras for each action"),
    ({"positions_2d": {"s": {"a": [3]}}}, "expected arrays of numbers"),
    ({"positions_2d": {"s": {"a": [XY[0]]}}}, r"expected \(frames, joints, 2\) numbers, got \(17, 2\)"),
    ({"positions_2d": {"s": {"a": [np.array(["x"])]}}}, "a pickled array of 'U1', expected numbers"),
    ({"positions_2d": POSITIONS, "metadata": {"num_joints": 10**5000}}, "num_joints: expected 17"),
    ({"positions": POSITIONS}, "has no array 'positions_2d'"),
]


@pytest.mark.parametrize(("content", "message"), HOSTILE)
def test_hostile_files_are_one_line_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "a.npz", content)
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    assert not (tmp_path / "ran.txt").exists()


def test_a_pickle_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    """The shape in the pickle says 2⁴⁰ numbers; memory for them is never allocated."""
    path = archive(tmp_path / "a.npz", {"positions_2d": POSITIONS}, 0)
    content = zipfile.ZipFile(path).read("positions_2d.npy")
    assert b"I17\n" in content
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("positions_2d.npy", content.replace(b"I17\n", b"I1099511627776\n"))
    with pytest.raises(InputError, match="a pickled array whose numbers do not match its shape"):
        read(path)
