"""The model behind `trustpose predict --model`: our own networks, or another package's estimator."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from trustpose.files import InputError
from trustpose.models.shipped import DEFAULT, default_folder, detector_folder
from trustpose.models.spec import PeopleOutput, output_kind
from trustpose.predict.adapters import Adapter, find_adapter
from trustpose.predict.adapters.estimator import EstimatorPredictor
from trustpose.predict.detectors import PEOPLE_MIN_SCORE, load_detector
from trustpose.predict.load import AnyPredictor
from trustpose.predict.top_down import Predictor

Given = dict[str, Path | str | None]

_UNSAID = {"flip": False, "decoding": None, "backend": "onnx", "device": None, "precision": "float32", "batch_size": 16}


@dataclass(frozen=True)
class Model:
    """What `--model` names and how it is to run. `files`: where the people are, by the default detector where nothing
    says so; `how`: `Predictor.load`'s options.

    `estimator` is another package's, which is open already: only so is it known whether it finds people by itself.
    """

    name: str
    files: Given
    how: dict[str, Any]
    skeleton: str | None
    min_box_score: float | None
    is_bottom_up: bool
    estimator: AnyPredictor | None

    @classmethod
    def of(
        cls, name: str, files: Given, how: dict[str, Any], skeleton: str | None, min_box_score: float | None
    ) -> "Model":
        """What the options say. Raises InputError where they do not fit each other."""
        name = str(default_folder()) if name == DEFAULT else name
        adapter = find_adapter(name)
        estimator = None if adapter is None else _open(adapter, name, how, skeleton)
        if estimator is None and skeleton is not None:
            raise InputError("--skeleton: is for another package's estimator (trustpose models --adapters)")
        people = getattr(estimator.spec, "people", "boxes") if estimator is not None else None
        is_asked = people == "either" and all(files[source] is None for source in ("gt", "boxes", "detector"))
        is_bottom_up = people == "photo" or is_asked if people is not None else output_kind(name) == PeopleOutput.kind
        if not is_bottom_up and all(files[source] is None for source in ("gt", "boxes", "detector")):
            files = files | {"detector": DEFAULT}
        _check_people(name, files, is_bottom_up=is_bottom_up)
        return cls(name, files, how, skeleton, min_box_score, is_bottom_up, estimator)

    @property
    def file(self) -> Path:
        """The file or folder, which no output may take the place of."""
        return Path(self.name if find_adapter(self.name) is None else self.name.partition(":")[2])

    @property
    def settings(self) -> dict[str, Any]:
        """What the poses depend on."""
        model = {"model": _fingerprint(self.file)}
        model |= {} if self.estimator is None else {"estimator": self.name.partition(":")[0], "skeleton": self.skeleton}
        how = {name: value for name, value in self.how.items() if name != "batch_size"}
        files = {name: detector_folder() if file == DEFAULT else file for name, file in self.files.items()}
        return model | {name: _fingerprint(file) for name, file in files.items()} | how

    def load(self) -> AnyPredictor:
        """The predictor, with its detector. Raises InputError."""
        detector, weights = self.files["detector"], self.files["detector_weights"]
        found = None
        if detector is not None:
            found = load_detector(str(detector), None if weights is None else Path(weights), self.min_box_score)
        if self.estimator is not None:
            self.estimator.detector = found  # type: ignore[union-attr]
            if isinstance(self.estimator, EstimatorPredictor) and self.min_box_score is not None:
                self.estimator.min_score = self.min_box_score
            return self.estimator
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", category=UserWarning)
            predictor = Predictor.load(self.name, detector=found, **self.how)
        for warning in said:
            typer.echo(f"trustpose: warning: {' '.join(str(warning.message).split())}", err=True)
        if not isinstance(predictor, Predictor):
            predictor.min_score = PEOPLE_MIN_SCORE if self.min_box_score is None else self.min_box_score
        return predictor


def _open(adapter: Adapter, name: str, how: dict[str, Any], skeleton: str | None) -> Predictor | EstimatorPredictor:
    """Another package's estimator with those options that were given."""
    options = {option: value for option, value in how.items() if value != _UNSAID[option]}
    return adapter.load(name, **options, **({} if skeleton is None else {"skeleton": skeleton}))


def _check_people(model: str, given: Given, *, is_bottom_up: bool) -> None:
    """One thing says where the people are; with --gt beside it for the photos' ids."""
    if is_bottom_up:
        wrong = next((name for name in ("boxes", "detector") if given[name] is not None), None)
        if wrong is not None:
            raise InputError(f"{model}: finds the people of whole photos by itself; leave out --{wrong}")
    elif given["boxes"] is not None and given["detector"] is not None:
        raise InputError("--boxes and --detector: both say where the people are, give one of them")
    if given["detector_weights"] is not None and given["detector"] is None:
        raise InputError("--detector-weights: are for a --detector of torchvision's")


def _fingerprint(given: Path | str | None) -> str | None:
    """What a file holds (of a network also its JSON, of a model folder its spec and network); a name as it is."""
    if given is None:
        return None
    path = Path(given)
    parts = [path / "model.json", path / "model.onnx"] if path.is_dir() else [path, path.with_suffix(".json")]
    parts = [part for part in dict.fromkeys(parts) if part.is_file()]
    if not parts:
        return str(given)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes())
    return digest.hexdigest()
