"""Options, each named once: a field of a record with its help text, its panel and the values that it accepts.

The command line (`trustpose.cli.command`) and the tables in docs derive from these fields, so that an option has the
same name, default and meaning everywhere. A field without `option` or `argument` is for Python alone.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar

PANELS = ("Options", "Input", "People", "Accuracy", "Trust", "Tracking", "Drawing", "Output", "Speed", "Scale", "Scene")
"""Headings of options in `--help`, in this order; the first holds those that most users need."""

Names = Sequence[str] | Callable[[], Iterable[str]]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """What the command line and the docs say about a field.

    Args:
        help: what the option does, in one or two sentences.
        panel: one of `PANELS`.
        names: the accepted values, or a function that returns them, for the shell's completion. A sequence is also
            listed in the help.
        metavar: what stands for the value in the help, such as "FILE".
        minimum, maximum: range of a number.
        is_setting: results depend on it, so that a resumed run must have the same value.
        is_argument: given by position on the command line, not by name.
    """

    help: str
    panel: str
    names: Names | None = None
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    is_setting: bool = True
    is_argument: bool = False

    def __post_init__(self) -> None:
        if self.panel not in PANELS:
            raise ValueError(f"panel: expected one of {', '.join(PANELS)}, got {self.panel!r}")

    @property
    def description(self) -> str:
        """The help text, with the accepted values, if they are few, at the end of its first sentence."""
        if self.names is None or callable(self.names):
            return self.help
        sentence, _, rest = self.help.partition(". ")
        listed = f"{', '.join(self.names[:-1])} or {self.names[-1]}"
        return f"{sentence.removesuffix('.')}: {listed}. {rest}".strip()


def option(
    default: Any = MISSING,
    *,
    help: str,
    panel: str = "Options",
    names: Names | None = None,
    metavar: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    is_setting: bool = True,
) -> Any:
    """Return a dataclass field that is an option, given by name alone; required without a default."""
    described = Option(help, panel, names, metavar, minimum, maximum, is_setting)
    return field(default=default, kw_only=True, metadata={Option: described})


def argument(default: Any = MISSING, *, help: str, metavar: str | None = None, names: Names | None = None) -> Any:
    """Return a dataclass field that the command line takes by position."""
    described = Option(help, PANELS[0], names, metavar, is_argument=True)
    return field(default=default, kw_only=default is MISSING, metadata={Option: described})


def options_of(record: Any) -> dict[str, tuple[Field[Any], Option]]:
    """Return the options of a record, or of its class: each field and its description, by the field's name."""
    described = {field.name: (field, field.metadata.get(Option)) for field in fields(record)}
    return {name: (field, text) for name, (field, text) in described.items() if text is not None}


def settings_in(record: Any) -> list[tuple[str, Any]]:
    """Return name and value of the options of a record on which results depend."""
    return [(name, getattr(record, name)) for name, (_, option) in options_of(record).items() if option.is_setting]


def flag(name: str) -> str:
    """Return how the command line spells a field's name: `min_presence` is --min-presence, `format_` --format."""
    return "--" + name.rstrip("_").replace("_", "-")


def changed_options(record: Any, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the fields of a record that differ from their defaults; only those among `names`, if given."""
    defaults = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(record)
    }
    chosen = defaults if names is None else names
    return {name: getattr(record, name) for name in chosen if getattr(record, name) != defaults[name]}


def repr_of_changes(record: Any) -> str:
    """Return one line with the options of a record that differ from their defaults, for use as `__repr__`."""
    changes = ", ".join(f"{name}={value!r}" for name, value in changed_options(record).items())
    return f"{type(record).__name__}({changes})"


def lists_options(*records: type) -> Callable[[Function], Function]:
    """Make `inspect.signature` and `help` of a function with `**changes` list the options of records by name."""

    def decorate(function: Function) -> Function:
        own = inspect.signature(function)
        parameters = list(own.parameters.values())
        named = {parameter.name for parameter in parameters}
        options = {name: described for record in records for name, (described, _) in options_of(record).items()}
        listed = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=described.default, annotation=described.type
            )
            for name, described in options.items()
            if name not in named
        ]
        *first, changes = parameters
        function.__signature__ = own.replace(parameters=[*first, *listed, changes])  # type: ignore[attr-defined]
        return function

    return decorate
