"""Options of `trustpose predict`, and what it may write: never over an input, nor over an earlier run's results unless
asked to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.choices import choices
from trustpose.cli.outputs import check_outputs, model_files
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.predict.options import PredictOptions, RunOptions

Device = Annotated[
    str,
    typer.Option(
        **choices(
            *("auto", "cpu", "cuda", "coreml", "directml", "openvino", "mps"),
            about="auto: a GPU if there is one. mps: for --backend torch or another package's estimator.",
        )
    ),
]
Grouping = Annotated[
    str | None,
    typer.Option(**choices("greedy", "optimal", about="Of links, with part affinity fields. Default: as in the JSON.")),
]
Hands = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Add each person's hands by this network (hand21), near the wrists."),
]
Face = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Add each person's face by this network (face68, face70).")
]
Association = Annotated[
    str | None,
    typer.Option(
        **choices(
            *("none", "global", "crowdpose", "deepcut"),
            about="Share joints out over all boxes, in crowds (heatmap networks; no trust).",
        )
    ),
]


def check_files(
    out: Path,
    drawn: list[Path],
    model: str,
    run: "RunOptions",
    options: "PredictOptions",
    photos: "dict[str, list[Path]]",
) -> None:
    """Check that no output overwrites an input. Raises InputError."""
    from trustpose.models.spec import DEFAULT, shipped_folder
    from trustpose.predict.adapters import ADAPTERS
    from trustpose.predict.earlier_run import IMAGES, JOURNAL
    from trustpose.predict.run import results_name
    from trustpose.predict.second_opinion import named

    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, expected a folder for the results (--out)")
    prefix, _, argument = model.partition(":")
    file = Path(argument if prefix in ADAPTERS else model)
    given: dict[str, Any] = photos | {"--gt": run.gt, "--boxes": run.boxes}
    given |= {
        "--model": model_files(shipped_folder(model) if model == DEFAULT else file),
        "--detector": model_files(None if options.detector is None else Path(str(options.detector))),
        "--hands": model_files(None if options.hands is None else Path(options.hands)),
        "--face": model_files(None if options.face is None else Path(options.face)),
        "--detector-weights": options.detector_weights,
        "--calibrator": None if options.calibrator is None else Path(str(options.calibrator)),
        "--second": [file for one in options.second for file in model_files(Path(named(one)[1]))],
    }
    check_outputs({"--out": [out / results_name(run), out / IMAGES, out / JOURNAL, *drawn]}, given)


def check_earlier_run(out: Path, run: "RunOptions") -> None:
    """Refuse a folder with an earlier run's results, unless they are to be continued or replaced. Raises
    InputError."""
    from trustpose.predict.earlier_run import earlier_result
    from trustpose.predict.run import results_name

    earlier = None if run.resume or run.overwrite else earlier_result(out, results_name(run))
    if earlier is not None:
        raise InputError(
            f"{out}: holds {earlier} of an earlier run; --resume continues it, --overwrite replaces it, or choose "
            "another --out"
        )
