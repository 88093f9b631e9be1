"""The names of `import trustpose as tp`: signatures, help, examples that run, records by path, one-line reprs."""

import doctest
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trustpose as tp
from tests.conftest import REPOSITORY
from tests.docs.made_up import write_files
from trustpose.calibration.options import FitOptions
from trustpose.options import options_of
from trustpose.predict.options import PredictOptions, RunOptions
from trustpose.report.options import DrawingOptions

FUNCTIONS = [name for name in tp.__all__ if inspect.isfunction(getattr(tp, name))]
CLASSES = [name for name in tp.__all__ if inspect.isclass(getattr(tp, name))]


NEXT = {  # the records that a user meets next: fields of the public ones, and what their methods take and return
    "AuditNumbers": "evaluation.record",
    "AveragePrecision": "metrics.average_precision",
    "Camera": "geometry.cameras",
    "Card": "calibration.card",
    "CategoryPrecision": "evaluation.section_records",
    "Change": "reviews",
    "Comparison": "evaluation.record",
    "CompetingScores": "evaluation.section_records",
    "CorrectedLabels": "reviews",
    "CrowdLevel": "evaluation.section_records",
    "Curve": "evaluation.section_records",
    "ErrorModel": "poses",
    "Errors": "evaluation.section_records",
    "ExpectedError": "poses",
    "F1": "evaluation.section_records",
    "FitOptions": "calibration.options",
    "JointTracking": "evaluation.section_records",
    "JointsAudit": "evaluation.localisation",
    "Keypoint": "poses.rows",
    "KeypointPrecision": "evaluation.section_records",
    "KeypointTrust": "evaluation.section_records",
    "KeypointType": "evaluation.section_records",
    "LabelledVisibility": "evaluation.section_records",
    "Localisation": "evaluation.section_records",
    "ModelSpec": "models.spec",
    "OccludedKeypoints": "evaluation.section_records",
    "OcclusionBenchmark": "evaluation.section_records",
    "PartRate": "evaluation.section_records",
    "Photo": "poses.rows",
    "PixelTrust": "metrics.localisation",
    "PoseTrack": "evaluation.section_records",
    "PoseTrust": "evaluation.section_records",
    "PredictOptions": "predict.options",
    "PresenceTrust": "evaluation.section_records",
    "RankedClass": "evaluation.section_records",
    "ScoringErrors": "evaluation.section_records",
    "Smoothed": "tracking.smoothing",
    "TernaryVisibility": "evaluation.section_records",
    "ThresholdPrecision": "evaluation.section_records",
    "Tracker": "tracking.tracker",
    "Tracking": "evaluation.section_records",
    "VisibilityTrust": "evaluation.section_records",
}

in_folder = pytest.mark.usefixtures("here")  # the folder with the made-up files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


