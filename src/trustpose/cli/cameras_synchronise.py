"""`trustpose cameras synchronise`: how far several cameras' clips are shifted in time."""

from pathlib import Path
from typing import Annotated

import typer

from trustpose.cli.choices import completed, skeletons
from trustpose.cli.outputs import check_outputs, say_written, skeleton_file
from trustpose.files import InputError


def synchronise(
    results: Annotated[list[Path], typer.Argument(help="Poses of each camera: COCO results, or another tool's.")],
    fps: Annotated[str, typer.Option(help="Frames a second: one number, or one for each camera, comma-separated.")],
    weight: Annotated[str, typer.Option(help="What to weight keypoints by: trust, scores, none, or auto.")] = "auto",
    longest: Annotated[
        float | None,
        typer.Option(help="Longest shift to consider, seconds. Default: half a clip.", min=0),
    ] = None,
    skeleton: Annotated[
        str | None, typer.Option(**completed(skeletons), help="Skeleton, if the files do not name it.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the offsets to this file as JSON.")] = None,
) -> None:
    """Find the time between the clips of cameras that saw the same people move.

    Correlates how fast each keypoint moves up and down, for cameras that stand upright. Prints the seconds to add to
    each camera's times, as `--offset` of `triangulate` and `cameras place` takes them.
    """
    from trustpose.cli.triangulate import WEIGHTS, read_views
    from trustpose.cli.triangulate import _numbers as numbers
    from trustpose.cli.triangulate import _one_of as one_of
    from trustpose.cli.triangulate import _weight as chosen
    from trustpose.files import write_json
    from trustpose.multiview.synchronisation import synchronise as run

    check_outputs({"--json": json}, {"RESULTS": results, "--skeleton": skeleton_file(skeleton)})
    if len(results) < 2:
        raise InputError(f"RESULTS: expected the poses of two cameras or more, got {len(results)}")
    rates = numbers("--fps", fps, len(results))
    assert rates is not None
    views = read_views(results, skeleton)
    try:
        found = run(views, rates, chosen(one_of("--weight", weight, WEIGHTS), views, results), longest)
    except ValueError as error:
        raise InputError(str(error)) from None
    for path, offset, rate, peak in zip(results, found.offset, rates, found.correlation, strict=True):
        typer.echo(f"{path}: {offset:+.4f} s ({offset * rate:+.1f} of its frames), correlation {peak:.2f}")
    typer.echo("--offset=" + ",".join(f"{offset:.4f}" for offset in found.offset))
    if json is not None:
        record = {"offset": found.offset.tolist(), "correlation": found.correlation.tolist(), "fps": rates}
        write_json(json, record | {"results": [str(path) for path in results]})
        say_written(json, "the offsets as JSON")
