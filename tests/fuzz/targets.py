"""Targets: the files to mutate, the kind of mutation, and the command or function that reads them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.fuzz import format_mutations, mutations
from tests.fuzz.seeds import HAS_TORCH, HAS_VIDEO, IMAGE_ID
from trustpose.cli import main
from trustpose.cli.library_messages import hide_library_messages
from trustpose.files import InputError, read_json

OUT = "written"  # the folder for outputs in a target's own: nothing may be in it after a refusal


@dataclass(frozen=True)
class Target:
    """`files` (globs) of the seeds' `folder` are mutated, one at a time; `run` reads it, in a copy of the folder.

    `run` gives whether it was read; InputError means the same as False.
    """

    name: str
    folder: str
    files: tuple[str, ...]
    mutate: mutations.Mutation
    run: Callable[[Path, Path], bool]

    def seeds(self, seeds: Path) -> list[Path]:
        """The files that mutations start from, by their names in the folder."""
        folder = seeds / self.folder
        return sorted(path.relative_to(folder) for glob in self.files for path in folder.glob(glob))

    def prepare(self, seeds: Path, scratch: Path, file: Path, content: bytes) -> None:
        """A fresh copy of the folder with that content in the file."""
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(seeds / self.folder, scratch)
        (scratch / file).write_bytes(content)

    def read(self, scratch: Path, file: Path) -> bool:
        """Whether the mutated file was read. Raises what should not be: an exception, or outputs half-written."""
        try:
            is_read = self.run(scratch, scratch / file)
        except InputError as error:
            if "\n" in str(error):
                raise AssertionError("the message has several lines") from error
            is_read = False
        left = [] if is_read else [path.name for path in (scratch / OUT).rglob("*") if path.is_file()]
        if left:
            raise AssertionError(f"refused, but wrote {', '.join(left)}")
        return is_read


def _command(*words: object) -> bool:
    """Whether a command succeeded; False for wrong input, reported in one line."""
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        if end.code not in (0, 1, 2):
            raise AssertionError(f"exit code {end.code}") from end
        return end.code != 2
    raise AssertionError("the command did not exit")


def _audit(folder: Path, _: Path) -> bool:
    arguments = ("--gt", folder / "gt.json", "--results", folder / "results.json", "--draws", 5)
    return _command("audit", *arguments, "--json", folder / OUT / "audit.json")


def _report(folder: Path, _: Path) -> bool:
    arguments = ("--gt", folder / "gt.json", "--before", folder / "results.json", "--after", folder / "results.json")
    page = ("--report", folder / OUT / "report.html")
    return _command("audit", *arguments, "--calibrator", folder / "platt.cal", "--draws", 5, *page)


def _skeleton(folder: Path, file: Path) -> bool:
    arguments = ("--gt", folder / "gt.json", "--results", folder / "results.json", "--draws", 0, "--skeleton", file)
    return _command("audit", *arguments, "--json", folder / OUT / "audit.json")


def _apply(folder: Path, file: Path) -> bool:
    calibrator = file if file.suffix == ".cal" else folder / "trees.cal"
    arguments = ("--calibrator", calibrator, "--results", folder / "results.json")
    return _command("calibrate", "apply", *arguments, "--out", folder / OUT / "better.json")


def _fit(folder: Path, _: Path) -> bool:
    arguments = ("--gt", folder / "gt.json", "--results", folder / "results.json", "--draws", 2, "--method", "isotonic")
    return _command("calibrate", "fit", *arguments, "--folds", 2, "--out", folder / OUT / "new.cal")


def _suppress(folder: Path, _: Path) -> bool:
    arguments = ("--results", folder / "results.json", "--method", "soft-oks-nms", "--area", "box")
    return _command("suppress", *arguments, "--out", folder / OUT / "fewer.json")


def _convert(folder: Path, file: Path) -> bool:
    arguments = ("--gt", file.parent / "gt" / "gt.json", "--out", folder / OUT / "results.json", "--fill-missing")
    return _command("convert", file, *arguments)


def _convert_to(folder: Path, truth: Path) -> bool:
    (file,) = truth.parents[1].glob("*.json")
    return _convert(folder, file)


def _convert_alone(folder: Path, file: Path) -> bool:
    return _command("convert", file, "--out", folder / OUT / "results.json")


def _convert_samples(folder: Path, file: Path) -> bool:
    photo = folder / f"{file.stem}.jpg"
    shutil.copy(folder.parent / "seeds" / "photos" / f"{IMAGE_ID}.jpg", photo)  # shares of a photo need its size
    return _command("convert", file, "--images", folder, "--out", folder / OUT / "results.json")


def _predict(folder: Path, model: Path, *more: object) -> bool:
    photo = folder / f"{IMAGE_ID}.png"
    return _command("predict", photo, "--model", model, "--out", folder / "out", "--no-draw", "--overwrite", *more)


def _of_network(folder: Path, file: Path) -> bool:
    if file.suffix == ".json":
        return _predict(folder, file, "--detector", "whole", "--flip")
    return _predict(folder, file, "--detector", "whole")


def _of_boxes(folder: Path, _: Path) -> bool:
    return _predict(folder, folder / "colours.onnx", "--boxes", folder / "boxes.json")


def _of_truth(folder: Path, _: Path) -> bool:
    return _predict(folder, folder / "colours.onnx", "--gt", folder / "gt.json", "--all-people")


def _of_pixels(folder: Path, file: Path) -> bool:
    network = folder.parent / "seeds" / "network" / "colours.onnx"
    return _command("predict", file, "--model", network, "--out", folder / "out", "--detector", "whole", "--overwrite")


def _detector(folder: Path, _: Path) -> bool:
    network = folder.parent / "seeds" / "network" / "colours.onnx"
    return _predict(folder, network, "--detector", folder / "boxes.onnx")


def _people(folder: Path, _: Path) -> bool:
    return _predict(folder, folder / "people.onnx")


def _models(folder: Path, _: Path) -> bool:
    return _command("models", "--dir", folder)


def _journal(_: Path, file: Path) -> bool:
    from trustpose.poses import Poses
    from trustpose.predict.journal import Journal

    with Journal(file, {"model": "x"}, is_resumed=True) as journal:
        parts = [poses for poses in journal.done.values() if len(poses)]
        if parts:
            Poses.concatenate(parts)
            journal.add(99, parts[0])
    return True


def _shards(folder: Path, _: Path) -> bool:
    from trustpose.datasets.shards import shard_people

    with hide_library_messages():  # which commands do by themselves
        people = shard_people(folder)
        return len([people[index] for index in range(len(people))]) == len(people)


def _cameras(_: Path, file: Path) -> bool:
    from trustpose.io.cameras import read_cameras

    rig = read_cameras(file, unit="mm")
    with np.errstate(all="ignore"):  # a camera may be anywhere
        return rig.project(np.zeros((1, 3))).shape == (len(rig), 1, 2)


def _scene(_: Path, file: Path) -> bool:
    from trustpose.io.scene_points import read_scene_points

    return all(len(scene_point.names) == len(scene_point.xyz) for scene_point in read_scene_points(file).values())


def _world(_: Path, file: Path) -> bool:
    from trustpose.io.poses3d import read_poses3d

    with hide_library_messages():  # which commands do by themselves
        return read_poses3d(file).xyz.ndim == 3


def _recipe(_: Path, file: Path) -> bool:
    from trustpose.training.recipe import from_json, with_overrides

    recipe = with_overrides(from_json(read_json(file)), {"train.seed": "1"})
    return recipe.plan.epochs > 0


def _checkpoint(folder: Path, _: Path) -> bool:
    from tests.training.tiny import one_process, tiny_recipe, tiny_task
    from trustpose.training.loop import NonFiniteLossError, fit

    recipe = tiny_recipe(ema=0.9)
    try:
        fit(tiny_task(recipe), recipe, folder, one_process())
    except NonFiniteLossError:  # weights that are no numbers: said, with exit code 1, when the loss is none
        return True
    return True


def _caffemodel(_: Path, file: Path) -> bool:
    from trustpose.networks.checkpoint_files import read_tensors

    return bool(read_tensors(file))


def _weights(_: Path, file: Path) -> bool:
    from tests.training.tiny import tiny_network
    from trustpose.networks.checkpoint_files import read_tensors
    from trustpose.networks.checkpoints import convert

    network = tiny_network()
    network.load_state_dict(convert(read_tensors(file), network))
    return True


_JSON, _BYTES, _LINES = mutations.mutate_json, mutations.mutate_bytes, mutations.mutate_lines
_NUMBERS = mutations.mutate_numbers
TARGETS: tuple[Target, ...] = (
    Target("results-audit", "results", ("results.json",), _JSON, _audit),
    Target("results-report", "results", ("results.json",), _JSON, _report),
    Target("results-apply", "results", ("results.json",), _JSON, _apply),
    Target("results-fit", "results", ("results.json",), _JSON, _fit),
    Target("results-suppress", "results", ("results.json",), _JSON, _suppress),
    Target("truth-audit", "results", ("gt.json",), _JSON, _audit),
    Target("truth-fit", "results", ("gt.json",), _JSON, _fit),
    Target("skeleton", "results", ("skeleton.json",), _JSON, _skeleton),
    Target("calibrator", "results", ("*.cal",), mutations.mutate_npz, _apply),
    Target("boxes", "network", ("boxes.json",), _JSON, _of_boxes),
    Target("truth-predict", "network", ("gt.json",), _JSON, _of_truth),
    Target("spec", "network", ("colours.json", "trusted.json"), _JSON, _of_network),
    Target("spec-models", "network", ("colours.json",), _JSON, _models),
    Target("spec-detector", "detector", ("boxes.json",), _JSON, _detector),
    Target("spec-people", "people", ("people.json",), _JSON, _people),
    Target("onnx", "network", ("colours.onnx", "trusted.onnx"), mutations.mutate_onnx, _of_network),
    Target("onnx-detector", "detector", ("boxes.onnx",), mutations.mutate_onnx, _detector),
    Target("onnx-people", "people", ("people.onnx",), mutations.mutate_onnx, _people),
    Target("photo", "photos", ("*",), _BYTES, _of_pixels),
    Target("journal", "network", ("journal",), mutations.mutate_journal, _journal),
    Target("shards-index", "shards", ("index.json",), _JSON, _shards),
    Target("shards-tar", "shards", ("*.tar",), _BYTES, _shards),
    Target("convert", "poses", ("*/*.json",), _JSON, _convert),
    Target("convert-alone", "poses", ("*/*.json",), _JSON, _convert_alone),
    Target("convert-truth", "poses", ("mmpose/gt/gt.json",), _JSON, _convert_to),
    Target("convert-text", "poses", ("*/*.txt",), _LINES, _convert),
    Target("convert-csv", "poses", ("*/*.csv",), _LINES, _convert_alone),
    Target("cameras-json", "cameras", ("*/*.json",), _JSON, _cameras),
    Target("cameras-text", "cameras", ("*/*.toml", "*/*.txt", "*/*.xml", "*/*.yml"), _LINES, _cameras),
    Target("cameras-numbers", "cameras", ("*/*.toml", "*/*.txt", "*/*.xml", "*/*.yml"), _NUMBERS, _cameras),
    Target("scene-json", "scene", ("points.json",), _JSON, _scene),
    Target("scene-csv", "scene", ("points.csv",), _LINES, _scene),
    Target("world-json", "world", ("people.json",), _JSON, _world),
    Target("world-text", "world", ("people.csv", "people.trc"), _LINES, _world),
    Target("world-bytes", "world", ("people.parquet", "people.c3d"), _BYTES, _world),
    Target("convert-hdf5", "poses", ("hdf5/*.h5",), _BYTES, _convert_alone),
    Target("animals-csv", "animals", ("multi.csv",), _LINES, _convert_alone),
    Target("animals-hdf5", "animals", ("*.h5",), format_mutations.mutate_hdf5, _convert_alone),
    Target("sleap-project", "sleap", ("*.slp",), format_mutations.mutate_hdf5, _convert_alone),
    Target("sleap-analysis", "sleap", ("*.h5",), format_mutations.mutate_hdf5, _convert_alone),
    Target("videopose3d", "videopose3d", ("*.npz",), format_mutations.mutate_pickles, _convert_alone),
    Target("samples-csv", "samples", ("*.csv",), _LINES, _convert_alone),
    Target("samples-json", "samples", ("*.json",), _JSON, _convert_samples),
    Target("cvat", "labels", ("*.xml",), format_mutations.mutate_xml, _convert_alone),
    Target("label-studio", "labels", ("studio.json",), _JSON, _convert_alone),
    Target("via-json", "labels", ("via*.json",), _JSON, _convert_alone),
    Target("via-csv", "labels", ("via.csv",), _LINES, _convert_alone),
    *((Target("video", "videos", ("clip.*",), format_mutations.mutate_video, _of_pixels),) if HAS_VIDEO else ()),
    *(
        (
            Target("recipe", "recipe", ("recipe.json",), _JSON, _recipe),
            Target("checkpoint", "checkpoints", ("checkpoint.pt",), mutations.mutate_checkpoint, _checkpoint),
            Target("weights-zip", "checkpoints", ("public.pth",), mutations.mutate_checkpoint, _weights),
            Target("caffemodel", "checkpoints", ("net.caffemodel",), _BYTES, _caffemodel),
            Target("weights", "checkpoints", ("older.pth", "weights.safetensors"), _BYTES, _weights),
        )
        if HAS_TORCH
        else ()
    ),
)
