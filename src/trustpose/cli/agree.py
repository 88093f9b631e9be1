"""`trustpose agree`: how far measured readings are from a reference, and whether the intervals that they claim hold."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_notes, say_written, write_together
from trustpose.files import InputError, json_bytes
from trustpose.options import option

if TYPE_CHECKING:
    from trustpose.measures.agreement import Agreement, MeasureAgreement


@dataclass(frozen=True)
class AgreeFiles:
    """What is compared, and what is written."""

    reference: Sequence[Path] = option(
        metavar="FILE",
        help="The reference, taken as right: the table of `trustpose measure`, CSV with a column time, .mot, .sto or "
        ".trc. Again for each further clip.",
    )
    measured: Sequence[Path] = option(
        metavar="FILE",
        help="What is compared with it: a file for each reference, in the same order. Intervals in its columns low_90, "
        "high_90, … are checked.",
    )
    report: Path | None = option(
        None, panel="Output", help="Write a self-contained HTML page to this file (-: standard output)."
    )
    json: Path | None = option(
        None, panel="Output", help="Write the numbers to this file as JSON (-: standard output)."
    )


@dataclass(frozen=True)
class AgreeOptions:
    """The options of `tp.agree`."""

    match: Sequence[str] = option(
        (),
        panel="Input",
        metavar="REFERENCE=MEASURED",
        help="Names of the same measure in both files, where they differ; again for each. Only these are compared.",
    )
    unit: str | None = option(
        None,
        panel="Input",
        metavar="UNIT",
        help="Convert angles (degrees, radians) or lengths (m, cm, mm) to this unit. Default: both files must have the "
        "same.",
    )
    reference_unit: str | None = option(
        None, panel="Input", metavar="UNIT", help="The unit of columns whose unit the reference's header does not say."
    )
    measured_unit: str | None = option(None, panel="Input", metavar="UNIT", help="The same for the measured files.")
    people: str | None = option(
        None,
        panel="People",
        metavar="NAMES",
        help="Who is in each clip, with commas between the names: intervals draw people. Default: tracks, or clips.",
    )
    large: float | None = option(
        None,
        metavar="ERROR",
        help="The absolute error from which one counts as large, in the result's unit. Default: 10° for angles.",
    )
    offset: float = option(
        0.0, metavar="SECONDS", help="The measured times are late by these seconds, and are moved back."
    )
    align: bool = option(False, help="Apply the offset of the clocks that cross-correlation finds, too.")
    max_offset: float = option(0.5, metavar="SECONDS", minimum=0.0, help="The largest offset that is searched.")
    cycles: str | None = option(
        None,
        metavar="auto|MEASURE|SECONDS",
        help="Cut strides or repetitions: at peaks of the reference's curve that repeats best, of a measure's, or at "
        "seconds with commas between them.",
    )
    draws: int = option(1000, panel="Speed", minimum=1, help="Bootstrap draws for the 95 % intervals.")


@command(
    "trustpose agree --reference mocap.mot --measured video.mot --report p.html",
    "trustpose agree --reference a.csv --measured b.csv --reference-unit deg",
    "trustpose agree --reference a.mot --measured b.csv --match knee_l=left_knee",
)
def agree(files: AgreeFiles, options: AgreeOptions) -> None:
    """Compare measured joint angles, lengths and the like with a reference, and check the intervals that they claim.

    Prints bias, limits of agreement, RMSE and more of each measure, in its unit; differences are measured − reference.
    Rows pair by annotation_id where both files have it, otherwise by time, otherwise by image_id. Units are read from
    the files' headers, never guessed.
    """
    check_outputs(
        {"--report": files.report, "--json": files.json},
        {"--reference": list(files.reference), "--measured": list(files.measured)},
    )
    from rich.console import Console

    from trustpose.measures.agree import agree as compare_readings

    progress = Console(stderr=True)
    with progress.status("comparing …"):
        agreement = compare_readings(
            files.reference,
            files.measured,
            match=_match(options.match),
            unit=options.unit,
            reference_unit=options.reference_unit,
            measured_unit=options.measured_unit,
            people=() if options.people is None else [name.strip() for name in options.people.split(",")],
            large=options.large,
            offset=options.offset,
            align=options.align,
            max_offset=options.max_offset,
            cycles=_cycles(options.cycles),
            draws=options.draws,
        )
    _print_agreement(agreement)
    print_notes(agreement.notes)
    contents: dict[Path, bytes] = {}
    if files.json is not None:
        contents[files.json] = json_bytes(agreement.to_json())
    with progress.status("writing the report …") if files.report is not None else nullcontext():
        if files.report is not None:
            from trustpose.report.agreement import agreement_page

            contents[files.report] = agreement_page(agreement).encode()
        write_together(contents)
    if files.json is not None:
        say_written(files.json, "the numbers as JSON")
    if files.report is not None:
        say_written(files.report, "the report, a page for any browser")


def _match(texts: Sequence[str]) -> dict[str, str] | None:
    pairs = [text.partition("=") for text in texts]
    for name, equals, other in pairs:
        if not (name and equals and other):
            raise InputError(f"--match: expected REFERENCE=MEASURED, got {name + equals + other!r}")
    return {name: other for name, _, other in pairs} or None


def _cycles(text: str | None) -> str | list[float] | None:
    if text is None or "," not in text:
        return text
    try:
        return [float(second) for second in text.split(",")]
    except ValueError:
        raise InputError(f"--cycles: expected seconds with commas between them, got {text!r}") from None


def _print_agreement(agreement: "Agreement") -> None:
    """Print a row for each measure, the offsets of the clocks, numbers per cycle, and what intervals hold."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 200)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    titles = ("n", "bias", "limits", "2.5–97.5 %", "RMSE", "MAE", "large", "ICC(A,1)", "ICC(C,1)", "CCC", "slope")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name, measure in agreement.measures.items():
        table.add_row(escape(f"{name} ({measure.pairs.unit})"), *_cells(measure))
    console.print(table)
    for clip, offset in enumerate(agreement.offsets):
        if offset is not None and offset.seconds is not None:
            applied = f", moved back by {offset.applied:.3f} s" if offset.applied else ""
            typer.echo(f"clock of {agreement.inputs[clip][1]}: {offset.seconds:+.3f} s late{applied}")
    if agreement.cycles:
        typer.echo(agreement.cycles)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("per cycle: bias, limits", "n", "maximum", "minimum", "range", "RMSE of mean curves"):
            table.add_column(title, justify="left" if title.startswith("per") else "right")
        for name, measure in agreement.measures.items():
            if measure.cycles is not None:
                numbers = [
                    f"{row.bias:+.3g}, {row.low_limit:.3g} to {row.high_limit:.3g}"
                    for row in measure.cycles.numbers.values()
                ]
                count = str(len(measure.cycles.curves))
                table.add_row(escape(name), count, *numbers, f"{measure.cycles.rmse:.3g}")
        console.print(table)
    if any(measure.coverage for measure in agreement.measures.values()):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("intervals that claim", "hold", "95 % interval", "n", "mean width", "interval score"):
            table.add_column(title, justify="left" if title.startswith("intervals") else "right")
        for name, measure in agreement.measures.items():
            for row in measure.coverage:
                ends = "–" if row.low != row.low else f"{row.low:.3f} to {row.high:.3f}"
                cells = (f"{row.share:.3f}", ends, f"{row.n:,}", f"{row.width:.3g}", f"{row.score:.3g}")
                table.add_row(escape(f"{name} {row.claimed:.3g}"), *cells)
        console.print(table)


def _cells(measure: "MeasureAgreement") -> list[str]:
    """Return the cells of a measure's row."""
    low, high = measure.percentile_limits
    large = measure["large_share"]
    return [
        f"{len(measure.pairs):,}",
        f"{measure['bias']:+#.3g}",
        f"{measure['low_limit']:#.3g} to {measure['high_limit']:#.3g}",
        f"{low:#.3g} to {high:#.3g}",
        f"{measure['rmse']:#.3g}",
        f"{measure['mae']:#.3g}",
        "–" if large != large else f"{large:.1%}",
        *(f"{measure[name]:.3f}" for name in ("icc_a1", "icc_c1", "ccc", "slope")),
    ]
