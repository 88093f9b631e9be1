"""Surfaces of many photos: predict, draw and write them, as `trustpose surfaces` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trustpose.files import InputError, write_json
from trustpose.io.coco.surface_results import write_surface_results
from trustpose.io.output_files import check_outputs, model_files
from trustpose.models.spec import DEFAULT
from trustpose.poses.surfaces import Surface, Surfaces
from trustpose.predict.photos import open_photo
from trustpose.predict.run import IMAGES
from trustpose.predict.sources import PeopleOptions, find_files, photos_with_people
from trustpose.predict.surfaces import SurfacePredictor
from trustpose.report.options import SurfaceOptions
from trustpose.report.pictures import picture_names, write_picture
from trustpose.report.surfaces import draw_surfaces, dress, read_texture

RESULTS = "surfaces.json"


@dataclass(frozen=True)
class DoneSurfaces:
    """The result of a run.

    Attributes:
        surfaces: of all photos.
        photos: how many were read.
        problems: a line for each photo that could not be read.
    """

    surfaces: Surfaces
    photos: int
    problems: tuple[str, ...]


def predict_surfaces(
    sources: Sequence[str | Path],
    model: str | Path,
    out: str | Path,
    options: SurfaceOptions = SurfaceOptions(),  # noqa: B008
    *,
    gt: str | Path | None = None,
    tell: Callable[[int, int], None] = lambda *_: None,
) -> DoneSurfaces:
    """Predict the surfaces of the people in photos; write OUT/surfaces.json and a drawing of each photo.

    Args:
        sources: photos, and folders and globs of them.
        model: as `SurfacePredictor` takes it.
        out: a folder. Where photos had to be numbered, OUT/images.json lists them.
        options: how surfaces are predicted and drawn.
        gt: a COCO ground truth, for the people's boxes and the ids of the photos.
        tell: is called after each photo, with the numbers of photos done and of all.

    Raises:
        InputError: for files that cannot be read or written, a model that gives no surfaces, and for the style
            "trust" of a model without expected similarity. A photo that cannot be read is a problem of the result.
    """
    out, truth = Path(out), None if gt is None else Path(gt)
    files = find_files(sources, recursive=options.recursive, out=out, videos=False)
    is_detected = truth is None and options.boxes is None
    if options.detector is not None and not is_detected:
        raise InputError("--detector: is for photos without boxes, and --gt or --boxes gives these")
    people = PeopleOptions(truth, options.boxes, options.min_box_score, all_people=True, is_detected=is_detected)
    photos = photos_with_people(files, people)
    pictures = picture_names(files, out) if options.draw else {}
    check_outputs(
        {"--out": [out / RESULTS, out / IMAGES, *pictures.values()]},
        {"SOURCE": files, "--gt": truth, "--boxes": options.boxes, "--model": model_files(Path(model))},
    )
    texture = None if options.texture is None else read_texture(options.texture)
    predictor = SurfacePredictor(
        model,
        detector=DEFAULT if options.detector is None else options.detector,
        detector_weights=options.detector_weights,
        min_box_score=options.min_box_score,
        flip=options.flip,
        mirror=options.mirror,
    )
    if options.style == "trust" and predictor.output.quality is None:
        raise InputError(f"{model}: gives no expected similarity, which --style trust draws")
    out.mkdir(parents=True, exist_ok=True)
    surfaces: list[Surface] = []
    image_id: list[int] = []
    score: list[float] = []
    problems = []
    for done, (file, photo) in enumerate(zip(files, photos.photos, strict=True), 1):
        try:
            pixels = open_photo(photo, predictor.max_pixels)
        except InputError as error:
            problems.append(str(error))
        else:
            boxes = None if photo.boxes is None else photo.boxes.xyxy
            predicted = predictor(pixels, boxes, photo.image_id)
            surfaces += predicted.surfaces
            image_id += predicted.image_id.tolist()
            score += predicted.score.tolist()
            if options.draw and texture is not None:
                write_picture(pictures[file], dress(pixels, predicted, texture))
            elif options.draw:
                write_picture(pictures[file], draw_surfaces(pixels, predicted, options.style))
        tell(done, len(files))
    joined = Surfaces(tuple(surfaces), np.array(image_id, np.int64), np.array(score, np.float64))
    write_surface_results(out / RESULTS, joined)
    if photos.is_numbered_here:
        write_json(out / IMAGES, photos.numbered.to_json())
    else:
        (out / IMAGES).unlink(missing_ok=True)  # an earlier run's, whose ids are others
    return DoneSurfaces(joined, len(files) - len(problems), tuple(problems))
