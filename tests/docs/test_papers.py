"""The list of docs/papers.md is whole, and each of its commands is read by the command line, without being run."""

import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from trustpose.cli import _commands
from trustpose.cli.command import CommandOptions, _as_field
from trustpose.cli.train import split
from trustpose.files import InputError
from trustpose.networks.zoo import NETWORKS
from trustpose.options import options_of
from trustpose.training.recipe import with_overrides
from trustpose.training.recipes import RECIPES, check_runnable, find_recipe
from trustpose.training.recipes.documents import document_of
from trustpose.training.recipes.oks_net import TABLES

PAGE = REPOSITORY / "docs" / "papers.md"
TEXT = PAGE.read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", TEXT)
COMMANDS = [code for code in CODE if code.startswith(("trustpose ", "python ")) and "…" not in code]
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ")]


def section(title: str) -> list[str]:
    """The rows of the tables under a heading."""
    _, _, rest = TEXT.partition(f"\n## {title}\n")
    assert rest, f"no heading {title!r}"
    return [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")]


def parse(words: list[str]) -> None:
    """Read a command line as the program does, up to the point where the command would begin. Raises what it raises."""
    context = _commands().make_context("trustpose", list(words))
    command: Any = context.command
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, list(words), parent=context)
    options: CommandOptions = command.callback.__dict__["command"]
    for record in options.records:
        described = options_of(record)
        values = {name: _as_field(*described[name], context.params[name]) for name in described}
        built = record(**values)
        for name, (_, option) in described.items():
            names = option.names
            if name in ("codec", "skeleton") and values[name] is not None:
                assert values[name] in (names() if callable(names) else names)
        assert {field.name for field in fields(built)} >= set(described)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("trustpose ")])
def test_the_command_is_read_by_the_program(line: str) -> None:
    _, *words = shlex.split(line)
    parse(words)
    if words[0] == "train":
        rest = [word for word in words[1:] if not word.startswith(("--data=", "--model="))]
        name, changes = split(_without_files(rest))
        recipe = with_overrides(find_recipe(name), changes)
        check_runnable(recipe)
        needs_model = recipe.strategy.starts_from == "trained"
        assert needs_model == ("--model" in words), f"{name} starts from {recipe.strategy.starts_from}"
    if words[0] == "import":
        assert words[words.index("--network") + 1] in NETWORKS


def _without_files(words: list[str]) -> list[str]:
    """Words of `train` without the options of the command itself and their values."""
    kept = list(words)
    for option in ("--data", "--model", "--out", "--head"):
        while option in kept:
            del kept[kept.index(option) : kept.index(option) + 2]
    return kept


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("python ")])
def test_the_benchmark_is_there_with_its_options(line: str) -> None:
    _, script, *words = shlex.split(line)
    source = (REPOSITORY / script).read_text(encoding="utf-8")
    source += (REPOSITORY / "benchmarks" / "harness.py").read_text(encoding="utf-8")
    for word in words:
        assert not word.startswith("-") or f'"{word}"' in source, f"{script} has no option {word}"


def test_faulty_commands_are_not_read() -> None:
    for line in ("audit --gt a.json --resluts b.json", "cameras calibrate a.mp4", "suppress --results r.json"):
        with pytest.raises(Exception, match=r"(?i)resluts|missing"):
            parse(shlex.split(line))
    with pytest.raises(InputError, match="expected one of"):
        parse(shlex.split("predict photos --association deepcutt"))
    with pytest.raises(InputError, match="unknown recipe"):
        find_recipe("oks-net/table-1/w32-256-okss")


@pytest.mark.parametrize(
    ("title", "paper", "tables", "figures"),
    [
        ("OKS-Net", "oks-net", [f"Table {number}" for number in TABLES], range(1, 17)),
        ("The visibility metamodel", "metamodel", [f"Table {number}" for number in range(1, 9)], range(1, 8)),
        (
            "The HPCVNet poster",
            "hpcvnet",
            ["AP", "OKS correlation", "average OPKS correlation", "labelled or not"],
            (),
        ),
    ],
)
def test_every_table_and_figure_of_a_paper_has_a_row(title: str, paper: str, tables: list[str], figures: Any) -> None:
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in section(title)]
    sources = [source for recipe in RECIPES.values() for source in recipe.sources if source.paper == paper]
    counted = {table: sum(source.table == table for source in sources) for table in tables}
    assert {row[0]: int(row[2]) for row in rows if row[0] in tables} == counted
    assert sum(counted.values()) == len(sources)
    listed = [int(number) for row in rows for number in re.findall(r"\d+", row[0]) if row[0][0].isdigit()]
    assert sorted(listed) == list(figures)


