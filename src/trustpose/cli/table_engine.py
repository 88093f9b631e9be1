"""`--engine ray` of `trustpose calibrate apply` and `trustpose track`. The work is done in `trustpose.scale`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trustpose.cli.endings import resumable
from trustpose.cli.outputs import print_warnings
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.scale.tables import TableTask
    from trustpose.skeletons import Skeleton

RESUME = typer.Option("--resume", help="With --engine: continue a run that was stopped or killed.")
OVERWRITE = typer.Option("--overwrite", help="With --engine: replace an earlier run in the same folder.")


@dataclass(frozen=True)
class TableEngine:
    """The options of the engine, as they were given."""

    engine: str | None
    address: str | None
    workers: int | None
    resume: bool
    overwrite: bool

    def is_wanted(self, results: Path) -> bool:
        """Return whether an engine is wanted. Raises InputError for an unknown one, for its options without it, and
        for results that are no Parquet."""
        if self.engine is None:
            own = {"--address": self.address, "--workers": self.workers}
            own |= {"--resume": self.resume, "--overwrite": self.overwrite}
            given = next((name for name, value in own.items() if value), None)
            if given is not None:
                raise InputError(f"{given}: is for --engine ray")
            return False
        if self.engine != "ray":
            raise InputError(f"--engine: expected ray, got {self.engine!r}")
        if not results.is_dir() and results.suffix.lower() != ".parquet":
            raise InputError(f"{results}: --engine ray expects Parquet, a folder of parts")
        return True

    def calibrate(self, calibrator: "Calibrator", results: Path, out: Path, skeleton: "Skeleton | None") -> Path:
        """Apply a calibrator, and print a line, and warnings; return the folder of the parts. Raises InputError."""
        from trustpose.formats.error_files import write_errors
        from trustpose.scale.cluster import import_ray
        from trustpose.scale.folder import POSES
        from trustpose.scale.table_tasks import Calibrate

        import_ray()
        print_warnings(results, self._run(Calibrate.of(calibrator, results, skeleton), results, out))
        write_errors(out / POSES, calibrator.errors)
        return out / POSES

    def track(
        self, results: Path, out: Path, skeleton: "Skeleton", options: dict[str, Any], named: dict[str, Any]
    ) -> None:
        """Track, and print a line. Raises InputError."""
        from trustpose.scale.cluster import import_ray
        from trustpose.scale.table_tasks import Track

        import_ray()
        self._run(Track.of(results, skeleton, options, named), results, out)

    def _run(self, task: "TableTask", results: Path, out: Path) -> tuple[str, ...]:
        from trustpose.cli.in_batches import bar, check_not_inside
        from trustpose.scale.cluster import LOCAL
        from trustpose.scale.folder import POSES
        from trustpose.scale.run import ScaleOptions
        from trustpose.scale.tables import run_on_table

        check_not_inside(out, results)
        how = ScaleOptions(
            address=self.address or LOCAL, workers=self.workers, resume=self.resume, overwrite=self.overwrite
        )
        with (
            resumable("the same command with --resume continues"),
            bar(str(task.settings["task"]), len(task.results)) as advance,
        ):
            total, warnings = run_on_table(task, str(out), how, lambda counts: advance(counts.people))
        typer.echo(f"{total.people} poses on {total.photos} photos or frames: {out}/{POSES}")
        return warnings
