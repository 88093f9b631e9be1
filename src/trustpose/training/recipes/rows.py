"""What the papers' recipes share: the columns of their tables."""

from trustpose.training.recipe import Recipe

AP = ("AP", "AP50", "AP75", "APm", "APl")
AP_AND_AR = (*AP, "AR", "AR50", "AR75", "ARm", "ARl")


def printed(columns: tuple[str, ...], *values: float) -> dict[str, float]:
    """A row's numbers by column, as printed. Raises ValueError where there are not as many."""
    return dict(zip(columns, values, strict=True))


def by_name(*recipes: Recipe) -> dict[str, Recipe]:
    """Recipes by their names, in order. Raises ValueError where two have one name."""
    found: dict[str, Recipe] = {}
    for recipe in recipes:
        if recipe.name in found:
            raise ValueError(f"{recipe.name}: two recipes have this name")
        found[recipe.name] = recipe
    return found
