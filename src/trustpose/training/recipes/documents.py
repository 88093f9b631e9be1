"""The documents whose systems the recipes are, each with its tables or topics in order; plain data, without torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from trustpose.training.recipe import Recipe


@dataclass(frozen=True)
class Document:
    """A document, and where its recipes stand in it.

    Attributes:
        title: its authors and title, for the reader.
        sections: headings and patterns of recipe names, in the document's order; empty for a paper whose sections are
            the tables of its recipes' sources.
    """

    title: str
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_LECTURE = {
    "FLIC, joints within .05 of the torso": ("single-person/flic/*",),
    "MPII's leaderboard, PCKh@0.5": ("single-person/mpii/*",),
    "these systems, small, on LSPET": ("lspet/*",),
    "the claims, from trained weights": ("claims/*",),
    "integral regression, mm in 3D": ("single-person/human36m/*",),
    "OpenPose: fields": ("bottom-up-fields", "bottom-up"),
    "DeepCut": ("deepcut", "bottom-up-deepcut"),
    "AlphaPose": ("alphapose",),
    "CrowdPose": ("crowdpose",),
    "COCO's leaderboard, AP: top-down": (
        "single-person/coco/mspn-*",
        "single-person/coco/hrnet-*",
        "mask-rcnn",
    ),
    "COCO's leaderboard, AP: bottom-up": (
        "bottom-up-pifpaf",
        "bottom-up-personlab",
        "bottom-up-centres*",
        "pose-ae",
        "bottom-up-tags",
        "multi-pose-net/*",
        "pose-residual",
        "bottom-up-boxed",
    ),
    "SimpleBaseline's table, AP": ("single-person/coco/*",),
    "DensePose": ("dense-pose*",),
}

DOCUMENTS: dict[str, Document] = {
    "oks-net": Document("Zhao et al., Learning to Acquire the Quality of Human Pose Estimation (OKS-Net)"),
    "hpcvnet": Document("Jiang et al., 2D Human Pose Estimation Calibration and Keypoint Visibility Classification"),
    "metamodel": Document("Guesdon et al., Multitask Metamodel for Keypoint Visibility Prediction"),
    "lecture": Document("Cao, 2D Human Pose Estimation (lecture, 2019)", _LECTURE),
    "ours": Document("Trainings of trustpose itself"),
}
_UNPRINTED = "without a printed number"
_NO_TABLE = ""  # the heading of our own trainings


def recipes_by_section(document: str, recipes: Iterable[Recipe]) -> dict[str, list[Recipe]]:
    """Return a document's recipes by section, in the document's order.

    Args:
        document: a key of `DOCUMENTS`.
        recipes: recipes to choose from.
    """
    placed: dict[str, list[Recipe]] = {section: [] for section in DOCUMENTS[document].sections}
    for recipe in recipes:
        if document_of(recipe) == document:
            placed.setdefault(section_of(recipe), []).append(recipe)
    return {section: members for section, members in placed.items() if members}


def document_of(recipe: Recipe) -> str:
    """Return the key of the document that a recipe belongs to, "ours" if it is in none."""
    beginning = recipe.name.partition("/")[0]
    if beginning in DOCUMENTS:
        return beginning
    return "ours" if _lecture_section(recipe.name) is None else "lecture"


def section_of(recipe: Recipe) -> str:
    """Return the heading of a recipe's section in its document: a table of a paper, or a topic of the lecture."""
    document = document_of(recipe)
    if document == "ours":
        return _NO_TABLE
    if document == "lecture":
        return _lecture_section(recipe.name) or _NO_TABLE
    return recipe.sources[0].table if recipe.sources else _UNPRINTED


def _lecture_section(name: str) -> str | None:
    sections = _LECTURE.items()
    return next((title for title, patterns in sections if any(fnmatchcase(name, each) for each in patterns)), None)
