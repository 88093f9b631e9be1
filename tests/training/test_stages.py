"""The effect of a stage: freezing, detaching, λ and α."""

from dataclasses import replace

import pytest
import torch

from tests.training.tiny import equal, one_process, tiny_recipe, tiny_task, weights
from trustpose.heads.stages import METAMODEL, Stage
from trustpose.training.loop import fit


def trained(tmp_path, stages, head="oks-net", **options):
    """The task after training, and its weights before."""
    recipe = tiny_recipe(stages, head, **options)
    task = tiny_task(recipe)
    before = weights(task)
    fit(task, recipe, tmp_path, one_process())
    return task, before


def heatmaps(task, state) -> torch.Tensor:
    """Of fixed images, by the network with these weights."""
    task.model.load_state_dict(state)
    images = torch.randn(4, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return task.learner.network.eval()(images).heatmaps[-1]


def gradients(stage, head, part, seed=0, **options) -> dict[str, torch.Tensor]:
    """Of one batch, with respect to the network's or the head's parameters."""
    recipe = tiny_recipe((stage,), head, seed=seed, **options)
    task = tiny_task(recipe)
    task.stage(stage)
    task.train_mode()
    batch = task.collate([task.samples(0)[number] for number in range(6)])
    terms = task.losses(task.model, batch, task.counts(batch))
    torch.stack(list(terms.values())).sum().backward()
    chosen = getattr(task.learner, part).named_parameters()
    return {name: parameter.grad for name, parameter in chosen if parameter.grad is not None}


def test_a_stage_for_the_head_leaves_the_heatmaps_bit_for_bit(tmp_path):
    task, before = trained(tmp_path, (Stage(2, 1.0, 1.0, "head"),), ema=0.9, weight_decay=0.1)
    after = weights(task)
    names = [name for name in after if name.startswith("network.")]
    assert names and all(torch.equal(after[name], before[name]) for name in names)  # batch norm's buffers too
    assert not all(torch.equal(after[name], before[name]) for name in after if name.startswith("head."))
    assert torch.equal(heatmaps(task, after), heatmaps(task, before))


def test_joint_training_changes_them_and_a_detached_head_does_not(tmp_path):
    made = {}
    for name, stage in {
        "alone": Stage(2, 2000.0, 0.0),
        "detached": Stage(2, 2000.0, 1.0, detach=True),
        "joint": Stage(2, 2000.0, 1.0),
    }.items():
        made[name], before = trained(tmp_path / name, (stage,))
    networks = {name: weights(task, "network.") for name, task in made.items()}
    assert equal(networks["alone"], networks["detached"])
    assert not equal(networks["alone"], networks["joint"])
    maps = {name: heatmaps(task, weights(task)) for name, task in made.items()}
    assert torch.equal(maps["alone"], maps["detached"])
    assert not torch.equal(maps["alone"], maps["joint"])
    assert equal({n: v for n, v in before.items() if n.startswith("head.")}, weights(made["alone"], "head."))


@pytest.mark.parametrize("low", [1.0, 200.0])
def test_lambda_weighs_the_heatmaps_against_the_oks(low):
    """Equation 2 of OKS-Net: the network's gradient is λ times the heatmaps', and the OKS's as it is."""
    alone = gradients(Stage(1, 1.0, 0.0), "oks-net", "network")
    first_gradients, second_gradients = (
        gradients(Stage(1, weight, 1.0), "oks-net", "network") for weight in (low, 2000.0)
    )
    assert second_gradients.keys() == alone.keys()
    for name, gradient in alone.items():
        assert torch.allclose(
            second_gradients[name] - first_gradients[name], (2000 - low) * gradient, rtol=1e-3, atol=1e-4
        )
    heads = [gradients(Stage(1, weight, 1.0), "oks-net", "head") for weight in (low, 2000.0)]
    assert equal(*heads)


def test_alpha_weighs_visibility_against_heatmaps():
    """Equation 1 of the metamodel, by S2's last stages and, for the head alone, S3's."""
    for strategy in ("S2", "S3"):
        stages = METAMODEL[strategy].stages[1:]
        assert [(round(s.heatmap_weight, 9), s.trust_weight) for s in stages] == [
            (1.0, 0.0), (0.9, 0.1), (0.8, 0.2), (0.7, 0.3)
        ]  # fmt: skip
    heads = [gradients(stage, "metamodel", "head") for stage in METAMODEL["S3"].stages[2:]]
    last = "classify.7.weight"
    for gradient, alpha in zip(heads, (0.1, 0.2, 0.3), strict=True):
        assert torch.allclose(gradient[last], heads[0][last] * (alpha / 0.1), rtol=1e-4, atol=1e-6)
    assert gradients(METAMODEL["S3"].stages[2], "metamodel", "network") == {}
    none = gradients(Stage(1, 1.0, 0.0), "metamodel", "network")
    joint = [gradients(stage, "metamodel", "network")["head.weight"] for stage in METAMODEL["S2"].stages[1:]]
    for gradient, share in zip(joint, (1.0, 0.9, 0.8, 0.7), strict=True):
        assert torch.allclose(gradient, none["head.weight"] * share, rtol=1e-4)  # the visibility is not read from there


def test_with_alpha_0_in_s3_nothing_changes_but_the_place(tmp_path):
    task, before = trained(tmp_path, (Stage(1, 1.0, 0.0, "head"), Stage(1, 0.9, 0.1, "head")), lr=1e-12)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["place"]["step"] == 12
    nothing = tiny_task(
        replace(task.recipe, strategy=replace(task.recipe.strategy, stages=(Stage(1, 1.0, 0.0, "head"),)))
    )
    fit(nothing, nothing.recipe, tmp_path / "nothing", one_process())
    assert equal(weights(nothing), before)


def test_stages_follow_one_another(tmp_path):
    """Two stages are the second one going on from the first: the optimiser's momenta stay."""
    stages = (Stage(1, 1.0, 0.0), Stage(1, 1.0, 0.0))
    split, _ = trained(tmp_path / "split", stages, head=None)
    whole, _ = trained(tmp_path / "whole", (Stage(2, 1.0, 0.0),), head=None)
    assert equal(weights(split), weights(whole))
