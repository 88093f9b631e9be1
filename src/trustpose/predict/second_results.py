"""Second opinions on the people of a results file: other networks' results, or the networks themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trustpose.calibration.card import Card
from trustpose.calibration.opinions import Second, matching, second_opinion_on
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.io.output_files import model_files
from trustpose.models.spec import DEFAULT
from trustpose.poses import Poses
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.calibrated import named, opinion_on
from trustpose.predict.fingerprints import model_fingerprint
from trustpose.predict.load import load


@dataclass(frozen=True)
class SecondSource:
    """Where a second opinion is from: a results file or a model, with the network's name, if it has one."""

    name: str | None
    target: str
    is_model: bool

    @property
    def files(self) -> list[Path]:
        """The files that are read."""
        if not self.is_model:
            return [Path(self.target)]
        return [] if self.target == DEFAULT else model_files(Path(self.target))


def second_sources(texts: Sequence[str], images: Path | None) -> list[SecondSource]:
    """Return what --second names: [NAME=]RESULTS or [NAME=]MODEL. Raises InputError if a network has no photos, or
    photos no network."""
    sources = []
    for name, target in map(named, texts):
        path = Path(target)
        is_model = target == DEFAULT or target.partition(":")[0] in ADAPTERS or path.suffix == ".onnx"
        sources.append(SecondSource(name, target, is_model or path.is_dir()))
    model = next((source for source in sources if source.is_model), None)
    if model is not None and images is None:
        raise InputError(f"--second {model.target}: is a network, which looks at the photos: expected --images DIR")
    if images is not None and model is None:
        raise InputError("--images: is for a network as --second, such as --second default")
    return sources


def opinions_at_fitting(
    sources: Sequence[SecondSource], images: Path | None, truth: TruthFile, results: ResultsFile
) -> tuple[Second, ...]:
    """Return the second opinions on the people of results on a ground truth. Raises InputError."""
    opinions = []
    for source in sources:
        if source.is_model:
            opinions.append(_predicted(source, images, results, truth))
            continue
        file = read_results(source.target, truth=truth, common=True)
        opinions.append(Second(file.poses, source.name, Path(file.path).name, file.sha256))
    return tuple(opinions)


def opinions_of_calibrator(
    sources: Sequence[SecondSource], images: Path | None, results: ResultsFile, card: Card
) -> list[Second]:
    """Return the second opinions that a calibrator reads, on the people of results.

    Raises InputError if they are not those that it was fitted with, before a network runs.
    """
    announced = [_announced(source) for source in sources]
    needed = {id(opinion) for opinion in matching(card.opinions, announced)}
    opinions = []
    for source, opinion in zip(sources, announced, strict=True):
        if id(opinion) not in needed:
            continue
        if source.is_model:
            opinions.append(_predicted(source, images, results))
        else:
            opinions.append(second_opinion_on(results, read_results(source.target), source.name))
    return opinions


def _announced(source: SecondSource) -> Second:
    """Return a second opinion without poses, to be compared with a calibrator's."""
    model = model_fingerprint(source.target) if source.is_model else None
    return Second(Poses(xy=np.zeros((0, 1, 2))), source.name, Path(source.target).name, model=model)


def _predicted(
    source: SecondSource, images: Path | None, results: ResultsFile, truth: TruthFile | None = None
) -> Second:
    """Run a network on the people of results."""
    assert images is not None
    texts = None if truth else results.image_texts
    opinion = opinion_on(load(source.target), results.poses, images, name=source.name, truth=truth, texts=texts)
    return replace(opinion, file=Path(source.target).name)
