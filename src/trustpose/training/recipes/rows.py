"""Shared helpers of the papers' recipes: the columns of their tables."""

from trustpose.training.recipe import Recipe

AP = ("AP", "AP50", "AP75", "APm", "APl")
AP_AND_AR = (*AP, "AR", "AR50", "AR75", "ARm", "ARl")


def printed_numbers(columns: tuple[str, ...], *values: float) -> dict[str, float]:
    """Return a row's numbers by column, as printed. Raises ValueError if their number differs."""
    return dict(zip(columns, values, strict=True))


def by_name(*recipes: Recipe) -> dict[str, Recipe]:
    """Return recipes by name, in order. Raises ValueError if two have the same name."""
    recipes_by_name: dict[str, Recipe] = {}
    for recipe in recipes:
        if recipe.name in recipes_by_name:
            raise ValueError(f"{recipe.name}: two recipes have this name")
        recipes_by_name[recipe.name] = recipe
    return recipes_by_name
