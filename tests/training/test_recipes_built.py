"""Every network and head that the recipes name is built, at the recipes' sizes; their parameters as printed."""

from functools import cache

import pytest

from trustpose.training.recipe import Recipe
from trustpose.training.recipes import RECIPES


@pytest.fixture(scope="module")
def narrow_heads() -> None:
    """As wide as in the papers, whose totals are compared."""


def _systems() -> dict[str, Recipe]:
    """One recipe, by its name, for each network with each head; at each size whose parameters are printed."""
    found: dict[str, Recipe] = {}
    for recipe in RECIPES.values():
        if recipe.network and recipe.system == "network":
            options = ", ".join(f"{key} {value}" for key, value in recipe.head_options.items())
            size = f"{recipe.height}x{recipe.width}" if recipe.name in PRINTED_SIZES else ""
            key = f"{recipe.network} {recipe.deepen} {recipe.head} {options} {size}"
            found.setdefault(key, recipe)
    return {recipe.name: recipe for recipe in found.values()}


# Millions of a head's, or of network and head's parameters, as printed in OKS-Net's section V-E and the metamodel's
# table 5 (without what no layer reads: 1.28, 2.31 and 10.5 M; tests/heads/test_sizes.py).
PRINTED_SIZES = {
    "oks-net/table-1/w32-256-heatmap": ("head", 2.7),
    "oks-net/table-1/w32-384-heatmap": ("head", 4.7),
    "metamodel/table-1/s1": ("all", 71.2),
    "metamodel/table-5/efficientnet-b0": ("all", 55.6 - 1.28),
    "metamodel/table-5/efficientnet-b6": ("all", 95.5 - 2.31),
    "metamodel/table-5/mspn-2": ("all", 104.6 - 10.5),
}


@pytest.fixture(scope="module")
def build_once():
    """Builds networks without data, each once; each runs once on a size, however many heads are attached to it."""
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from trustpose.heads.hpcvnet import add_heatmap_layers
    from trustpose.heads.network import run
    from trustpose.networks.zoo import build

    @cache
    def built(name, layers):
        network = build(name).eval()
        return add_heatmap_layers(network, layers).eval() if layers else network

    @cache
    def outputs(network, shape, reads):
        return run(network, torch.zeros(shape), reads)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trustpose.heads.network.run", lambda network, image, reads: outputs(network, image.shape, reads))
        yield built


@pytest.mark.slow
@pytest.mark.parametrize("name", _systems())
def test_networks_and_heads_can_be_built(build_once, name):
    import torch

    from tests.networks.without_data import without_data
    from trustpose.heads.network import attach
    from trustpose.networks.zoo import stride_of
    from trustpose.training.learner import check_parts
    from trustpose.training.network_task import gives_coordinates

    recipe = RECIPES[name]
    with without_data(), torch.no_grad():
        network = build_once(recipe.network, recipe.deepen)
        image = torch.zeros(1, 3, recipe.height, recipe.width)
        if recipe.head is None:
            outputs, stride = network(image), stride_of(recipe.network)
            if gives_coordinates(recipe):
                assert outputs.coordinates.shape == (1, 17, 3)
            else:
                assert outputs.heatmaps[-1].shape == (1, 17, recipe.height // stride, recipe.width // stride)
            check_parts(recipe, network)
            return
        both = attach(recipe.head, network, recipe.height, recipe.width, **recipe.head_options)
        _, trust = both.eval()(image, torch.ones(1, 2) if both.head.reads_box else None)
    assert all(values.shape[0] == 1 for values in trust.filled().values()) and trust.filled()
    part, millions = PRINTED_SIZES.get(name, ("", 0.0))
    if part:
        counted = both.head if part == "head" else both
        assert sum(parameter.numel() for parameter in counted.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


def test_single_person_systems_build_at_their_size():
    """Every row of the lecture's tables and every small version, with its data set's joints; no arithmetic is done."""
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from trustpose.networks.zoo import build, stride_of
    from trustpose.training.learner import check_parts

    @cache
    def built(name, joints, height, width):
        with torch.device("meta"), torch.no_grad():
            network = build(name, joints).eval()
            outputs = network(torch.zeros(1, 3, height, width))
        return network, (outputs.heatmaps[-1] if outputs.heatmaps else outputs.coordinates).shape

    recipes = [recipe for name, recipe in RECIPES.items() if name.startswith(("single-person/", "lspet/"))]
    assert len(recipes) == 32 + 31
    for recipe in recipes:
        joints = len(recipe.data.joints)
        network, shape = built(recipe.network, joints, recipe.height, recipe.width)
        check_parts(recipe, network)
        side = stride_of(recipe.network)
        assert shape in ((1, joints, recipe.height // side, recipe.width // side), (1, joints, 3)), recipe.name


def test_deep_pose_as_the_lecture_prints_it():
    recipe = RECIPES["single-person/flic/deep-pose"]
    assert (recipe.train.batch_size, recipe.height, recipe.width) == (128, 220, 220)
    pytest.importorskip("torch", reason="the train extra is not installed")
    from trustpose.training.crops import AUGMENTATIONS

    drawn = AUGMENTATIONS[recipe.data.augmentation]
    assert drawn.translation > 0 and drawn.flip == 0.5
    assert (drawn.scale, drawn.rotation, drawn.half_body) == (0, 0, 0)


def test_printed_sizes_are_all_checked():
    assert set(PRINTED_SIZES) <= set(_systems())
