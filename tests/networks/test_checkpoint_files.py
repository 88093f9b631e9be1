"""Checkpoint files: the tensors of training loops' files are found; other files give one line of ours."""

import pickle
import zipfile
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from trustpose.files import InputError
from trustpose.networks.checkpoint_files import read_tensors

TENSORS = {"module.score.0.weight": torch.arange(3.0), "module.score.0.bias": torch.ones(1)}
OFFICIAL = {
    "state dict": TENSORS,
    "pytorch-pose": {"epoch": 3, "arch": "hg", "state_dict": TENSORS, "best_acc": np.float64(0.9), "optimizer": {}},
    "HRNet": {"epoch": 3, "model": "pose_hrnet", "state_dict": TENSORS, "best_state_dict": TENSORS, "perf": 0.7},
    "MSPN": {"model": OrderedDict(TENSORS), "optimizer": {"state": {0: {"step": torch.ones(1)}}}, "iteration": 9},
    "net": {"net": TENSORS},
    "two levels": {"model": {"state_dict": TENSORS, "epoch": 3}},
}


@pytest.mark.parametrize("content", OFFICIAL.values(), ids=OFFICIAL)
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "before torch 1.6"])
def test_reading_what_training_loops_write(content, as_zip, tmp_path):
    torch.save(content, tmp_path / "checkpoint.pth.tar", _use_new_zipfile_serialization=as_zip)
    assert {name: tensor.tolist() for name, tensor in read_tensors(tmp_path / "checkpoint.pth.tar").items()} == {
        "score.0.weight": [0, 1, 2],
        "score.0.bias": [1],
    }


