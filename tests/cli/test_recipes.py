"""`trustpose recipes`: the list, one recipe whole, one paper's; without torch."""

import json
import re
import subprocess
import sys
from itertools import groupby

import pytest
import typer
from typer.testing import CliRunner

from trustpose.cli.recipes import recipes
from trustpose.files import InputError
from trustpose.training.recipe import from_json
from trustpose.training.recipes import RECIPES
from trustpose.training.recipes.documents import DOCUMENTS
from trustpose.training.recipes.oks_net import TABLES

app = typer.Typer()
app.command()(recipes)


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.output


def _line(lines: list[str], recipe: str) -> list[str]:
    """The cells of a recipe's line."""
    (line,) = [line for line in lines if line.startswith(f"{recipe} ")]
    return re.split(" {2,}", line.strip())


def test_the_list_has_every_recipe_on_a_line_with_its_number_and_what_it_needs():
    lines = _run().splitlines()
    names = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert set(RECIPES) <= set(names) and max(map(len, lines)) <= 120
    assert _line(lines, "oks-net/table-11/strategy-1")[1:] == [
        "AP 76.7, …", "COCO", "250 epochs", "hrnet-w32 + oks-net, 256×192"
    ]  # fmt: skip
    assert "cannot be run: test-dev's labels are not public" in _line(lines, "oks-net/table-5/w32-384-heatmap")
    assert _line(lines, "hpcvnet/oks-correlation/hrnet-hpcvnet")[1:] == [
        "pose pearson 0.71", "COCO", "as ap/hrnet-hpcvnet"
    ]  # fmt: skip
    assert _line(lines, "single-person/mpii/hrnet")[1:5] == ["PCKh 92.3", "MPII", "imagenet", "140 epochs"]
    assert _line(lines, "lspet/cpm-3-trust")[1:4] == ["LSPET", "--model", "4 epochs, 2 to 6 min"]
    assert _line(lines, "pose-residual")[1] == "COCO labels"
    assert "MPII: http://human-pose.mpi-inf.mpg.de/" in lines


def test_documents_have_each_recipe_once_in_the_order_of_their_sections():
    by_document = {paper: json.loads(_run("--paper", paper, "--json")) for paper in DOCUMENTS}
    rows = [row for rows in by_document.values() for row in rows]
    assert sorted(row["recipe"] for row in rows) == sorted(RECIPES)
    for paper, rows in by_document.items():
        assert {row["document"] for row in rows} == {paper}
        sections = [row["section"] for row in rows]
        assert [section for section, _ in groupby(sections)] == list(dict.fromkeys(sections)), paper
    assert list(dict.fromkeys(row["section"] for row in by_document["lecture"])) == list(DOCUMENTS["lecture"].sections)
    tables = [row["section"] for row in by_document["oks-net"]]
    assert list(dict.fromkeys(tables)) == [f"Table {number}" for number in TABLES]
    assert {row["recipe"] for row in by_document["ours"]} == {
        "frozen-trust", "default-trust", "simplepose-trust", "default-network", "light-network", "light-detector",
        "default-detector", "movenet-detector", "default-network-gpu", "bottom-up-trust",
    }  # fmt: skip


def test_every_recipe_of_a_document_says_where_its_data_is_published():
    for row in json.loads(_run("--json")):
        assert row["needs"]["published"], row["recipe"]


def test_a_document_is_no_recipe():
    with pytest.raises(InputError, match=r"lecture: is no recipe, `trustpose recipes --paper lecture` lists its rows"):
        _run("lecture")


def test_one_recipe_whole():
    shown = _run("metamodel/table-1/s3")
    assert from_json(json.loads(shown)) == RECIPES["metamodel/table-1/s3"]
    with pytest.raises(InputError, match="unknown recipe"):
        _run("metamodel/table-1/s4")


def test_one_paper_as_json():
    rows = json.loads(_run("--paper", "metamodel", "--json"))
    assert len(rows) == 27 and all(row["recipe"].startswith("metamodel/") for row in rows)
    row = next(row for row in rows if row["recipe"] == "metamodel/table-7/sbl")
    assert row["training"] == "metamodel/table-1/s3" and row["not_runnable"] == ""
    assert row["printed"] == [
        {"parameters": 71.2, **{f"visibility.ternary.{name}.f1": value for name, value in
                                (("absent", 0.77), ("occluded", 0.37), ("visible", 0.80), ("total", 0.76))}}
    ]  # fmt: skip
    with pytest.raises(
        InputError,
        match=r"--paper: expected one of hpcvnet, lecture, metamodel, oks-net, ours, got 'g-rmi'",
    ):
        _run("--paper", "g-rmi")


def test_no_torch_is_needed():
    script = (
        "import sys; from trustpose.cli import main\n"
        "try: main(['recipes', '--paper', 'hpcvnet'])\n"
        "except SystemExit as done: assert done.code == 0, done.code\n"
        "assert 'torch' not in sys.modules, 'imported torch'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "hrnet-w32 + hpcvnet" in done.stdout
