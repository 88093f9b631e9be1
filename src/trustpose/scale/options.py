"""The options of work that is spread over a Ray cluster, for the command line and Python."""

from dataclasses import dataclass
from typing import Any

from trustpose.addresses import page
from trustpose.files import InputError
from trustpose.options import changed_options, flag, option
from trustpose.predict.options import EarlierRun, FolderOptions

LOCAL = "local"  # address of a cluster that is started on this machine, for as long as the work takes
BLOCK = 256
_ENGINE = "ray"
_ONE_PROCESS = (
    *("gt", "boxes", "all_people", "frames", "tidy", "track", "flow", "show", "draw_min_score", "hands", "face"),
)


@dataclass(frozen=True)
class ClusterOptions(EarlierRun):
    """Whether work is spread over a cluster, which one, and over how many workers."""

    engine: str | None = option(
        None,
        panel="Scale",
        metavar=_ENGINE,
        help=f"Spread the work over a Ray cluster (extra 'ray', {page('scale')}); --out is then a folder.",
    )
    address: str = option(
        LOCAL,
        panel="Scale",
        help="Address of a running cluster; auto: of the one on this machine; local: start one here for the run.",
    )
    workers: int | None = option(
        None, panel="Scale", minimum=1, help="Number of workers. Default: one on each GPU, else one for every 4 CPUs."
    )

    @property
    def is_cluster(self) -> bool:
        """Whether a cluster does the work. Raises InputError for an unknown engine, and for options without one."""
        if self.engine not in (None, _ENGINE):
            raise InputError(f"--engine: expected {_ENGINE}, got {self.engine!r}")
        if self.engine is None:
            for name in changed_options(self, self.only_for_clusters()):
                raise InputError(f"{flag(name)}: is for --engine {_ENGINE}")
        return self.engine is not None

    def only_for_clusters(self) -> tuple[str, ...]:
        """Return the names of the options that mean nothing without a cluster."""
        return ("address", "workers", "resume", "overwrite")


@dataclass(frozen=True)
class ScaleOptions(ClusterOptions, FolderOptions):
    """How photos and videos are predicted on a cluster."""

    block: int = option(BLOCK, panel="Scale", minimum=1, help="Photos or frames that are read and written together.")
    column: str | None = option(
        None,
        panel="Scale",
        help="Column of Parquet files with the photos' bytes or paths. Default: recognised by its name.",
    )

    def only_for_clusters(self) -> tuple[str, ...]:
        """Return the names of the options that mean nothing without a cluster."""
        return ("address", "workers", "block", "column")

    def check_others(self, *records: Any) -> None:
        """Check the records of a prediction's other options. Raises InputError for one that needs a single process."""
        for record in records:
            names = [name for name in _ONE_PROCESS if hasattr(record, name)]
            changed = {flag(name): value for name, value in changed_options(record, names).items()}
            if getattr(record, "format", None) == "csv":
                changed["--format csv"] = "csv"
            for name in changed:
                raise InputError(
                    f"{name}: is not for --engine {_ENGINE}, which detects the people of photos and writes Parquet"
                )