def _as_numpy_1(path: Path) -> None:
    """Give NumPy's functions the names that NumPy 1 pickled them by."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            assert not name.endswith("data.pkl") or b"numpy._core.multiarray" in content
            archive.writestr(name, content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


@pytest.mark.parametrize("numpy", [1, 2])
def test_reading_mmpose_1_with_its_arrays_beside_the_tensors(numpy, tmp_path):
    meta = {"dataset_meta": {"sigmas": np.arange(17, dtype=np.float32), "id": np.int64(3), "name": np.str_("coco")}}
    torch.save({"meta": meta, "state_dict": {"head.final_layer.bias": torch.ones(2)}}, tmp_path / "epoch.pth")
    if numpy == 1:
        _as_numpy_1(tmp_path / "epoch.pth")
    assert list(read_tensors(tmp_path / "epoch.pth")) == ["head.final_layer.bias"]


def test_reading_safetensors(tmp_path):
    save_file({"head.bias": torch.ones(2)}, tmp_path / "model.safetensors")
    assert read_tensors(tmp_path / "model.safetensors")["head.bias"].tolist() == [1, 1]


class _Runs:
    def __reduce__(self):
        return (print, ("this must never run",))


class _Own:
    """An object that only its own code can unpickle."""


def _saved(content: object, as_zip: bool = True) -> bytes:
    buffer = BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=as_zip)
    return buffer.getvalue()


def _zipped(name: str, content: bytes, compression: int) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


_CYCLE: dict[str, object] = {"epoch": 1}
_CYCLE["model"] = _CYCLE
NO_CHECKPOINTS = {
    "code": (_saved({"state_dict": {}, "hook": _Runs()}), "holds more than tensors and plain values.*print"),
    "an object": (_saved({"state_dict": TENSORS, "loader": _Own()}), "holds more than tensors.*_Own"),
    "a pickle": (pickle.dumps(_Runs()), "is not a readable checkpoint"),
    "a newer pickle": (pickle.dumps({"a": 1}, protocol=5), "is not a readable checkpoint"),
    "nothing": (b"", "is not a readable checkpoint"),
    "noise": (b"\x00\x01 not a checkpoint", "is not a readable checkpoint"),
    "a web page": (b"<!DOCTYPE html><html>sign in</html>", "is not a readable checkpoint"),
    "an array": (b"\x93NUMPY\x01\x00v\x00{}", "is not a readable checkpoint"),
    "safetensors by another name": (save({"a.b": torch.ones(1)}), "is not a readable checkpoint"),
    "TorchScript": (
        _zipped("constants.pkl", b"", zipfile.ZIP_STORED),
        "is a TorchScript archive, expected a state dict",
    ),
    "a zip bomb": (_zipped("data.pkl", bytes(10**7), zipfile.ZIP_DEFLATED), "a compressed zip file"),
    "a list": (_saved([1, 2]), "expected tensors by name, .*; got a list"),
    "a number": (_saved(3), "got a int"),
    "other keys": (_saved({"weights": TENSORS, "epoch": 1}), "got the keys weights, epoch"),
    "a cycle": (_saved(_CYCLE), "got the keys epoch, model"),
    "no tensors": (_saved({}), "expected tensors by name"),
    "a value among tensors": (_saved(TENSORS | {"epoch": 3}), r"got the keys module\.score\.0\.weight, .*, epoch"),
    "twice": (_saved({"a": torch.ones(1), "module.a": torch.ones(1)}), "there twice"),
    "NaN": (_saved({"a": torch.ones(2), "b.c": torch.tensor([1, np.nan])}), r"tensor b\.c: holds NaN or infinity"),
    "infinity": (_saved({"b.c": torch.tensor([np.inf]).half()}), r"tensor b\.c: holds NaN or infinity"),
    "complex": (_saved({"b.c": torch.ones(2, dtype=torch.complex64)}), r"tensor b\.c: expected plain numbers"),
    "sparse": (_saved({"b.c": torch.eye(2).to_sparse()}), r"tensor b\.c: expected plain numbers, got .*sparse"),
    "no numbers": (_saved({"b.c": torch.ones(2, device="meta")}), r"tensor b\.c: expected plain numbers, got .*meta"),
    "huge": (_saved({"b.c": torch.ones(1).expand(10**6, 10**6)}), "has 1000000000000 numbers, more than the file"),
}


@pytest.mark.parametrize(("content", "message"), NO_CHECKPOINTS.values(), ids=NO_CHECKPOINTS)
def test_files_that_are_no_checkpoints(content, message, tmp_path, capsys):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_tensors(tmp_path / "bad.pth")
    _is_ours(str(error.value))
    assert "never run" not in capsys.readouterr().out


def _is_ours(message: str) -> None:
    assert "bad." in message and "\n" not in message and len(message) < 400
    assert not any(word in message for word in ("weights_only", "safe_globals", "WeightsUnpickler", "Traceback"))


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "before torch 1.6"])
def test_files_cut_short_and_files_with_other_bytes(as_zip, tmp_path):
    whole, random = _saved(OFFICIAL["pytorch-pose"], as_zip), np.random.default_rng(0)
    cut = [whole[: len(whole) * part // 40] for part in range(40)]
    spoilt = [bytearray(whole) for _ in range(200)]
    for one in spoilt:
        for integer in random.integers(0, min(len(whole), 700), random.integers(1, 6)):
            one[integer] = random.integers(256)
    refused = 0
    for content in [*cut, *spoilt]:
        (tmp_path / "bad.pth").write_bytes(content)
        try:
            read_tensors(tmp_path / "bad.pth")
        except InputError as error:
            _is_ours(str(error))
            refused += 1
    assert refused >= len(cut)


def test_a_broken_safetensors_file(tmp_path):
    for content in (b"\x10\x00", b"", b"\xff" * 100, save({"a.b": torch.ones(9)})[:-4]):
        (tmp_path / "bad.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="not a readable safetensors file") as error:
            read_tensors(tmp_path / "bad.safetensors")
        _is_ours(str(error.value))


def test_inputs_that_are_no_files(tmp_path):
    with pytest.raises(InputError, match="is a directory, expected a checkpoint"):
        read_tensors(tmp_path)
    with pytest.raises(InputError, match=r"none\.pth: no such file"):
        read_tensors(tmp_path / "none.pth")
    with pytest.raises(InputError, match="/dev/zero: is not a regular file"):
        read_tensors("/dev/zero")
