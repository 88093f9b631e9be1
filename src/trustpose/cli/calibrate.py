"""`trustpose calibrate`: predict expected OKS, OPKS and visibility for any estimator, from its results file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trustpose.calibration.options import FitOptions
from trustpose.cli.cluster import check_table, run_on_cluster
from trustpose.cli.command import add_command, command, new_app
from trustpose.cli.outputs import check_outputs, print_notes, print_warnings, say_written
from trustpose.cli.progress import progress_bar
from trustpose.cli.records import calibrator_names, skeleton_names
from trustpose.files import InputError, is_stdout, write_json
from trustpose.io.output_files import skeleton_file
from trustpose.options import option
from trustpose.scale.options import ClusterOptions

calibrate = new_app(
    "Calibrate any estimator from its results file: fit on labelled photos, apply to others.",
    (
        "trustpose calibrate fit --gt gt.json --results train.json --out cal.json",
        "trustpose calibrate apply --calibrator c.json --results r.json --out t.json",
    ),
    add_completion=False,
)


@dataclass(frozen=True)
class FitFiles:
    """What a calibrator is fitted to, and where it is written."""

    gt: Path = option(help="COCO keypoint ground truth: JSON, or Parquet from `trustpose convert`.")
    results: Path = option(
        help="The estimator's results on these photos: JSON, CSV, Parquet or a folder of Parquet parts."
    )
    out: Path = option(help="Write the calibrator to this file (-: standard output).")
    second: Sequence[str] = option(
        (),
        metavar="[NAME=]RESULTS|MODEL",
        help="Second opinion: another network's results on the same people, or a network to run on them, "
        "such as the bundled 'default'. With NAME=, apply checks the name. May be repeated; opinions that do not help "
        "are left out.",
    )
    images: Path | None = option(None, help="Folder of the photos, needed if --second is a network.")
    common: bool = option(False, help="Use only the photos that the ground truth and all results have in common.")
    json: Path | None = option(None, help="Write the printed numbers to this file as JSON (-: standard output).")


@command(
    "trustpose calibrate fit --gt gt.json --results train.json --out cal.json",
    "trustpose calibrate fit --gt gt.json --results r.json --out c.json --common",
)
def fit(files: FitFiles, options: FitOptions) -> None:
    """Fit a calibrator and print its out-of-fold numbers."""
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.calibration.fit import files_to_fit
    from trustpose.calibration.selection import fit_steps
    from trustpose.cli.calibrate_tables import means, print_fit
    from trustpose.io.coco.results import left_out_notes
    from trustpose.predict.calibrated_results import fit_results
    from trustpose.predict.second_results import opinions_at_fitting, second_sources
    from trustpose.skeletons import skeleton_of

    sources = second_sources(files.second, files.images)
    skeleton_name = None if options.skeleton is None else str(options.skeleton)
    category = None if options.category is None else str(options.category)
    inputs = {"--gt": files.gt, "--results": files.results, "--skeleton": skeleton_file(skeleton_name)}
    inputs |= {"--second": [file for source in sources for file in source.files], "--images": files.images}
    check_outputs({"--out": files.out, "--json": files.json}, inputs)
    skeleton = None if skeleton_name is None else skeleton_of(skeleton_name)
    truth, results = files_to_fit(
        files.gt, files.results, options.max_results, category=category, skeleton=skeleton, common=files.common
    )
    opinions = opinions_at_fitting(sources, files.images, truth, results)
    with progress_bar(total=fit_steps(options, len(opinions)) + 1, description="reading people") as advance:
        fitted, gain = fit_results(truth, results, options, opinions, lambda step: advance(description=step))
    Calibrator.of(fitted.parts).save(files.out)
    pooled = [] if gain is None or truth.categories is None else [means(truth.categories)]
    left_out = left_out_notes(truth.left_out, len(truth.images), results.left_out, len(results.poses))
    print_fit(fitted.parts.card, gain, (*truth.notes, *left_out, *pooled))
    say_written(files.out, f"calibrator ({fitted.parts.card.method}), for `trustpose calibrate apply`")
    if files.json is not None:
        rescored = None if gain is None else asdict(gain)
        write_json(files.json, {"card": fitted.parts.card.as_dict(), "rescoring": rescored})
        say_written(files.json, "the printed numbers as JSON")


@dataclass(frozen=True)
class ApplyOptions:
    """What a calibrator is applied to, and where the results are written."""

    calibrator: Path = option(
        names=calibrator_names, help="A file written by `trustpose calibrate fit`, or shipped:NAME (models --shipped)."
    )
    results: Path = option(
        help="COCO keypoint results of the same estimator: JSON, CSV, Parquet or a folder of Parquet parts."
    )
    out: Path = option(help="Write the results with trust to this file (-: standard output); .parquet: as Parquet.")
    estimator: str | None = option(
        None, help="Name of the estimator, which must be the one that the calibrator was fitted on."
    )
    skeleton: str | None = option(
        None, names=skeleton_names, help="Skeleton of the results (NAME or FILE.json); must equal the calibrator's."
    )
    sigmas: str | None = option(None, help="Sigmas for OKS; must equal the calibrator's.")
    second: Sequence[str] = option(
        (),
        metavar="[NAME=]RESULTS|MODEL",
        help="Second opinion that the calibrator was fitted with: that network's results on these people, or "
        "the network itself, such as the bundled 'default'. Repeat it as at fitting.",
    )
    images: Path | None = option(None, help="Folder of the photos, needed if --second is a network.")


@command(
    "trustpose calibrate apply --calibrator c.json --results r.json --out t.json",
    "trustpose audit --gt gt.json --before r.json --after t.json",
)
def apply(options: ApplyOptions, cluster: ClusterOptions) -> None:
    """Add expected OKS, expected OPKS and visibility to results, and presence if the calibrator was fitted on whole
    photos; keypoints and the estimator's scores are unchanged.

    A calibrator fitted with --goal also adds visibility_label, the decision per keypoint: 0 absent, 1 occluded, 2
    visible.
    """
    from trustpose.calibration.applied_record import record_path
    from trustpose.predict.calibrated_results import apply_calibrator
    from trustpose.predict.second_results import second_sources

    results, out = options.results, options.out
    sources = second_sources(options.second, options.images)
    inputs = {"--calibrator": options.calibrator, "--results": results, "--skeleton": skeleton_file(options.skeleton)}
    inputs |= {"--second": [file for source in sources for file in source.files], "--images": options.images}
    outputs = [out, *([] if is_stdout(out) else [record_path(out)])]
    check_outputs({} if cluster.engine else {"--out": outputs}, inputs)
    if cluster.is_cluster:
        check_table(results)
    if cluster.engine:
        _apply_on_cluster(options, cluster)
        return
    with progress_bar("people", description="reading") as advance:
        applied = apply_calibrator(
            options.calibrator,
            results,
            out,
            estimator=options.estimator,
            skeleton=options.skeleton,
            sigmas=options.sigmas,
            second=sources,
            images=options.images,
            progress=advance,
        )
    print_notes(applied.notes)
    say_written(out, f"{applied.poses:,} poses with expected OKS, expected OPKS and visibility")
    print_warnings(results, applied.warnings)


def _apply_on_cluster(options: ApplyOptions, cluster: ClusterOptions) -> None:
    """Apply a calibrator to Parquet on a cluster."""
    from trustpose.calibration.applied_record import write_record
    from trustpose.io.companions import write_errors
    from trustpose.io.parquet import open_parts, runs
    from trustpose.predict.calibrated_results import load_calibrator
    from trustpose.scale.cluster import import_ray
    from trustpose.scale.tables import Calibrate
    from trustpose.skeletons import skeleton_of

    results = options.results
    if options.second:
        raise InputError("--second: is not read on a cluster, expected no --engine ray")
    calibrator = load_calibrator(options.calibrator, options.estimator, options.sigmas)
    skeleton = None if options.skeleton is None else skeleton_of(options.skeleton)
    import_ray()
    out = run_on_cluster(Calibrate.of(calibrator, results, skeleton), results, options.out, cluster)
    write_errors(out, calibrator.errors)
    print_warnings(results, write_record(out, results, options.calibrator, calibrator, runs(open_parts(results))))


add_command(calibrate, "fit", fit)
add_command(calibrate, "apply", apply)
