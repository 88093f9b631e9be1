"""`trustpose recipes`: the list, one recipe whole, one paper's; without torch."""

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from trustpose.cli.recipes import recipes
from trustpose.files import InputError
from trustpose.training.recipe import from_json
from trustpose.training.recipes import RECIPES

app = typer.Typer()
app.command()(recipes)


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.output


def test_the_list_has_every_recipe_with_its_numbers():
    lines = _run().splitlines()
    names = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert set(RECIPES) <= set(names)
    line = next(line for line in lines if line.startswith("oks-net/table-11/strategy-1 "))
    texts = ("hrnet-w32 + oks-net, 256×192", "AP 76.7, AP50 93.6, AP75 84.0", "Table XI: (1)", " yes")
    assert all(text in line for text in texts)
    assert any(line.startswith("oks-net/table-5/w32-384-oks ") and "no: test-dev" in line for line in lines)
    line = next(line for line in lines if line.startswith("hpcvnet/oks-correlation/hrnet-hpcvnet "))
    assert "pose pearson 0.71" in line and "trains as hpcvnet/ap/hrnet-hpcvnet" in line


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
        match=r"--paper: expected one of hpcvnet, metamodel, multi-pose-net, oks-net, single-person, got 'g-rmi'",
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
    assert "HRNet + HPCVNet" in done.stdout
