"""All rows of the papers' tables as recipes, by name, and our own. Plain data, without torch.

`rows.py`: shared helpers. `Recipe.not_runnable` gives the reason why a row cannot be reproduced.
"""

from dataclasses import replace

from trustpose.files import InputError
from trustpose.names import did_you_mean
from trustpose.training.recipe import Evaluation, Recipe
from trustpose.training.recipes.bottom_up import BOTTOM_UP_RECIPES
from trustpose.training.recipes.hpcvnet import HPCVNET_RECIPES
from trustpose.training.recipes.metamodel import METAMODEL_RECIPES
from trustpose.training.recipes.multi_pose_net import MULTI_POSE_NET_RECIPES
from trustpose.training.recipes.oks_net import OKS_NET_RECIPES
from trustpose.training.recipes.ours import OUR_RECIPES
from trustpose.training.recipes.ours_gpu import OUR_GPU_RECIPES
from trustpose.training.recipes.ours_single_person import OUR_SINGLE_PERSON_RECIPES
from trustpose.training.recipes.ours_trained_start import OUR_TRAINED_START_RECIPES
from trustpose.training.recipes.single_person import SINGLE_PERSON_RECIPES
from trustpose.training.recipes.surfaces import SURFACE_RECIPES

_TEST_SERVER = " (COCO's server evaluates results, https://cocodataset.org/#keypoints-eval)"
RECIPES: dict[str, Recipe] = {
    **OKS_NET_RECIPES,
    **METAMODEL_RECIPES,
    **HPCVNET_RECIPES,
    **OUR_RECIPES,
    **OUR_GPU_RECIPES,
    **BOTTOM_UP_RECIPES,
    **MULTI_POSE_NET_RECIPES,
    **SINGLE_PERSON_RECIPES,
    **OUR_SINGLE_PERSON_RECIPES,
    **OUR_TRAINED_START_RECIPES,
    **SURFACE_RECIPES,
}


def find_recipe(name: str) -> Recipe:
    """Return the recipe of that name. Raises InputError, with similar names, if there is none."""
    if name in RECIPES:
        return RECIPES[name]
    raise InputError(f"{name}: unknown recipe, `trustpose recipes` lists them{did_you_mean(name, RECIPES)}")


def check_runnable(recipe: Recipe) -> None:
    """Raise InputError, with the reason, if the recipe cannot be reproduced."""
    if recipe.not_runnable:
        alternative = next((name for name in same_training(recipe) if not RECIPES[name].not_runnable), None)
        hint = "" if alternative is None else f"; {alternative} trains the same"
        server = _TEST_SERVER if recipe.evaluation.split.startswith("test-dev") else ""
        raise InputError(f"{recipe.name}: cannot be run as printed, {recipe.not_runnable}{server}{hint}")


def same_training(recipe: Recipe) -> list[str]:
    """Return names of the other recipes with the same training and another evaluation, in order."""
    training = _training(recipe)
    return [name for name, candidate in RECIPES.items() if name != recipe.name and _training(candidate) == training]


def _training(recipe: Recipe) -> Recipe:
    return replace(recipe, name="", title="", sources=(), evaluation=Evaluation(), not_runnable="")