BOARDS = {  # as the lecture prints them
    "mpii": """Cascade Feature Aggregation 93.9; Spatial Context 92.5; HRNet-32 92.3; Multi-Scale Structure-Aware
        Network 92.1; Pyramid Residual Modules (PRMs) 92.0; Multi-Context Attention 91.5; DU-Net 91.2; Stacked hourglass
        + Inception-resnet 91.2; Integral Regression 91.0; Stacked Hourglass Networks 90.9; CU-Net 89.4; Convolutional
        Pose Machines 88.52""",
    "coco": """MSPN 76.1; HRNet-48 75.5; CPN+ 73.0; PifPaf 66.7; PersonLab 66.5; Mask R-CNN 63.1; HG-jd 63.0; Pose-AE
        62.8; HRNet-32 75.8; ResNet-50 72.2; Pose Residual Network 69.6""",
}


@pytest.mark.parametrize("board", BOARDS)
def test_every_row_of_the_leaderboards_is_there_in_its_order(board: str) -> None:
    entries = [" ".join(entry.split()).rpartition(" ") for entry in BOARDS[board].split(";")]
    for rank, (name, _, printed) in enumerate(entries, 1):
        (row,) = [row for row in section("The lecture") if row.startswith(f"| {rank} {name}")]
        assert printed in row.split("|")[2], row


def test_every_recipe_of_the_lecture_is_named() -> None:
    named = set(re.findall(r"[\w./-]+", " ".join(section("The lecture"))))
    small = {name for name in RECIPES if name.startswith("lspet/")}
    lecture = {name for name, recipe in RECIPES.items() if document_of(recipe) == "lecture"}
    assert not lecture - small - named
    assert len(small & named) > 18  # the others are variants, which docs/benchmarks/single-person.md lists


def test_the_topics_of_the_lecture_are_there_in_their_order() -> None:
    topics = """DeepPose|FLIC|PCP|Tompson|SpatialDropout|crop module|Convolutional pose machines|receptive field|
        Figure 8|leaderboard of MPII|Stacked hourglass|CPN|integral|Human3.6M|OpenPose|hands|calibration toolbox|
        DeepCut|AlphaPose|SSTN|proposals|pose NMS|CrowdPose|joint-candidate|person-joint graph|leaderboard of COCO|
        Simple Baselines|OKS|HRNet beside|DensePose: surfaces"""
    text = TEXT.partition("\n## The lecture\n")[2]
    positions = []
    for topic in topics.replace("\n", "").split("|"):
        start = positions[-1] if positions else 0
        positions.append(text.index(topic.strip(), start))
    assert positions == sorted(positions)


def test_rows_are_honest_about_what_is_refused() -> None:
    """A row says "refused" exactly where it names a recipe that `train` refuses, and gives no command to train it."""
    for row in ROWS:
        words = set(re.findall(r"[\w./-]+", row))
        refused = {name for name in words & set(RECIPES) if RECIPES[name].not_runnable}
        if refused or "refused" in row:
            assert "refused" in row, row
            assert refused or "test-dev" in row, row
        for line in re.findall(r"`trustpose train (\S+)", row):
            assert not RECIPES[line].not_runnable, row


def test_what_is_not_built_is_not_here() -> None:
    """A row that says "not built" does so while there is no recipe or module of that name."""
    absent = {"PersonLab": "grouping/personlab.py", "part detectors": "networks/deepcut.py"}
    for system, module in absent.items():
        rows = [row for row in section("The lecture") if system in row and "not built" in row]
        is_there = (REPOSITORY / "src" / "trustpose" / module).exists()
        assert bool(rows) != is_there, f"{system}: {module} is {'here' if is_there else 'missing'}"


@pytest.mark.parametrize("page", ["papers.md", "recipes.md", "networks.md", "benchmarks/single-person.md"])
def test_links_lead_to_files_and_headings(page: str) -> None:
    path = REPOSITORY / "docs" / page
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            assert anchor in _anchors(linked), target


def _anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as the site makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    plain = [re.sub(r"[^\w\s-]", "", re.sub(r"[`*]|\[([^\]]+)\]\([^)]*\)", r"\1", title)).strip() for title in titles]
    return {re.sub(r"[-\s]+", "-", title.lower()) for title in plain}
