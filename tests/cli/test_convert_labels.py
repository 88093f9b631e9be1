"""`trustpose convert` of labels from annotation tools."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.cases import run
from tests.io.test_label_tools import V, cvat_images, via_csv
from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.io.truth_stream import open_truth


def test_labels_become_a_ground_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "annotations.xml"
    source.write_text(cvat_images())
    expected = read_ground_truth(source)
    assert run("convert", source, "--out", tmp_path / "gt.json") == 0
    assert "3 people on 2 photos, a ground truth for --gt" in capsys.readouterr().out
    truth_file = read_ground_truth(tmp_path / "gt.json")
    np.testing.assert_array_equal(truth_file.truth.xy, expected.truth.xy)
    np.testing.assert_array_equal(truth_file.truth.v, V)
    assert truth_file.has_visibility and truth_file.skeleton is expected.skeleton
    np.testing.assert_array_equal(truth_file.images.file_name, expected.images.file_name)
    assert run("convert", source, "--out", tmp_path / "gt.parquet") == 0
    batches = [batch.truth for batch in open_truth(tmp_path / "gt.parquet", None, None).batches()]
    np.testing.assert_array_equal(np.concatenate([batch.v for batch in batches]), V)  # photos ascend: 7, 7, 12


def test_labels_keep_their_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "via.csv"
    source.write_bytes(via_csv().encode())
    assert run("convert", source, "--out", tmp_path / "gt.json", "--fill-missing") == 2
    assert "--fill-missing: applies to poses; " in capsys.readouterr().err and not (tmp_path / "gt.json").exists()
    assert run("convert", source, "--out", source) == 2
    assert "via.csv" in capsys.readouterr().err and source.read_bytes() == via_csv().encode()
