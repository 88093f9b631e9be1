"""`trustpose shard` from the command line."""

import json
import time

import numpy as np
import pytest
import typer
from scipy.io import savemat
from typer.testing import CliRunner

from tests.datasets.test_lspet import XY
from tests.people_cases import equal_labels, write_coco
from tests.training.forked import start, wait
from trustpose.cli.shard import shard
from trustpose.datasets.photo_people import coco_people
from trustpose.datasets.sharding import parse_size, shard_photos
from trustpose.datasets.shards import INDEX, shard_people
from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth

app = typer.Typer()
app.command()(shard)


def _run(*arguments):
    """Exit code and what was printed; InputError, which the real program turns into exit code 2, is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_coco(tmp_path):
    gt, photos = write_coco(tmp_path)
    code, output = _run("--gt", gt, "--images", photos, "--out", tmp_path / "out", "--shard-size", "0.1MB")
    shards = shard_people(tmp_path / "out")
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert code == 0 and f"8 people of 4 photos in {len(index['shards'])} shards" in output
    for ours, theirs in zip(shards, coco_people(read_coco_truth(gt), photos), strict=True):
        assert equal_labels(ours, theirs)
    sources = index["sources"]
    assert sources["labels"] == {"file": "gt.json", "sha256": read_coco_truth(gt).sha256}
    assert sources["photos"]["count"] == 4 and len(sources["photos"]["sha256"]) == 64
    assert index["options"]["cut"] == {"size": 256, "margin": 1.5}


def test_lspet(tmp_path):
    import cv2

    (tmp_path / "images").mkdir()
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / "images" / f"im{number:05d}.jpg"), np.zeros((220, 110, 3), np.uint8))
    joints = np.concatenate([XY, np.ones((14, 1))], axis=1)
    savemat(tmp_path / "joints.mat", {"joints": np.stack([joints, joints], axis=2)})
    code, _ = _run("--gt", tmp_path / "joints.mat", "--images", tmp_path / "images", "--out", tmp_path / "out")
    shards = shard_people(tmp_path / "out")
    assert code == 0 and len(shards) == 2 and shards.skeleton.name == "lsp14"
    assert not shards[1].has_visibility.any()
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert "people: twisted trunk" in index["sources"]["labels"]["dropped"]


@pytest.mark.parametrize(
    ("text", "size"), [("32MB", 32_000_000), ("1.5 GiB", 1_610_612_736), ("4000", 4000), ("7kb", 7000)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-3MB", "0", "3XB", "nan", "inf", "3 M B"])
def test_sizes_that_are_none(text):
    with pytest.raises(InputError, match="--shard-size"):
        parse_size(text)


def test_invalid_input_is_reported(tmp_path):
    gt, photos = write_coco(tmp_path)
    common = ("--gt", gt, "--images", photos, "--out", tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="exists already"):
        _run(*common[:-1], tmp_path / "there")
    with pytest.raises(InputError, match="margin: expected"):
        _run(*common, "--margin", "0.5")
    with pytest.raises(InputError, match="no such file"):
        _run("--gt", tmp_path / "no.json", *common[2:])
    with pytest.raises(InputError, match="expected the folder with the photos"):
        _run(*common[:2], "--images", tmp_path / "no", *common[4:])
    assert _run(*common, "--quality", "101")[0] == 2
    (photos / "0003.png").write_bytes(b"cut short")
    with pytest.raises(InputError, match=r"0003.png: cannot be decoded"):
        _run(*common)
    (photos / "0003.png").unlink()
    with pytest.raises(InputError, match=r"0003.png: no such file"):
        _run(*common)
    assert not (tmp_path / "out").exists()


def test_killed_and_run_again(tmp_path):
    arguments = (*write_coco(tmp_path, photos=12),)
    shard_photos(*arguments, tmp_path / "whole", shard_size="30KB")
    running = start(lambda: shard_photos(*arguments, tmp_path / "out", shard_size="30KB"), tmp_path / "errors")
    while running.is_alive() and not (tmp_path / ".out.part" / "people-000003.tar.json").exists():
        time.sleep(0.001)
    running.kill()
    wait(running)
    if not (tmp_path / "out").exists():  # on a fast machine it may have come through
        shard_photos(*arguments, tmp_path / "out", shard_size="30KB")
    whole, again = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("whole", "out"))
    assert whole == again and len(whole) > 6
    assert json.loads(again["index.json"])["people"] == 24
