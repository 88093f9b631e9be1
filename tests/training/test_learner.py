"""What networks learn from: maps with a background, hard keypoints, positions, and networks in parts."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.training.tiny import equal, one_process, tiny_people, tiny_recipe, weights
from trustpose.codecs.coordinates import soft_argmax
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.files import InputError
from trustpose.heads.stages import Stage
from trustpose.models.runtime.weights import load_module
from trustpose.models.spec import ModelSpec
from trustpose.networks.zoo import build
from trustpose.skeletons import Skeleton
from trustpose.training.learner import (
    check_parts,
    coarse_to_fine_terms,
    coordinate_loss,
    heatmap_loss,
    integral_loss,
    neighbour_matrix,
    structure_loss,
)
from trustpose.training.loop import fit
from trustpose.training.network_task import Learner, NetworkTask
from trustpose.training.people import split_by_fold

CODEC = HeatmapCodec(6, 8, 4.0, sigma=1.0, decoding="integral", temperature=1.0)


def batch(people: int = 3, keypoints: int = 4) -> dict[str, torch.Tensor]:
    random = np.random.default_rng(0)
    xy = random.uniform((0, 0), (23, 31), (people, keypoints, 2))
    labelled = random.random((people, keypoints)) < 0.7
    return {
        "xy": torch.from_numpy(xy).float(),
        "heatmaps": torch.from_numpy(CODEC.encode(xy, labelled)),
        "weights": torch.from_numpy(CODEC.weights(xy, labelled)),
        "pixels": torch.zeros(people, 32, 24, 3),
    }


def test_a_map_more_than_keypoints_learns_the_background():
    first_batch, people = batch(), torch.tensor(3)
    maps = torch.rand(3, 5, 8, 6)
    expected = 0.0
    for person in range(3):
        background = 1 - first_batch["heatmaps"][person].max(dim=0).values
        expected += float((maps[person, 4] - background).square().mean())
        for joint in range(4):
            error = (maps[person, joint] - first_batch["heatmaps"][person, joint]).square().mean()
            expected += float(first_batch["weights"][person, joint] * error)
    loss = heatmap_loss([maps], first_batch["heatmaps"], first_batch["weights"], people)
    assert float(loss) == pytest.approx(0.5 * expected / 15, rel=1e-5)


def test_only_the_last_stage_chooses_hard_keypoints():
    first_batch, people = batch(), torch.tensor(3)
    first, last = torch.rand(3, 4, 8, 6), torch.rand(3, 4, 8, 6)
    errors = first_batch["weights"][..., None, None] * (last - first_batch["heatmaps"])
    values = errors.square().mean(dim=(2, 3)).sort(dim=1, descending=True).values  # (3, 4)
    expected = (
        heatmap_loss([first], first_batch["heatmaps"], first_batch["weights"], people) + 0.5 * values[:, :2].mean()
    )
    loss = heatmap_loss([first, last], first_batch["heatmaps"], first_batch["weights"], people, hard_keypoints=2)
    torch.testing.assert_close(loss, expected)


def test_integral_loss_is_the_distance_of_decoded_positions():
    first_batch, people = batch(), torch.tensor(3)
    stages = [torch.randn(3, 4, 8, 6) * 3 for _ in range(2)]
    expected = 0.0
    for maps in stages:
        xy = soft_argmax(maps.numpy()) * 4.0
        distance = (np.abs(xy - first_batch["xy"].numpy()) / (24, 32)).sum(axis=2)
        expected += (distance * first_batch["weights"].numpy()).mean()
    assert float(integral_loss(stages, first_batch, people, CODEC)) == pytest.approx(expected, rel=1e-5)
    perfect = torch.cat([first_batch["xy"] / torch.tensor([24.0, 32.0]), torch.ones(3, 4, 1)], dim=2)
    assert float(coordinate_loss(perfect, first_batch, people)) == pytest.approx(0, abs=1e-7)
    assert float(coordinate_loss(perfect + 0.1, first_batch, people)) == pytest.approx(
        0.2 * float(first_batch["weights"].mean()), rel=1e-5
    )


def test_fine_targets_are_where_the_joint_is_in_its_window():
    first_batch, people = batch(people=1, keypoints=2), torch.tensor(1)
    first_batch["weights"] = torch.ones(1, 2)
    first_batch["xy"] = torch.tensor([[[10.0, 13.0], [2.0, 30.0]]])
    centres = torch.tensor([[[8, 12], [20, 4]]])  # the second joint is outside its window
    fine = torch.zeros(1, 2, 8, 8)
    at = torch.arange(8.0)
    bump = torch.exp(-((at - 6) ** 2) / 2)[None] * torch.exp(-((at - 5) ** 2) / 2)[:, None]  # 10 − 8 + 4, 13 − 12 + 4
    answer = {"coarse": first_batch["heatmaps"], "fine": fine, "centres": centres}
    terms = coarse_to_fine_terms(answer, first_batch, people, CODEC)
    assert float(terms["fine"]) == pytest.approx(0.1 * 0.5 * float(bump.square().mean()) / 2, rel=1e-5)
    answer["fine"] = torch.stack([bump, fine[0, 1]])[None]
    assert float(coarse_to_fine_terms(answer, first_batch, people, CODEC)["fine"]) == pytest.approx(0, abs=1e-9)


def partwise(network: str, objective: str, stages: tuple[Stage, ...]) -> tuple[NetworkTask, object]:
    recipe = tiny_recipe(stages, objective=objective, lr=1e-3)
    recipe = replace(recipe, network=network, height=64, width=64)
    torch.manual_seed(0)
    training, held_out = split_by_fold(tiny_people(8), recipe.data)
    return NetworkTask(recipe, Learner(build(network, 17), None), training, held_out), recipe


def test_a_cascade_is_trained_one_stage_at_a_time(tmp_path):
    stages = (Stage(1, 1.0, 0.0, part=0), Stage(1, 1.0, 0.0, part=1), Stage(1, 1.0, 0.0, part=2))
    task, recipe = partwise("small-deep-pose-3", "cascade", stages)
    seen, stage = [], task.stage
    parts = [f"network.stages.{number}." for number in range(3)]

    def noting(now: Stage) -> None:
        seen.append(weights(task))
        stage(now)

    task.stage = noting
    fit(task, recipe, tmp_path, one_process())
    seen.append(weights(task))
    for number in range(3):
        before, after = seen[number], seen[number + 1]
        for index, part in enumerate(parts):
            names = [name for name in before if name.startswith(part)]
            same = all(torch.equal(before[name], after[name]) for name in names)
            assert same == (index != number)
    network_displacement_mean = weights(task)["network.displacement_mean"]
    assert all(network_displacement_mean[number].abs().sum() > 0 for number in range(3))
    task.export(tmp_path / "model")
    spec = ModelSpec.read(tmp_path / "model")
    assert spec.output.kind == "coordinates"
    image = torch.rand(2, 3, 64, 64)
    network = task.learner.network.eval()
    torch.testing.assert_close(load_module(spec)(image).coordinates, network(image).coordinates)


def test_coarse_then_fine_then_both(tmp_path):
    stages = (Stage(1, 1.0, 0.0, part=0), Stage(1, 1.0, 0.0, part=1), Stage(1, 1.0, 0.0))
    task, recipe = partwise("small-tompson", "coarse-to-fine", stages)
    states, stage = [], task.stage

    def noting(now: Stage) -> None:
        states.append(weights(task))
        stage(now)

    task.stage = noting
    fit(task, recipe, tmp_path, one_process())
    states.append(weights(task))
    moved = [
        [not equal(*({name: value for name, value in one.items() if part in name} for one in pair)) for part in PARTS]
        for pair in pairwise(states)
    ]
    assert moved == [[True, False], [False, True], [True, True]]


PARTS = ("network.coarse.", "network.fine.")


@pytest.mark.parametrize(
    ("network", "objective", "stages", "message"),
    [
        (
            "small-deep-pose-3",
            "heatmaps",
            None,
            "train.objective: expected cascade for small-deep-pose-3",
        ),
        ("small-deep-pose-3", "cascade", None, "stage 0: expected a part, a cascade's are trained one by one"),
        ("small-hrnet", "cascade", None, "train.objective: expected heatmaps or integral for small-hrnet, got cascade"),
        ("small-hrnet", "heatmaps", (Stage(1, 1.0, 0.0, part=0),), "trains part 0, small-hrnet has no parts"),
        ("small-tompson", "coarse-to-fine", (Stage(1, 1.0, 0.0, part=2),), "trains part 2, small-tompson has 2 parts"),
    ],
)
def test_objectives_that_do_not_fit_are_reported(network, objective, stages, message):
    recipe = tiny_recipe(stages or (Stage(2, 1.0, 0.0),), objective=objective)
    with pytest.raises(InputError, match=message), torch.device("meta"):
        check_parts(replace(recipe, network=network), build(network, 17))


def test_structure_loss_is_that_of_sums_over_neighbours():
    chain = Skeleton("chain", ("a", "b", "c", "d"), ((0, 1), (1, 2)))
    labels, people = batch(), torch.tensor(3.0)
    torch.manual_seed(0)
    maps = torch.rand(3, 4, 8, 6)
    errors = labels["weights"].double()[..., None, None] * (maps - labels["heatmaps"]).double()
    sums = (errors[:, 0] + errors[:, 1], errors[:, 0] + errors[:, 1] + errors[:, 2], errors[:, 1] + errors[:, 2])
    expected = 0.5 * torch.stack([*sums, errors[:, 3]]).square().mean()
    loss = structure_loss([maps], labels["heatmaps"], labels["weights"], people, neighbour_matrix(chain))
    torch.testing.assert_close(loss.double(), expected, atol=1e-6, rtol=1e-5)
    alone = structure_loss([maps, maps], labels["heatmaps"], labels["weights"], people, torch.eye(4))
    torch.testing.assert_close(alone, 2 * heatmap_loss([maps], labels["heatmaps"], labels["weights"], people))


def test_smaller_maps_learn_the_highest_target_within_each_pixel():
    labels, people = batch(), torch.tensor(3.0)
    target = labels["heatmaps"].unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))
    assert heatmap_loss([target], labels["heatmaps"], labels["weights"], people) == 0
    assert heatmap_loss([target * 0.5], labels["heatmaps"], labels["weights"], people) > 0


@pytest.mark.parametrize("neighbours", [None, torch.eye(4)])
def test_an_error_in_a_smaller_map_counts_as_in_a_large_one(neighbours):
    labels, people = batch(), torch.tensor(3.0)
    target, weights = labels["heatmaps"], torch.ones(3, 4)
    losses = []
    for smaller in (target, target.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))):
        maps = smaller.clone()
        maps[1, 2, 3, 1] += 0.5
        structure = () if neighbours is None else (neighbours,)
        losses.append(
            (heatmap_loss if neighbours is None else structure_loss)([maps], target, weights, people, *structure)
        )
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(losses[0], torch.tensor(0.5 * 0.25 / (3 * 4 * 48)))
