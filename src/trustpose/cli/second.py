"""The option --second of `trustpose calibrate`: other networks' results on the same people, or the networks."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.calibration.card import Card
    from trustpose.calibration.second import Second
    from trustpose.formats.coco import ResultsFile, TruthFile


@dataclass(frozen=True)
class Given:
    """One --second: its name if given, and a results file or a model."""

    name: str | None
    target: str
    is_model: bool

    @property
    def files(self) -> list[Path]:
        """The files that it reads."""
        from trustpose.cli.outputs import model_files

        if not self.is_model:
            return [Path(self.target)]
        return [] if self.target == "default" else model_files(Path(self.target))


def parse_second(given: list[str] | None, images: Path | None) -> list[Given]:
    """Return what --second names. Raises InputError if networks have no photos, or photos no network."""
    from trustpose.predict.adapters import ADAPTERS
    from trustpose.predict.second_opinion import named

    found = []
    for name, target in map(named, given or []):
        path = Path(target)
        is_model = target == "default" or target.partition(":")[0] in ADAPTERS or path.suffix == ".onnx"
        found.append(Given(name, target, is_model or path.is_dir()))
    model = next((one for one in found if one.is_model), None)
    if model is not None and images is None:
        raise InputError(f"--second {model.target}: is a network, which looks at the photos: expected --images DIR")
    if images is not None and model is None:
        raise InputError("--images: is for a network as --second, such as --second default")
    return found


def inputs_of(given: list[Given], images: Path | None) -> dict[str, Path | list[Path] | None]:
    """Return the files that no output may overwrite, by option."""
    return {"--second": [file for one in given for file in one.files], "--images": images}


def opinions_at_fitting(
    given: list[Given], images: Path | None, truth: "TruthFile", results: "ResultsFile"
) -> "tuple[Second, ...]":
    """Return the second opinions on the people of results on a ground truth. Raises InputError."""
    from trustpose.calibration.second import Second
    from trustpose.formats.coco import read_results

    found = []
    for one in given:
        if one.is_model:
            found.append(_predicted(one, images, results, truth))
            continue
        read = read_results(one.target, truth=truth, common=True)
        found.append(Second(read.poses, one.name, Path(read.path).name, read.sha256))
    return tuple(found)


def opinions_beside(given: list[Given], images: Path | None, results: "ResultsFile", card: "Card") -> "list[Second]":
    """Return the second opinions that a calibrator reads, on the people of results.

    Raises InputError if they are not those that it was fitted with, before a network runs.
    """
    from trustpose.calibration.opinion_card import matching
    from trustpose.calibration.second import beside
    from trustpose.formats.coco import read_results

    announced = [_announced(one) for one in given]
    read = {id(one) for one in matching(card.opinions, announced)}
    found = []
    for one, early in zip(given, announced, strict=True):
        if id(early) not in read:
            continue
        is_file = not one.is_model
        found.append(
            beside(results, read_results(one.target), one.name) if is_file else _predicted(one, images, results)
        )
    return found


def _announced(given: Given) -> "Second":
    """Return a second opinion without poses, to be compared with a calibrator's."""
    import numpy as np

    from trustpose.calibration.second import Second
    from trustpose.poses import Poses
    from trustpose.predict.fingerprints import model_fingerprint

    empty = Poses(xy=np.zeros((0, 1, 2)))
    model = model_fingerprint(given.target) if given.is_model else None
    return Second(empty, given.name, Path(given.target).name, model=model)


def _predicted(given: Given, images: Path | None, results: "ResultsFile", truth: "TruthFile | None" = None) -> "Second":
    """Run a network on the people of results."""
    from trustpose.predict.load import load
    from trustpose.predict.second_opinion import opinion_on

    assert images is not None
    predictor = load(given.target)
    found = opinion_on(
        predictor, results.poses, images, name=given.name, truth=truth, texts=None if truth else results.image_texts
    )
    return replace(found, file=Path(given.target).name)
