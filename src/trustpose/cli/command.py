"""Commands from option records: a function that takes records becomes a command whose options are their fields."""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, dataclass, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from trustpose.files import InputError
from trustpose.names import expected_one_of
from trustpose.options import PANELS, Option, flag, options_of

_TYPES = {"bool": bool, "str": str, "float": float, "int": int, "Path": Path}  # the first that an annotation names


class PanelCommand(TyperCommand):
    """A command whose `--help` shows its options under the headings of `trustpose.options.PANELS`, in plain text."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each panel's options."""
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in ("Arguments", *PANELS)}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None:
                is_argument = parameter.param_type_name == "argument"
                panel = getattr(parameter, "rich_help_panel", None) or PANELS[0]  # --help itself has none
                sections["Arguments" if is_argument else panel].append(row)
        for heading, rows in sections.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


@dataclass(frozen=True)
class CommandOptions:
    """What a command's function carries for `add_command`, as the attribute `command`."""

    records: tuple[type, ...]
    examples: tuple[str, ...]
    settings: dict[str, Any]


def command(*examples: str, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function whose parameters are option records one that typer understands.

    Each field made by `trustpose.options.option` or `argument` becomes a parameter with the field's name, default and
    help; the records are built from them when the command runs.

    Args:
        examples: command lines for the end of `--help`.
        settings: of click's context, such as `ignore_unknown_options`.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        records = {
            parameter.name: parameter.annotation for parameter in inspect.signature(function).parameters.values()
        }
        for name, record in records.items():
            if not is_dataclass(record):
                raise TypeError(f"{function.__name__}: {name}: expected a record of options, got {record!r}")
        options_by_record = {name: options_of(record) for name, record in records.items()}
        fields = _joined(options_by_record.values())
        parameters = [_parameter(field, text) for field, text in fields.values()]

        @wraps(function)
        def run(**values: Any) -> None:
            built = {}
            for name, options in options_by_record.items():
                chosen = {option: _as_field(*described, values[option]) for option, described in options.items()}
                built[name] = records[name](**chosen)
            function(**built)

        parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)  # the required first
        run.__dict__["__signature__"] = inspect.Signature(parameters)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__dict__["command"] = CommandOptions(tuple(records.values()), examples, settings)
        return run

    return decorate


def add_command(app: typer.Typer, name: str, function: Callable[..., None]) -> None:
    """Add a function made by `command` to an app."""
    options: CommandOptions = function.__dict__["command"]
    app.command(name, cls=PanelCommand, epilog=epilog(options.examples), context_settings=options.settings or None)(
        function
    )


def epilog(examples: Iterable[str]) -> str:
    """Return examples as the last paragraph of a command's --help, one a line."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in examples)))  # \b: keep these line breaks


def new_app(help: str, examples: Sequence[str], **settings: Any) -> typer.Typer:
    """Return an app for commands, with plain help: half as long in 80 columns, and without importing rich."""
    return typer.Typer(
        help=help,
        no_args_is_help=True,
        epilog=epilog(examples),
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


def _joined(records: Iterable[dict[str, tuple[Field[Any], Option]]]) -> dict[str, tuple[Field[Any], Option]]:
    """Return the options of several records by name; records may share one that they inherit from the same record."""
    joined: dict[str, tuple[Field[Any], Option]] = {}
    for options in records:
        for name, described in options.items():
            if joined.setdefault(name, described)[1] is not described[1]:
                raise TypeError(f"{name}: is an option of two records")
    return joined


def _parameter(field: Field[Any], option: Option) -> inspect.Parameter:
    """Return the parameter that typer reads for a field."""
    type_, is_list = _type_of(field.type)
    described: dict[str, Any] = {"help": option.description, "metavar": option.metavar, "rich_help_panel": option.panel}
    described |= {"min": option.minimum, "max": option.maximum, "autocompletion": _completion(option)}
    if option.is_argument:
        information = typer.Argument(**described, show_default=False)
    else:
        spelling = flag(field.name)
        is_switched_off = type_ is bool and field.default is True
        information = typer.Option(spelling + (f"/--no-{spelling[2:]}" if is_switched_off else ""), **described)
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    annotation: Any = list[type_] if is_list else type_  # type: ignore[valid-type]
    if default is None or (is_list and default == ()):
        annotation, default = annotation | None, None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, information]
    )


def _as_field(field: Field[Any], option: Option, value: Any) -> Any:
    """Return a value of the command line as the field holds it: an option that may be repeated is a tuple. Raises
    InputError for a value that is not among the option's names."""
    if _type_of(field.type)[1]:
        return tuple(value or ())
    names = option.names
    if value is not None and names is not None and not callable(names) and value not in names:
        raise InputError(f"{flag(field.name)}: {expected_one_of(names, value)}")
    return value


def _type_of(annotation: Any) -> tuple[type, bool]:
    """Return the type that the command line reads for a field, and whether the option may be repeated.

    Fields may accept more in Python: of "Calibrator | str | Path | None" the command line reads a str.
    """
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    names = [re.sub(r"\b\w+\.", "", name) for name in text.split(" | ")]
    repeated = [name.removeprefix("Sequence[").removesuffix("]") for name in names if name.startswith("Sequence[")]
    for name, type_ in _TYPES.items():
        if name in (repeated or names):
            return type_, bool(repeated)
    raise TypeError(f"{annotation!r}: the command line reads {', '.join(_TYPES)} and sequences of them")


def _completion(option: Option) -> Callable[[str], list[str]] | None:
    """Return a function that completes an option's values, in the shell."""
    names = option.names
    if names is None:
        return None
    list_names = names if callable(names) else lambda: names

    def complete(incomplete: str) -> list[str]:
        return [name for name in list_names() if name.startswith(incomplete)]

    return complete
