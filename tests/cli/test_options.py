"""Each option is named in one place: a field of a record, from which the command line, the settings of a run and the
docs derive."""

import inspect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.cli.test_help import commands
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.options import FitOptions
from trustpose.cli import main
from trustpose.cli.command import PanelCommand, add_command, command
from trustpose.datasets.conversion import convert_poses
from trustpose.datasets.sharding import shard_photos
from trustpose.evaluation.options import AuditOptions
from trustpose.export.checkpoint_import import import_file
from trustpose.multiview.lens_calibration import calibrate_lens
from trustpose.multiview.people import triangulate
from trustpose.options import Option, argument, flag, option, options_of, settings_in
from trustpose.predict.options import PredictOptions, RunOptions
from trustpose.predict.suppressed_results import suppress_results
from trustpose.tracking import smooth, track
from trustpose.training.train import train

OF_EACH_COMMAND = {
    *("out", "results", "sources", "images", "gt", "json", "report", "model", "name", "board", "square", "charuco"),
    *("skeleton", "second", "category", "sigmas", "resume", "precision", "max_pixels", "video", "format", "method"),
    *("area", "calibrator", "distance", "draws", "estimator", "more_results", "score", "size", "style", "draw"),
    *("offset", "people", "unit", "fps", "height"),
}
"""Names that every command explains in its own words: what is read and written, or what it is of."""


def leaves() -> Iterator[tuple[str, Any]]:
    """Every command that is not a group."""
    yield from ((name, built) for name, built in commands() if not hasattr(built, "commands"))


@pytest.mark.parametrize("built", [built for _, built in leaves()], ids=lambda built: built.name)
def test_every_parameter_is_a_field_of_a_record(built: Any) -> None:
    assert isinstance(built, PanelCommand)
    records = built.callback.__wrapped__.command.records  # typer wraps the function
    described = {option: text for record in records for option, (_, text) in options_of(record).items()}
    assert set(described) == {parameter.name for parameter in built.params if parameter.name != "help"}
    for parameter in built.params:
        if parameter.name != "help":
            assert parameter.help == described[parameter.name].description
            assert described[parameter.name].is_argument or parameter.opts == [flag(parameter.name)]


def test_no_option_is_explained_twice() -> None:
    helps: dict[str, set[str]] = defaultdict(set)
    for _, built in leaves():
        for record in built.callback.__wrapped__.command.records:
            for option_name, (_, text) in options_of(record).items():
                helps[option_name].add(text.help)
    assert {name for name, texts in helps.items() if len(texts) > 1} == OF_EACH_COMMAND


def test_the_first_panel_of_predict_has_the_ten_that_matter() -> None:
    built = dict(commands())["trustpose predict"]
    panels = defaultdict(list)
    for parameter in built.params:
        if parameter.param_type_name == "option":
            panels[parameter.rich_help_panel].append(flag(parameter.name))
    assert set(panels["Options"]) == {
        *("--model", "--out", "--gt", "--flip", "--fast", "--calibrator", "--track", "--draw", "--resume"),
        "--overwrite",
    }
    assert {"People", "Trust", "Tracking", "Drawing", "Speed", "Scale"} <= set(panels)


def test_settings_are_the_options_that_results_depend_on() -> None:
    names = {name for record in (PredictOptions(), RunOptions()) for name, _ in settings_in(record)}
    assert {"flip", "min_box_score", "codec", "device", "frames", "track", "all_people"} <= names
    assert not names & {"batch_size", "threads", "resume", "overwrite", "format", "recursive"}


@dataclass(frozen=True)
class Sides:
    """Options of a made-up command."""

    names: str = argument(help="What it is of.")
    length: float = option(help="How long it is.", minimum=0)
    side: str = option("left", names=("left", "right"), help="Which side it is on. Both is impossible.")
    many: "tuple[int, ...] | str | None" = option(None, help="Read as text.")
    paths: "Any | Path | None" = option(None, help="A path.")
    is_fast: bool = option(False, panel="Speed", help="Faster.")
    draw: bool = option(True, panel="Drawing", help="Drawn.")


