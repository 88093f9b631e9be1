"""`trustpose agree`: how far measured values agree with a reference over time, and whether their intervals hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_columns, print_notes, say_written
from trustpose.files import InputError, write_json
from trustpose.options import option


@dataclass(frozen=True)
class AgreeFiles:
    """What is compared, and where it is written."""

    reference: Sequence[Path] = option(
        help="The reference: .csv with a column of time, .mot, .sto, .trc, or the table of `trustpose measure`. Given "
        "several times: one file for each clip."
    )
    measured: Sequence[Path] = option(help="The measured values, in one of the same formats; as many files.")
    json: Path | None = option(None, help="Write the numbers to this file (-: standard output).")
    report: Path | None = option(None, help="Write a page with plots to this HTML file.")


@dataclass(frozen=True)
class AgreeOptions:
    """The options of `tp.agree`."""

    measures: str | None = option(
        None,
        metavar="NAMES",
        help="What to compare, with commas between: names that both files have, or MEASURED=REFERENCE. Default: all "
        "names that both have.",
    )
    unit: str | None = option(
        None,
        names=("degrees", "radians"),
        help="Unit of the measured angles, where the file does not say. They are compared in degrees.",
    )
    reference_unit: str | None = option(
        None, names=("degrees", "radians"), help="Unit of the reference's angles. Default: as --unit."
    )
    shift: bool = option(False, help="Move the measured times by the offset that the curves show.")
    cycles: str | None = option(
        None, metavar="MEASURE", help="Cut all measures into cycles at the peaks of this one in the reference."
    )
    large: float = option(5.0, minimum=0, help="Differences above it are large ones, in the measure's unit.")
    draws: int = option(1000, minimum=1, help="Draws of clips, people or seconds, for 95 % intervals.")


@command(
    "trustpose agree --reference markers.csv --measured angles.csv --unit radians",
    "trustpose agree --reference lab.mot --measured angles.csv --report knee.html",
)
def agree(files: AgreeFiles, options: AgreeOptions) -> None:
    """Compare measured values, such as joint angles, with a reference over time.

    Prints for each measure bias, Bland and Altman's limits, RMSE, MAE, the share of large differences, ICC(A,1) and
    ICC(C,1), Lin's concordance correlation and the slope; and, if the measured file has intervals (low_90, high_90, …),
    the share of reference values that they hold. The reference is read at the measured times.
    """
    check_outputs(
        {"--json": files.json, "--report": files.report}, {"--reference": files.reference, "--measured": files.measured}
    )
    from trustpose.measures.agree import COLUMNS, row_of
    from trustpose.measures.agree import agree as agreement_of

    agreement = agreement_of(
        files.reference,
        files.measured,
        measures=_measures(options.measures),
        unit=options.unit,
        reference_unit=options.reference_unit,
        shift=options.shift,
        cycles=options.cycles,
        large=options.large,
        draws=options.draws,
    )
    rows = [dict(zip(COLUMNS, (name, *row_of(item)), strict=True)) for name, item in agreement.measures.items()]
    print_columns(rows, COLUMNS)
    typer.echo("differences: measured − reference" + _units(item.unit for item in agreement.measures.values()))
    print_notes(agreement.notes)
    if files.json is not None:
        write_json(files.json, agreement.to_json())
        say_written(files.json, "agreement")
    if files.report is not None:
        from trustpose.report.agreement import write_agreement_page

        write_agreement_page(files.report, agreement, *_names(files.reference, files.measured), options.large)
        say_written(files.report, "the page")


def _names(reference: Sequence[Path], measured: Sequence[Path]) -> tuple[str, str]:
    """Return what the page calls both, with the folders where the files have the same names."""
    first, second = (", ".join(path.name for path in paths) for paths in (reference, measured))
    if first != second:
        return first, second
    return reference[0].parent.name or first, measured[0].parent.name or second


def _units(units: Iterable[str]) -> str:
    listed = [unit for unit in dict.fromkeys(units) if unit]
    return f", in {' or '.join(listed)}" if listed else ""


def _measures(text: str | None) -> dict[str, str] | None:
    """Return the reference's name of each measure. Raises InputError for an empty name."""
    if text is None:
        return None
    pairs = [item.partition("=") for item in text.split(",")]
    named = {ours.strip(): (theirs.strip() if sign else ours.strip()) for ours, sign, theirs in pairs}
    if not all(named) or not all(named.values()):
        raise InputError(f"--measures: expected NAME or MEASURED=REFERENCE with commas between, got {text!r}")
    return named
