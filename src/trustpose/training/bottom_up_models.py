"""Bottom-up networks as model folders, and their AP on held-out photos."""

from pathlib import Path
from typing import Any

import numpy as np

from trustpose.datasets.labelled_photos import LabelledPhotos
from trustpose.export.model_folder import write_tensors
from trustpose.export.onnx import export_maps
from trustpose.files import new_folder, write_json
from trustpose.metrics.average_precision import evaluate
from trustpose.models.centre_output import CentreOutput
from trustpose.models.field_output import FieldOutput
from trustpose.models.outputs import PhotoMapOutputs
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, InputSpec, ModelSpec
from trustpose.models.tag_output import TagOutput
from trustpose.networks.bottom_up import BottomUpNetwork, Kind
from trustpose.networks.layers import STRIDE
from trustpose.poses import Poses, Truth
from trustpose.predict import bottom_up
from trustpose.skeletons import COCO_17, COCO_17_REDUNDANT, Skeleton
from trustpose.training.crops import MEAN, STD
from trustpose.training.recipe import Recipe

MULTIPLE = 32  # a photo's sides must be multiples of this


def limbs_of(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """Return the limbs of part affinity fields: the skeleton's edges, for COCO's joints with the redundant ones."""
    more = COCO_17_REDUNDANT if skeleton.keypoints == COCO_17.keypoints else ()
    return (*skeleton.edges, *more)


def maps_spec(recipe: Recipe, kind: Kind, folder: Path) -> ModelSpec:
    """Return the spec for prediction with one kind of maps of the recipe's network."""
    side = recipe.bottom_up.longest
    return ModelSpec(
        onnx=folder / MODEL_ONNX,
        name=recipe.name,
        licence="unknown",
        source=f"trustpose train {recipe.name}",
        input=InputSpec(
            "image", "NCHW", "float32", side, side, "RGB", 1 / 255, MEAN, STD, multiple=MULTIPLE, longest=side
        ),
        output=_output(recipe, kind),
        skeleton=recipe.data.joints,
    )


def _output(recipe: Recipe, kind: Kind) -> PhotoMapOutputs:
    """Return the decoding options of maps, as chosen by AP on the held-out photos of `train` for the recipes
    "bottom-up" and "bottom-up-tags"."""
    skeleton, sigma = recipe.data.joints, recipe.bottom_up.sigma
    if kind == "fields":
        limbs = limbs_of(skeleton)
        more = tuple(range(len(skeleton.edges), len(limbs)))
        links: dict[str, Any] = {"min_value": 0.005, "min_share": 0.6, "matching": "optimal", "order": "scores"}
        links |= {"redundant": more, "min_parts": 3, "min_score": 0.1}
        return FieldOutput(len(skeleton), float(STRIDE), limbs, sigma=sigma, **links)
    if kind == "tags":
        order = tuple(range(len(skeleton)))
        return TagOutput(len(skeleton), float(STRIDE), order, sigma=sigma, min_peak=0.3, fill=True)
    return CentreOutput(len(skeleton), float(STRIDE), sigma=sigma, reach=0.5, overlap=0.4)


def save_maps_folder(out: Path, network: BottomUpNetwork, recipe: Recipe, kind: Kind) -> ModelSpec:
    """Write the network, with one kind of its maps, as the new model folder `out`; return its spec. Raises
    InputError."""
    with new_folder(out) as folder:
        side = recipe.bottom_up.longest
        export_maps(network, kind, folder / MODEL_ONNX, side, side, free_size=MULTIPLE)
        write_tensors(folder / MODEL_WEIGHTS, network)
        write_json(folder / MODEL_JSON, maps_spec(recipe, kind, folder).to_json())
        ModelSpec.read(folder)  # validate before publishing
    return ModelSpec.read(out)


def numbers_on(network: bottom_up.BottomUpNetwork, photos: LabelledPhotos) -> dict[str, float]:
    """Return COCO's AP and AR, by the audit's names, of the people that a network finds in whole photos.

    People without labelled joints are ignored; everybody's area is 0.53 of the box's, as segments are not kept.
    """
    parts: list[Poses] = []
    for index, image_id in enumerate(photos.photos.image_id.tolist()):
        pixels, scale = photos.photos.photo(index)
        detected = network(pixels)
        shift = (scale - 1) / 2  # positions are those of pixels' middles
        image_ids = np.full(len(detected), image_id)
        parts.append(Poses((detected.xy - shift) / scale, detected.score, detected.pose_score, image_id=image_ids))
    poses, truth = Poses.concatenate(parts), _truth(photos)
    assert poses.pose_score is not None
    sigmas = network.spec.skeleton.sigmas
    scores = evaluate(poses, truth, poses.pose_score, sigmas=sigmas, area="box*0.53").summary()
    return {f"ap.{name}": getattr(scores, name) for name in ("AP", "AP50", "AP75", "AR")}


def _truth(photos: LabelledPhotos) -> Truth:
    counts = [len(xy) for xy in photos.xy]
    v, box = np.concatenate(photos.v), np.concatenate(photos.photos.box)
    return Truth(
        xy=np.concatenate(photos.xy),
        v=v,
        box=box,
        iscrowd=np.zeros(len(v), np.bool_),
        image_id=np.repeat(photos.photos.image_id, counts),
        annotation_id=np.arange(len(v)) + 1,
    )
