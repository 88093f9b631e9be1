"""Values of options: listed in --help, completed by the shell."""

from collections.abc import Callable, Iterable
from typing import Any

Names = Callable[[], Iterable[str]]

AREAS = ("auto", "segment", "box", "box*0.53", "file")
FRAMES_MEANS = (  # of --images, where poses are linked over time
    "The frames: images.json or a COCO ground truth, with clip, time or file_name. Default: image_id is the number of "
    "the frame, in one clip."
)
FLOW_MEANS = "Of optical flow: dis (OpenCV) or raft[:WEIGHTS.pth] (torchvision; extra 'train')."
POSE_AREAS = ("crop", "box", "keypoints")


def choices(*names: str, about: str = "") -> dict[str, Any]:
    """Return the arguments of a `typer.Option` with these values: listed first in its help, completed by the shell. The
    command itself checks what is given, as its error message is more informative."""
    listed = f"{', '.join(names[:-1])} or {names[-1]}."
    return {"help": f"{listed} {about}".strip(), **completed(lambda: names)}


def completed(names: Names) -> dict[str, Any]:
    """Return the arguments of a `typer.Option` whose values the shell completes from `names`, called on each
    completion."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return {"autocompletion": complete}


def skeletons() -> Iterable[str]:
    """Return the names of the known skeletons."""
    from trustpose.skeletons import SKELETONS

    return SKELETONS


def metrics() -> Iterable[str]:
    """Return the names of the metrics of joints."""
    from trustpose.evaluation.localisation import METRICS

    return METRICS


def tables() -> Iterable[str]:
    """Return the further tables of an audit."""
    from trustpose.evaluation.tables import TABLES

    return TABLES


def formats() -> Iterable[str]:
    """Return the formats that `trustpose convert` reads."""
    from trustpose.formats.recognise import FORMATS

    return ("auto", *FORMATS)


def camera_formats() -> Iterable[str]:
    """Return the formats of camera files."""
    from trustpose.formats.cameras import FORMATS

    return FORMATS


def recipe_names() -> Iterable[str]:
    """Return the names of the recipes."""
    from trustpose.training.recipes import RECIPES

    return RECIPES


def model_names() -> Iterable[str]:
    """Return what --model accepts besides files: the bundled model and estimators of other packages."""
    from trustpose.predict.adapters import ADAPTERS

    return ["default", *ADAPTERS]


def calibrator_names() -> Iterable[str]:
    """Return the names of the bundled calibrators: "shipped:NAME"."""
    from trustpose.calibration.shipped import PREFIX, shipped_calibrators

    return [PREFIX + name for name in shipped_calibrators()]
