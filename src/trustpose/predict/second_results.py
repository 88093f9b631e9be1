"""Second opinions on the people of a results file: other networks' results, or the networks themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from trustpose.calibration.card import Card
from trustpose.calibration.opinions import Second, matching, second_opinion_on
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile
from trustpose.io.output_files import model_files
from trustpose.io.pose_stream import read_results_on
from trustpose.io.row_stream import open_rows
from trustpose.io.tables import is_results_table
from trustpose.models.spec import DEFAULT
from trustpose.poses import MISSING_ID, Poses
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.base_predictor import BasePredictor
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
        is_folder = path.is_dir() and not is_results_table(path)
        sources.append(SecondSource(name, target, is_model or is_folder))
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
            opinions.append(_predicted(source, load(source.target), images, results, truth))
            continue
        file = read_results_on(source.target, truth)
        opinions.append(Second(file.poses, source.name, Path(file.path).name, file.sha256))
    return tuple(opinions)


def opinions_on_batches(
    sources: Sequence[SecondSource], images: Path | None, card: Card
) -> list[Callable[[ResultsFile], Second]]:
    """Return the second opinions that a calibrator reads, each as a function of a batch of results.

    Args:
        sources: The second opinions.
        images: Folder of the photos, for those that are networks.
        card: The calibrator's.

    Returns:
        Functions that take results on whole photos and return the second opinion on these photos.

    Raises:
        InputError: They are not those that the calibrator was fitted with, or cannot be read.
    """
    announced = [_announced(source) for source in sources]
    needed = {id(opinion) for opinion in matching(card.opinions, announced)}
    opinions: list[Callable[[ResultsFile], Second]] = []
    for source, opinion in zip(sources, announced, strict=True):
        if id(opinion) not in needed:
            continue
        if source.is_model:
            opinions.append(partial(_predicted, source, load(source.target), images))
        else:
            second = open_rows(source.target, whole_photos=False).whole().results
            opinions.append(partial(_of_batch, source, second))
    return opinions


def _of_batch(source: SecondSource, second: ResultsFile, results: ResultsFile) -> Second:
    """Return the second opinion of a results file on the people in the photos of these results."""
    opinion = second_opinion_on(results, second, source.name)
    in_batch = np.zeros(len(opinion.poses), np.bool_)
    for name in ("image_id", "annotation_id"):
        ids, batch_ids = getattr(opinion.poses, name), getattr(results.poses, name)
        if ids is not None and batch_ids is not None:
            in_batch |= np.isin(ids, batch_ids[batch_ids != MISSING_ID])
    return replace(opinion, poses=opinion.poses[in_batch])


def _announced(source: SecondSource) -> Second:
    """Return a second opinion without poses, to be compared with a calibrator's."""
    model = model_fingerprint(source.target) if source.is_model else None
    return Second(Poses(xy=np.zeros((0, 1, 2))), source.name, Path(source.target).name, model=model)


def _predicted(
    source: SecondSource,
    predictor: BasePredictor,
    images: Path | None,
    results: ResultsFile,
    truth: TruthFile | None = None,
) -> Second:
    """Run a network on the people of results."""
    assert images is not None
    texts = None if truth else results.image_texts
    opinion = opinion_on(predictor, results.poses, images, name=source.name, truth=truth, texts=texts)
    return replace(opinion, file=Path(source.target).name)
