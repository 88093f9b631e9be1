"""`trustpose train ROW` without the row's data set: one line that says where it is published, and exit code 2."""

import pytest

from tests.cli.cases import run
from tests.people_cases import write_coco
from trustpose.datasets.label_files import SOURCES
from trustpose.training.people import open_training
from trustpose.training.recipe import DataOptions
from trustpose.training.recipes import RECIPES
from trustpose.training.recipes.needs import needs_of

RUNNABLE = [name for name, recipe in RECIPES.items() if not recipe.not_runnable]
REFUSED = [name for name, recipe in RECIPES.items() if recipe.not_runnable]


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """A data set in COCO's layout."""
    folder = tmp_path_factory.mktemp("data")
    truth, photos = write_coco(folder, photos=4)
    truth.rename(folder / "train_gt.json")
    photos.rename(folder / "train")
    return folder


def refusal(capsys, *arguments) -> str:
    assert run("train", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("name", RUNNABLE)
def test_without_data_the_data_set_and_its_address_are_named(name, capsys):
    needs = needs_of(RECIPES[name])
    message = refusal(capsys, name)
    assert message == f"trustpose: error: {name}: --data: expected the folder of {needs.data}, see {needs.published}\n"
    assert SOURCES.get(needs.data) == needs.published or "benchmarks/dense_pose.py --make" in needs.published


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_cannot_be_run_say_why_before_anything_else(name, capsys):
    message = refusal(capsys, name)
    assert RECIPES[name].not_runnable in message
    if RECIPES[name].evaluation.split.startswith("test-dev"):
        assert "https://cocodataset.org/#keypoints-eval" in message


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("oks-net/table-4/w32-256-oks", "COCO is published at https://cocodataset.org/#download"),
        ("metamodel/table-2/dripe", "DriPE is published at https://projet.liris.cnrs.fr/dripe/"),
        ("single-person/mpii/cpm", "MPII is published at http://human-pose.mpi-inf.mpg.de/"),
        ("single-person/flic/tompson-4", "FLIC is published at https://bensapp.github.io/flic-dataset.html"),
        ("lspet/cpm-1", "LSPET is published at https://sam.johnson.io/research/lspet.html"),
        ("dense-pose", "DensePose-COCO is published at http://densepose.org/"),
        ("pose-residual", "COCO is published at https://cocodataset.org/#download"),
        ("multi-pose-net/two-heads", "COCO is published at https://cocodataset.org/#download"),
        ("mask-rcnn", "COCO is published at https://cocodataset.org/#download"),
    ],
)
def test_an_empty_folder_and_one_that_is_not_there(name, published, tmp_path, capsys):
    for folder, problem in ((tmp_path, "holds no"), (tmp_path / "no", "no such directory")):
        message = refusal(capsys, name, "--data", folder, "--out", tmp_path / "out")
        assert f"{folder}: {problem}" in message and message.endswith(f"; {published}\n")


def test_rows_of_mpii_are_not_trained_on_people_without_their_joints(coco, tmp_path, capsys):
    message = refusal(capsys, "single-person/mpii/cpm", "--data", coco, "--out", tmp_path / "out")
    assert f"{coco}: nobody has a labelled pelvis, as in the recipe's data set; MPII is published at" in message
    assert len(open_training([coco], DataOptions(dataset="mine", skeleton="mpii16", folds=0)).training) == 8


def test_without_a_folder_to_write(coco, capsys):
    message = refusal(capsys, "lspet/cpm-1", "--data", coco)
    assert message == "trustpose: error: lspet/cpm-1: --out: expected the model folder to write\n"