@pytest.fixture
def here(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(files)
    return files


def documented() -> Iterator[tuple[str, Any]]:
    """Every public function and class of the face, and the public methods of its classes."""
    for name in (*FUNCTIONS, *CLASSES):
        value = getattr(tp, name)
        yield name, value
        for method, function in inspect.getmembers(value, inspect.isroutine) if inspect.isclass(value) else []:
            is_ours = (getattr(function, "__module__", None) or "").startswith("trustpose.")
            if is_ours and (not method.startswith("_") or method == "__call__"):
                yield f"{name}.{method}", function


def test_the_names_are_there_and_imported_on_first_use() -> None:
    assert len(FUNCTIONS) >= 10 and set(tp.__all__) <= set(dir(tp))
    script = "import sys, trustpose; print([name for name in sys.modules if name.startswith('trustpose.')])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "['trustpose.version']"
    with pytest.raises(AttributeError, match=r"no attribute 'tarck' \(did you mean 'track'\?\)"):
        tp.tarck  # noqa: B018


def test_a_public_name_is_not_taken_by_a_module() -> None:
    """A package of the same name would replace the function when it is imported."""
    modules = {module.name for module in pkgutil.iter_modules(tp.__path__)}
    assert len(modules) > 20
    assert not modules & set(tp.__all__) - {"skeletons"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_real_signatures_and_documented_arguments(name: str) -> None:
    function = getattr(tp, name)
    parameters = inspect.signature(function).parameters
    assert all(parameter.kind is not parameter.VAR_POSITIONAL for parameter in parameters.values())
    text = inspect.getdoc(function) or ""
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert f"\n{section}\n" in text, f"{name}: {section} is missing"
    arguments = text.partition("\nArgs:\n")[2].partition("\nReturns:\n")[0]
    records = (PredictOptions, RunOptions, DrawingOptions) if name in ("load", "run") else ()
    listed = {option for record in records for option in options_of(record)}  # which their records explain
    assert re.findall(r"^    (\w+): ", arguments, re.M) == [
        parameter for parameter in parameters if parameter not in listed
    ], name


def test_functions_that_take_options_by_name_list_them() -> None:
    """The signature in `help` has what the records have, with their defaults; a record prints what is changed alone."""
    for function, records in ((tp.load, [PredictOptions]), (tp.run, [PredictOptions, RunOptions, DrawingOptions])):
        parameters = inspect.signature(function).parameters
        for record in records:
            for name, (field, _) in options_of(record).items():
                assert parameters[name].default == field.default, name
        assert parameters["options"].default == PredictOptions() and "flip" in parameters
    assert repr(PredictOptions(flip=True)) == "PredictOptions(flip=True)" and repr(FitOptions()) == "FitOptions()"


def test_everything_public_has_help() -> None:
    for name, value in documented():
        assert (inspect.getdoc(value) or "").strip(), name
        assert "{" not in repr(getattr(value, "__name__", "")), name


def test_the_story_is_told_in_the_docstring_of_the_package() -> None:
    text = tp.__doc__ or ""
    named = set(re.findall(r"tp\.(\w+)", text))
    assert named <= set(tp.__all__) and {"load", "audit", "Calibrator", "read_poses", "track", "triangulate"} <= named
    assert 15 <= len(text.splitlines()) <= 30


def next_class(name: str) -> type:
    return getattr(import_module(f"trustpose.{NEXT[name]}"), name)


@pytest.mark.parametrize("name", [*NEXT, "Audit", "Poses"])
def test_records_document_every_field(name: str) -> None:
    record: Any = getattr(tp, name) if name in tp.__all__ else next_class(name)
    text = inspect.getdoc(record) or ""
    sections = [part.partition("\n\n")[0] for part in re.split(r"^(?:Args|Attributes):\n", text, flags=re.M)[1:]]
    entries = [entry for section in sections for entry in re.findall(r"^    (\w[\w, ]*): ", section, re.M)]
    listed = {field for entry in entries for field in entry.split(", ")}
    assert text.partition("\n\n")[0].endswith("."), "the first paragraph says what it is"
    if name == "Photo":  # a protocol
        assert listed == {"name"}
        return
    public = {field.name for field in fields(record) if field.init and not field.name.startswith("_")}
    described_options = set(options_of(record))  # by their help text
    assert public - described_options <= listed <= public


@pytest.mark.slow
@in_folder
def test_the_examples_run() -> None:
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name, value in [*documented(), *((name, next_class(name)) for name in NEXT)]:
        for example in finder.find(value, name, globs={"tp": tp, "np": np, "poses": None}):
            runner.run(example)
    results = runner.summarize(verbose=False)
    assert results.failed == 0 and results.attempted >= 15


ONE_LINE: dict[str, Callable[[], object]] = {
    "Poses": lambda: tp.read_poses("results.json"),
    "Truth": lambda: tp.read_truth("gt.json"),
    "Poses3D": lambda: tp.Poses3D(np.zeros((2, 17, 3))),
    "Images": lambda: tp.read_truth("gt.json").images,
    "Skeleton": lambda: tp.SKELETONS["coco17"],
    "Cameras": lambda: tp.read_cameras("cameras.json"),
    "Predictor": lambda: tp.load("default"),
    "Calibrator": lambda: tp.Calibrator.load("shipped:mediapipe"),
    "Recipe": lambda: _recipe(),
    "TruthFile": lambda: _truth_file(),
}


def _recipe() -> tp.Recipe:
    from trustpose.training.recipes import find_recipe

    return find_recipe("hpcvnet/ap/resnet50")


def _truth_file() -> object:
    from trustpose.io.coco.truth import read_coco_truth

    return read_coco_truth("gt.json")


@in_folder
def test_what_functions_return_is_one_line_too() -> None:
    poses, predictor = tp.read_poses("cam1.json"), tp.load("default")
    prediction = next(predictor.stream("photo.jpg"))
    applied = tp.Calibrator.fit("gt.json", "results.json", method="platt", folds=2).apply("new.json")
    for record in (
        poses.expected_error(),
        poses["nose"],
        prediction,
        prediction.photo,
        applied,
        tp.smooth(tp.track("cam1.json")),
    ):
        assert "\n" not in repr(record) and len(repr(record)) < 300


@in_folder
@pytest.mark.parametrize("name", ONE_LINE)
def test_reprs_are_one_line_and_notebooks_show_a_table(name: str) -> None:
    record = ONE_LINE[name]()
    line = repr(record)
    assert line.startswith(f"{name}(") and "\n" not in line and len(line) < 250
    view = record._repr_html_()  # type: ignore[attr-defined]
    assert "<table>" in view and "<script" not in view


def test_texts_of_files_are_escaped_in_notebooks() -> None:
    images = tp.Images(np.array([1]), ["<script>alert(1)</script>.jpg"])
    assert "<script>" not in images._repr_html_() and "&lt;script&gt;" in images._repr_html_()


@in_folder
def test_a_run_writes_what_the_predictor_finds() -> None:
    done = tp.run("photo.jpg", "out", draw=False)
    assert repr(done).startswith("Done(1 person on 1 photo, ")
    poses = tp.read_poses("out/results.json")
    np.testing.assert_array_equal(poses.quality, tp.load("default")("photo.jpg").quality)
    with pytest.raises(tp.InputError, match=r"unknown option 'trak' \(did you mean 'track'\?\)"):
        tp.run("photo.jpg", "out", trak=True)


@in_folder
def test_a_path_stands_for_its_record() -> None:
    poses, cameras = tp.read_poses("cam1.json"), tp.read_cameras("cameras.json")
    tracked = tp.track(poses)
    np.testing.assert_array_equal(tp.track("cam1.json").track_id, tracked.track_id)
    tracked.save("tracked.json")
    np.testing.assert_array_equal(tp.smooth("tracked.json").poses.xy, tp.smooth(tracked).poses.xy)
    names = [f"cam{number}.json" for number in (1, 2, 3, 4)]
    world = tp.triangulate([tp.read_poses(name) for name in names], cameras)
    np.testing.assert_array_equal(tp.triangulate(names, "cameras.json").xyz, world.xyz)
    first = tp.read_poses("results.json")
    np.testing.assert_array_equal(tp.draw("results.json", "photos/000001.jpg"), tp.draw(first, "photos/000001.jpg"))


@in_folder
def test_a_calibrator_takes_paths_and_records() -> None:
    of_files = tp.Calibrator.fit("gt.json", "results.json", method="platt", folds=2)
    of_records = tp.Calibrator.fit(tp.read_truth("gt.json"), tp.read_poses("results.json"), method="platt", folds=2)
    new = tp.read_poses("new.json")
    expected = of_files(new)
    for calibrated in (of_records(new), of_files("new.json"), of_files(Path("new.json"))):
        np.testing.assert_array_equal(calibrated.pose_quality, expected.pose_quality)
        np.testing.assert_array_equal(calibrated.quality, expected.quality)
    assert of_files.warnings("new.json") == of_files.warnings(new)
    assert of_files.shift("new.json").warnings() == of_files.shift(new).warnings()


@pytest.mark.slow  # without the checks of annotations, which would name the types first
@in_folder
def test_wrong_types_are_named() -> None:
    calibrator = tp.Calibrator.load("shipped:mediapipe")
    for message, call in {
        "poses: expected Poses or the path of a results file, got int": lambda: calibrator(3),
        "poses: expected Poses or the path of a results file, got dict": lambda: tp.track({}),
        "poses: expected Poses or the path of a results file, got NoneType": lambda: tp.smooth(None),
        "images: expected Images or the path of a file that lists them, got list": lambda: tp.track("cam1.json", []),
        r"views\[1\]: expected Poses or the path .* got Cameras": lambda: tp.triangulate(
            ["cam1.json", tp.read_cameras("cameras.json")], "cameras.json"
        ),
        "cameras: expected Cameras or the path of their file, got int": lambda: tp.triangulate(["cam1.json"], 4),
        "ground_truth: expected Truth or the path of a ground truth, got Poses": lambda: tp.Calibrator.fit(
            tp.read_poses("results.json"), "results.json"
        ),
        "results: expected Poses or the path of a results file, got Truth": lambda: tp.Calibrator.fit(
            "gt.json", tp.read_truth("gt.json")
        ),
    }.items():
        with pytest.raises(TypeError, match=f"^{message}"):
            call()


@in_folder
def test_poses_are_read_from_every_table_and_from_other_tools() -> None:
    poses = tp.Poses.load("results.json")
    for suffix in ("csv", "parquet"):
        poses.save(f"copy.{suffix}")
        np.testing.assert_array_equal(tp.read_poses(f"copy.{suffix}").xy, poses.xy)
    assert tp.read_poses("openpose").skeleton == tp.SKELETONS["openpose_body25"]
    assert len(tp.read_poses(sorted(Path("openpose").iterdir())[:2])) == 4
    assert tp.read_poses("results.json", skeleton="coco17").skeleton == poses.skeleton
    with pytest.raises(tp.InputError, match=r"nothing\.json: no such file"):
        tp.read_poses("nothing.json")


def test_text_ids_are_numbered_with_a_warning(tmp_path: Path) -> None:
    rows = tmp_path / "texts.json"
    rows.write_text(
        '[{"image_id": "b.jpg", "category_id": 1, "score": 0.5, "bbox": [0, 0, 9, 9], "keypoints": ['
        + "1,2,0.5," * 16
        + "1,2,0.5]}]"
    )
    with pytest.warns(UserWarning, match=r"texts\.json: field 'image_id' holds texts such as 'b\.jpg'"):
        assert tp.read_poses(rows).image_id.tolist() == [1]


@in_folder
def test_truth_has_its_photos() -> None:
    truth = tp.read_truth("gt.json")
    assert len(truth.images) == 30 and truth[:3].images is truth.images
    assert tp.Truth.concatenate([truth[:2], truth[2:]]).images is truth.images
    assert tp.Truth.concatenate([truth, tp.read_truth("other_gt.json")]).images is None


@in_folder
def test_showing_opens_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    tp.read_poses("results.json")[:2].show("photos/000001.jpg", legend=False)
    assert opened[0].startswith("file://") and Path(opened[0].removeprefix("file://")).stat().st_size > 1000


def test_the_table_of_fields_has_every_field_of_poses() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (REPOSITORY / "docs" / "api" / "poses.md").read_text(), re.M)
    assert rows == list(tp.Poses.__dataclass_fields__)


def test_the_api_page_names_everything_public() -> None:
    page = (REPOSITORY / "docs" / "api" / "index.md").read_text()
    assert set(re.findall(r"`tp\.(\w+)`", page)) == set(tp.__all__)


@in_folder
def test_audits_are_saved_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = tp.audit("gt.json", "results.json", draws=20)
    audit.save("audit.json")
    assert json.loads(Path("audit.json").read_text())["ap"]["AP"] == audit.ap.AP
    audit.save("audit.html", images="photos")
    assert Path("audit.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(tp.InputError, match=r"audit\.txt: expected a name that ends in \.json or \.html"):
        audit.save("audit.txt")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    audit.show()
    assert "headroom" in Path(opened[0].removeprefix("file://")).read_text()
