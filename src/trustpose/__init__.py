"""2D human pose estimation that knows how far to trust itself. The whole story:

    import trustpose as tp

    predictor = tp.load("default")                        # or a model folder, network.onnx, "mediapipe", "hf:USER/NAME"
    poses = predictor("photo.jpg")                        # Poses: xy, score, quality, visibility, presence, box, …
    poses.show()                                          # draw, save (.json, .csv, .parquet, .jpg), to_pandas
    good = poses[poses.pose_quality > 0.7]                # pose_quality is the expected OKS of each pose
    tp.run("photos/", "out/", flip=True)                  # folders and videos to files, as `trustpose predict` does

    poses, truth = tp.read_poses("results.json"), tp.read_truth("gt.json")      # any estimator's files
    audit = tp.audit("gt.json", "results.json")           # Audit: audit.ap.AP, audit.pose.pearson, audit.show()
    differences = tp.compare(audit, tp.audit("gt.json", "other.json"))          # with 95 % intervals
    calibrator = tp.Calibrator.fit("gt.json", "results.json")                   # calibrator.save("mine.cal")
    trusted = calibrator("new.json")                      # Poses with quality, visibility, pose_quality and presence

    tracked = tp.track(poses)                             # track_id, for the frames of clips
    smooth = tp.smooth(tracked).poses                     # with gaps filled
    angles = tp.measure(trusted)                          # joint angles, inclinations, lengths, with intervals
    agreement = tp.agree("mocap.mot", "video.mot")        # bias, limits, ICC, whether intervals hold
    accuracy = tp.estimate(trusted)                       # mean OKS, AP and OPKS without labels, with intervals
    suspects = tp.review("gt.json", trusted)              # suspected label errors, with kind and probability
    tp.correct("gt.json", suspects, accept_above=0.9).save("corrected.json")    # with a log of every change
    world = tp.triangulate(["left.json", "right.json"], tp.read_cameras("cameras.toml"))    # Poses3D, metres

Whatever takes a record takes the path of its file too. Wrong input raises `InputError`, one line that names the file,
the field and what was expected. `tp.train` trains networks and trust heads from a `tp.Recipe` (the extra `train`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trustpose.version import __version__ as __version__

if TYPE_CHECKING:
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.datasets.ground_truth import read_truth
    from trustpose.evaluation.audit import audit
    from trustpose.evaluation.comparison import compare
    from trustpose.evaluation.record import Audit
    from trustpose.files import InputError
    from trustpose.geometry.cameras import Cameras
    from trustpose.images import Images
    from trustpose.io.cameras import read_cameras
    from trustpose.io.read_poses import read_poses
    from trustpose.measures import agree, measure
    from trustpose.multiview.people import triangulate
    from trustpose.poses import Poses, Poses3D, Truth, Visibility
    from trustpose.predict.load import load
    from trustpose.predict.predictor import Predictor
    from trustpose.report.drawn_run import run
    from trustpose.report.poses_output import draw
    from trustpose.reviews import correct, estimate, review
    from trustpose.skeletons import SKELETONS, Skeleton
    from trustpose.tracking import smooth, track
    from trustpose.training.recipe import Recipe
    from trustpose.training.train import train

# The module of each public name, imported on first use, so that `import trustpose` and `trustpose --help` are fast.
_MODULES = {
    "SKELETONS": "skeletons",
    "Audit": "evaluation.record",
    "Calibrator": "calibration.calibrator",
    "Cameras": "geometry.cameras",
    "Images": "images",
    "InputError": "files",
    "Poses": "poses",
    "Poses3D": "poses",
    "Predictor": "predict.predictor",
    "Recipe": "training.recipe",
    "Skeleton": "skeletons",
    "Truth": "poses",
    "Visibility": "poses",
    "agree": "measures",
    "audit": "evaluation.audit",
    "compare": "evaluation.comparison",
    "correct": "reviews",
    "draw": "report.poses_output",
    "estimate": "reviews",
    "load": "predict.load",
    "measure": "measures",
    "read_cameras": "io.cameras",
    "read_poses": "io.read_poses",
    "read_truth": "datasets.ground_truth",
    "review": "reviews",
    "run": "report.drawn_run",
    "smooth": "tracking",
    "track": "tracking",
    "train": "training.train",
    "triangulate": "multiview.people",
}

__all__ = [
    "SKELETONS",
    "Audit",
    "Calibrator",
    "Cameras",
    "Images",
    "InputError",
    "Poses",
    "Poses3D",
    "Predictor",
    "Recipe",
    "Skeleton",
    "Truth",
    "Visibility",
    "agree",
    "audit",
    "compare",
    "correct",
    "draw",
    "estimate",
    "load",
    "measure",
    "read_cameras",
    "read_poses",
    "read_truth",
    "review",
    "run",
    "smooth",
    "track",
    "train",
    "triangulate",
]


if not TYPE_CHECKING:  # a type checker reads the imports above, and finds names that are not there

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            from trustpose.names import did_you_mean

            raise AttributeError(f"module 'trustpose' has no attribute {name!r}{did_you_mean(name, _MODULES)}")
        globals()[name] = getattr(import_module(f"trustpose.{_MODULES[name]}"), name)
        return globals()[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
