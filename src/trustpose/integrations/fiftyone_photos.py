"""Match the samples of a FiftyOne data set to photos, and read the photos' sizes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trustpose.files import InputError, check_regular
from trustpose.io.coco.labels import number_in_name
from trustpose.predict.sources import find_photos


def match(paths: Iterable[str], ids: Iterable[int], names: Mapping[int, str]) -> dict[str, int]:
    """Return the image id of each sample, by its file's path; of those that belong to one of `ids`.

    With `names` a sample is the photo of the same path, else of the same name without folders; otherwise the one whose
    id is the number at the end of its name. Raises InputError if two samples are the same photo.
    """
    known_ids = {image_id: image_id for image_id in ids}
    by_path = {str(Path(name).absolute()): image_id for image_id, name in names.items()}
    count = Counter(Path(name).name for name in names.values())
    by_name = {Path(name).name: image_id for image_id, name in names.items() if count[Path(name).name] == 1}
    image_ids: dict[str, int] = {}
    path_of_id: dict[int, str] = {}
    for path in paths:
        number = by_path.get(path, by_name.get(Path(path).name)) if names else number_in_name(path)
        if number is None or number not in known_ids:
            continue
        if path_of_id.setdefault(number, path) != path:
            raise InputError(
                f"{path}: is photo {number}, and so is {path_of_id[number]}; give a view that holds one of them"
            )
        image_ids[path] = number
    return image_ids


def files_of(ids: Iterable[int], names: Mapping[int, str], folder: str | Path | None) -> dict[int, Path]:
    """Return the photo file of each image id: in a folder, by name or by the number at its end; without a folder by
    the path that its name is. Raises InputError for one that is not there."""
    if folder is None:
        unnamed = next((image_id for image_id in ids if image_id not in names), None)
        if unnamed is not None:
            raise InputError(f"photos: the location of photo {unnamed} is unknown, expected the folder with the photos")
        files = {image_id: Path(names[image_id]).absolute() for image_id in ids}
    else:
        image_ids = match([str(path.absolute()) for path in find_photos([Path(folder)])], ids, names)
        files = {image_id: Path(path) for path, image_id in image_ids.items()}
        lacking = next((image_id for image_id in ids if image_id not in files), None)
        if lacking is not None:
            raise InputError(f"{folder}: has no photo {names.get(lacking, f'whose name ends in {lacking}')}")
    for path in files.values():
        check_regular(path)
    return {image_id: files[image_id] for image_id in sorted(files)}


def photo_size(package: Any, sample: Any) -> tuple[int, int]:
    """Return width and height of a sample's photo in pixels, EXIF orientation applied; a sample without `metadata` gets
    it. Raises InputError if it is no photo, or cannot be read."""
    if sample.media_type != "image":
        raise InputError(f"{sample.filepath}: is a {sample.media_type}, expected a photo")
    if sample.metadata is None or not (sample.metadata.width and sample.metadata.height):
        check_regular(sample.filepath)
        try:
            sample.metadata = package.ImageMetadata.build_for(sample.filepath)
        except Exception as error:  # of whichever library reads its format
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{sample.filepath}: its size cannot be read ({reason})") from None
    width, height = sample.metadata.width, sample.metadata.height
    if not width or not height:
        raise InputError(f"{sample.filepath}: its size cannot be read")
    return width, height