def call(*words: str) -> tuple[Any, str]:
    seen: list[Sides] = []

    @command("made-up --length 2 a", ignore_unknown_options=False)
    def made_up(sides: Sides) -> None:
        """Do something."""
        seen.append(sides)

    app = typer.Typer(rich_markup_mode=None)
    add_command(app, "made-up", made_up)
    result = CliRunner().invoke(app, list(words))
    return (seen[0] if seen else result.exception), result.output


def test_a_command_gets_records() -> None:
    expected = Sides(names="a", length=2.0, side="right", paths=Path("p"), is_fast=True, draw=False)
    words = ("a", "--length", "2", "--side", "right", "--paths", "p", "--is-fast", "--no-draw")
    assert call(*words)[0] == expected
    assert call("a", "--length", "2")[0] == Sides(names="a", length=2.0)


def test_a_value_that_is_not_among_the_names_is_refused() -> None:
    error, _ = call("a", "--length", "2", "--side", "rihgt")
    assert str(error) == "--side: expected one of left, right, got 'rihgt' (did you mean 'right'?)"


def test_help_has_panels_and_values() -> None:
    _, text = call("--help")
    assert "Which side it is on: left or right. Both is impossible." in " ".join(text.split())
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Arguments:", "Options:", "Drawing:", "Speed:"]


def test_an_option_of_two_records_is_refused() -> None:
    @dataclass(frozen=True)
    class More:
        side: str = option("left", help="The same name.")

    with pytest.raises(TypeError, match="side: is an option of two records"):

        @command()
        def _(sides: Sides, more: More) -> None:
            pass


def test_an_unknown_panel_is_refused() -> None:
    with pytest.raises(ValueError, match="panel: expected one of Options"):
        Option("help", "Colours")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "--modle", "x"], "No such option: --modle (did you mean '--model'?)"),
        (["pridict"], "No such command 'pridict'. Did you mean 'predict'?"),
        (["suppress", "--results", "a", "--out", "b", "--area", "corp"], "(did you mean 'crop'?)"),
    ],
)
def test_near_misses(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and message in capsys.readouterr().err


OWN_DEFAULT = {"distance", "second", "start_score"}  # of Python, for what the command line has no value for
FUNCTIONS = {
    "suppress": suppress_results,
    "smooth": smooth,
    "triangulate": triangulate,
    "shard": shard_photos,
    "train": train,
    "track": track,
    "import": import_file,
    "convert": convert_poses,
    "calibrate fit": Calibrator.fit,
    "cameras calibrate": calibrate_lens,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_the_defaults_of_the_command_line(name: str) -> None:
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    records = dict(commands())[f"trustpose {name}"].callback.__wrapped__.command.records
    described = {option: field for record in records for option, (field, _) in options_of(record).items()}
    defaults = {name: parameter.default for name, parameter in parameters.items() if name in described}
    optional = {name for name, default in defaults.items() if default is not inspect.Parameter.empty} - OWN_DEFAULT
    assert len(optional) > 2
    for option_name in optional:
        assert described[option_name].default == defaults[option_name], option_name


@pytest.mark.parametrize("record", [FitOptions, AuditOptions])
def test_options_of_records_that_share_fields_are_given_by_name(record: type) -> None:
    """A field that moves to the shared record would take the place of another's value."""
    with pytest.raises(TypeError, match="positional argument"):
        record("platt")


def test_python_takes_the_names_of_the_command_line() -> None:
    for record in (PredictOptions, RunOptions):
        assert all(name == name.rstrip("_") for name in options_of(record))
        assert {field.name for field in fields(record)} - set(options_of(record)) <= {
            "threads",
            "adapter",
            "caller_settings",
        }
