"""The options of an audit, for the command line and Python."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trustpose.datasets.options import SEED, GroundTruthOptions
from trustpose.options import option, repr_of_changes


def _metrics() -> Iterable[str]:
    from trustpose.evaluation.localisation import METRICS

    return METRICS


def _tables() -> Iterable[str]:
    from trustpose.evaluation.precision import TABLES

    return TABLES


@dataclass(frozen=True)
class AuditOptions(GroundTruthOptions):
    """How `trustpose audit` and `tp.audit` compute their numbers."""

    __repr__ = repr_of_changes

    common: bool = option(False, help="Use only the photos that the ground truth and all results have in common.")
    draws: int = option(
        1000, minimum=0, help="Bootstrap resamplings of the photos for the 95 % intervals; 0: no intervals."
    )
    score: str | None = option(
        None,
        panel="Trust",
        help="Field of a result that ranks poses and is compared with OKS. Default: score ranks; pose_quality, if the "
        "file has it, is compared.",
    )
    metric: Sequence[str] | str = option(
        (),
        panel="Accuracy",
        names=_metrics,
        help="Additional joint metrics, each NAME or NAME@FRACTION: pckh, pck, pck-box, pck-torso, pdj, fck, nme, "
        "pcp, pcp-loose. Default: the data set's own (MPII: pckh; LSP: pck-torso, pcp, pcp-loose; FLIC: fck, pdj, "
        "pcp).",
    )
    table: Sequence[str] | str = option(
        (),
        panel="Accuracy",
        names=_tables,
        help="Additional tables: thresholds (AP at each OKS threshold), scoring-errors, non-0 (mAPK without keypoints "
        "predicted absent; non-0@SCORE: nor those with a lower score).",
    )
    seed: int = option(0, panel="Accuracy", minimum=0, help=SEED)
