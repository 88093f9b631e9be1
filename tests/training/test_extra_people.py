"""Trainings on several data sets: only the first is divided, and each epoch shows a share of the others."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.people_cases import write_training_folder
from tests.training.tiny import equal, one_process, rows, tiny_people, tiny_recipe, tiny_task, weights
from trustpose.cli import main
from trustpose.datasets.dataset_ops import join, map_joints
from trustpose.files import InputError, write_json
from trustpose.models.spec import ModelSpec
from trustpose.skeletons import LSP_14
from trustpose.training.loop import fit
from trustpose.training.network_task import NetworkTask, people_of_epoch
from trustpose.training.people import open_people, open_training, split_by_fold
from trustpose.training.recipe import DataOptions, to_json
from trustpose.training.tasks import make_task

OPTIONS = DataOptions(folds=3, fold=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    """Three data sets; ids of images and annotations are 1, 2, … in each of them."""
    return [write_training_folder(tmp_path_factory.mktemp("data"), photos=photos) for photos in (9, 6, 14)]


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, arguments), "--accelerator", "cpu"])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_equal_ids_elsewhere_move_nobody_into_or_out_of_the_fold(folders):
    alone = split_by_fold(open_people(folders[0], OPTIONS), OPTIONS)
    training = open_training(folders, OPTIONS)
    assert alone[1] is not None and training.held_out is not None
    assert training.held_out.annotation_id.tolist() == alone[1].annotation_id.tolist()
    assert training.first_count == len(alone[0])
    assert training.training.annotation_id[: training.first_count].tolist() == alone[0].annotation_id.tolist()
    peoples = [open_people(folder, OPTIONS) for folder in folders[1:]]
    expected = np.concatenate([people.annotation_id for people in peoples]).tolist()
    assert (
        training.training.annotation_id[training.first_count :].tolist() == expected
    )  # all of them, the fold's ids too
    assert set(training.held_out.image_id) & set(training.training.image_id[training.first_count :])
    held_out = {sample.pixels.tobytes() for sample in training.held_out}
    assert not held_out & {sample.pixels.tobytes() for sample in list(training.training)[: training.first_count]}


def test_photos_of_another_ground_truth_only(folders, tmp_path):
    """Of the first folder; the others are taken whole."""
    labels = next(folders[0].glob("*.json"))
    content = json.loads(labels.read_text())
    ids = {image["id"] for image in content["images"][:4]}
    content["images"] = content["images"][:4]
    content["annotations"] = [annotation for annotation in content["annotations"] if annotation["image_id"] in ids]
    (tmp_path / "some.json").write_text(json.dumps(content))
    options = replace(OPTIONS, folds=0, photos=str(tmp_path / "some.json"))
    training = open_training(folders[:2], options)
    assert set(training.training.image_id[: training.first_count].tolist()) == ids
    assert len(training.training) - training.first_count == len(open_people(folders[1], OPTIONS))


def test_one_folder_is_as_it_was(folders):
    training = open_training(folders[:1], OPTIONS)
    assert training.first_count == len(training.training)
    assert people_of_epoch(training.training, training.first_count, tiny_recipe(), 3) is training.training
    with pytest.raises(InputError, match="was given twice as --data"):
        open_training([folders[0], folders[1], folders[0] / ".." / folders[0].name], OPTIONS)


def test_labels_of_mapped_people_are_those_of_their_samples(folders):
    people = map_joints(open_people(folders[0], OPTIONS), LSP_14)
    v, is_ternary = people.labels.v, people.labels.is_ternary
    samples = list(people)
    assert v.tolist() == [sample.v.tolist() for sample in samples]
    assert is_ternary.tolist() == [
        (sample.has_joint & (sample.has_visibility | (sample.v == 0))).tolist() for sample in samples
    ]
    assert not is_ternary.all() and is_ternary.any()


def test_an_epoch_shows_all_of_the_first_and_a_share_of_the_others():
    people = join([tiny_people(5), tiny_people(40, seed=1)])
    recipe = tiny_recipe()
    recipe = replace(recipe, data=replace(recipe.data, extra_share=0.25))
    shown = [people_of_epoch(people, 5, recipe, epoch).annotation_id.tolist() for epoch in range(40)]
    assert all(ids[:5] == [1, 2, 3, 4, 5] and len(set(ids[5:])) == len(ids) - 5 == 10 for ids in shown)
    assert shown[0] != shown[1]
    counts = np.bincount(np.concatenate([ids[5:] for ids in shown]), minlength=41)[1:]
    assert counts.min() > 0 and counts.mean() == 10 and counts.max() < 22  # expected: 10 ± 2.7 each
    assert people_of_epoch(people, 5, recipe, 7).annotation_id.tolist() == shown[7]
    changed_recipe = replace(recipe, train=replace(recipe.train, seed=1))
    assert people_of_epoch(people, 5, changed_recipe, 7).annotation_id.tolist() != shown[7]
    for share, length in ((0.0, 5), (1.0, 45)):
        assert (
            len(people_of_epoch(people, 5, replace(recipe, data=replace(recipe.data, extra_share=share)), 0)) == length
        )
    with pytest.raises(ValueError, match=r"extra_share: expected 0 to 1, got 1\.5"):
        replace(recipe.data, extra_share=1.5)


class Killed(BaseException):
    pass


def test_a_run_that_was_stopped_goes_on_with_the_same_people(tmp_path):
    recipe = tiny_recipe()
    recipe = replace(recipe, data=replace(recipe.data, extra_share=0.5))

    def trained(folder: Path, stop_at: int | None = None) -> NetworkTask:
        learner = tiny_task(recipe, dropout=0.2).learner
        task = NetworkTask(recipe, learner, join([tiny_people(8), tiny_people(16, seed=1)]), None, 8)
        compute, calls = task.losses, []

        def losses(*arguments):
            calls.append(0)
            if stop_at is not None and len(calls) > stop_at:
                raise Killed
            return compute(*arguments)

        task.losses = losses
        fit(task, recipe, folder, one_process())
        return task

    whole = trained(tmp_path / "whole")
    for stop_at in (5, 2):  # in the second epoch, of four steps each; and again after it went on
        with pytest.raises(Killed):
            trained(tmp_path / "parts", stop_at)
    assert equal(weights(trained(tmp_path / "parts")), weights(whole))
    assert rows(tmp_path / "parts" / "train.csv") == rows(tmp_path / "whole" / "train.csv")
    assert int(rows(tmp_path / "whole" / "train.csv")[-1]["step"]) == 8


def test_from_two_folders_to_a_model(folders, tmp_path, capsys):
    recipe = tiny_recipe()
    write_json(tmp_path / "small.json", to_json(replace(recipe, data=replace(recipe.data, folds=3))))
    arguments = (tmp_path / "small.json", "--data", folders[0], "--data", folders[1], "--data.extra_share=0.5")
    code, output, errors = run(capsys, *arguments, "--out", tmp_path / "out", "--head=oks-net")
    assert (code, errors) == (0, "") and "ap.AP" in output
    training = open_training(folders[:2], replace(recipe.data, folds=3))
    trust = ModelSpec.read(tmp_path / "out").trust
    assert trust is not None and trust.fitted_on["people"] == len(training.training)


COCO = "; COCO is published at https://cocodataset.org/#download"


def test_systems_that_train_on_one_data_set_say_so(folders, tmp_path, capsys):
    twice = ("--data", folders[0], "--data", folders[1], "--out", tmp_path / "out")
    for name, system in (("frozen-trust", "frozen"), ("light-detector", "detector")):
        code, output, errors = run(capsys, name, *twice)
        assert (code, output) == (2, "")
        assert errors == (f"trustpose: error: --data: was given 2 times, but system {system} trains on one data set\n")
    assert not (tmp_path / "out").exists()
    code, _, errors = run(capsys, "light-detector", "--data", folders[0], "--data", tmp_path / "no", "--out", "o")
    assert (code, errors) == (2, f"trustpose: error: {tmp_path / 'no'}: no such directory, see --data{COCO}\n")
    with pytest.raises(InputError, match="holds no known data set"):
        make_task(tiny_recipe(), [folders[0], tmp_path], None, tmp_path)
