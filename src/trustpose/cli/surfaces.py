"""`trustpose surfaces`: predict the part and the coordinates of the body's surface in each pixel of the people."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.progress import progress_bar
from trustpose.options import argument, option
from trustpose.report.options import SurfaceOptions


@dataclass(frozen=True)
class SurfaceFiles:
    """What is predicted, by which model, and where the results go."""

    sources: Sequence[str] = argument(metavar="SOURCE", help="Photos, and folders and globs of them.")
    model: str = option(metavar="FOLDER", help="A model that gives surfaces, as trustpose train dense-pose writes it.")
    out: str = option("surfaces", metavar="DIRECTORY", help="Folder for surfaces.json and the drawings.")
    gt: Path | None = option(None, help="COCO ground truth, for the people's boxes and the ids of the photos.")


@command(
    "trustpose surfaces photos/ --model model --out surfaces",
    "trustpose surfaces photo.jpg --model model --style trust",
    "trustpose surfaces photo.jpg --model model --texture texture_atlas_200.png",
)
def surfaces(files: SurfaceFiles, options: SurfaceOptions) -> None:
    """Predict the surfaces of the people in photos: DensePose.

    Writes DIRECTORY/surfaces.json, results of the COCO DensePose task, and a drawing of each photo. Each pixel of a
    person's box has a part of the body, 1 to 24, and two coordinates on it.

    Photos that cannot be read are reported and skipped, and the exit code is then 1. If people are detected and the
    photos' names have no numbers, photos are numbered from 1 and listed in DIRECTORY/images.json.
    """
    from trustpose.report.surface_run import RESULTS, predict_surfaces

    started = time.perf_counter()
    with progress_bar("photos") as advance:
        done = predict_surfaces(
            files.sources,
            files.model,
            files.out,
            options,
            gt=files.gt,
            tell=lambda count, total: advance(0, completed=count, total=total),
        )
    people = f"{len(done.surfaces)} {'person' if len(done.surfaces) == 1 else 'people'}"
    photos = f"{done.photos} photo{'' if done.photos == 1 else 's'}"
    drawn = " and a drawing of each photo" if options.draw else ""
    typer.echo(f"{people} on {photos} in {time.perf_counter() - started:.1f} s: {Path(files.out) / RESULTS}{drawn}")
    for problem in done.problems:
        typer.echo(f"trustpose: {problem}", err=True)
    if done.problems:
        raise typer.Exit(1)
