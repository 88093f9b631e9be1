"""`--engine ray` of commands on tables: run a task of `trustpose.scale` with a bar."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trustpose.cli.outputs import print_warnings
from trustpose.cli.progress import progress_bar, resumable
from trustpose.files import InputError
from trustpose.io.output_files import check_not_inside

if TYPE_CHECKING:
    from trustpose.scale.options import ClusterOptions
    from trustpose.scale.tables import TableTask


def check_table(results: Path) -> None:
    """Check that a cluster can read these results, before Ray is imported. Raises InputError."""
    if not results.is_dir() and results.suffix.lower() != ".parquet":
        raise InputError(f"{results}: --engine ray expects Parquet, a folder of parts")


def run_on_cluster(task: "TableTask", results: Path, out: Path, options: "ClusterOptions") -> Path:
    """Run a task on a table, print a line, and warnings; return the folder of the parts. Raises InputError."""
    from trustpose.scale.folder import POSES
    from trustpose.scale.tables import run_on_table

    check_not_inside(out, results)
    with (
        resumable("run the same command with --resume to continue"),
        progress_bar("rows", len(task.results), description=str(task.settings["task"])) as advance,
    ):
        total, warnings = run_on_table(task, str(out), options, lambda counts: advance(counts.people))
    typer.echo(f"{total.people} poses on {total.photos} photos or frames: {out}/{POSES}")
    print_warnings(results, warnings)
    return out / POSES
