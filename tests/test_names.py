"""Near misses of names: one function says which was probably meant, and every message about a name uses it."""

import numpy as np
import pytest

import trustpose as tp
from trustpose.names import closest, did_you_mean, expected_one_of, unknown_option


def test_closest_name_whatever_the_case():
    assert closest("defualt", ["default", "default-fast"]) == "default"
    assert closest("COCO_17", ["coco17", "lsp14"]) == "coco17"
    assert closest("xyz", ["default", "default-fast"]) is None


def test_messages():
    assert did_you_mean("xyz", ["default"]) == ""
    assert expected_one_of(("oks", "box"), "bxo") == "expected one of oks, box, got 'bxo' (did you mean 'box'?)"
    assert unknown_option("devise", ["device", "flip"]) == "unknown option 'devise' (did you mean 'device'?)"


def _poses() -> tp.Poses:
    return tp.Poses(np.zeros((1, 17, 2)), image_id=np.zeros(1, np.int64), skeleton=tp.SKELETONS["coco17"])


def test_near_misses_of_models_skeletons_recipes_areas_methods_and_options():
    from trustpose.calibration.fit import fit
    from trustpose.calibration.options import FitOptions
    from trustpose.io.coco.truth import area_convention
    from trustpose.skeletons import skeleton_of
    from trustpose.tracking import Tracker, smooth
    from trustpose.training.recipes import find_recipe

    for meant, call in {
        "default": lambda: tp.load("defualt"),
        "default-fast": lambda: tp.load("default-fsat"),
        "mediapipe": lambda: tp.load("mediapip"),
        "shipped:mediapipe": lambda: tp.Calibrator.load("shipped:mediapip"),
        "coco17": lambda: skeleton_of("coco_17"),
        "hpcvnet/ap/resnet50": lambda: find_recipe("hpcvnet/ap/resnet-50"),
        "segment": lambda: area_convention("gt.json", "segmnt", {}, has_boxes=True),
        "velocity": lambda: smooth(_poses(), motion="velocty"),
        "trust": lambda: smooth(_poses(), noise="trsut"),
        "greedy": lambda: Tracker(matching="gredy"),
        "trees": lambda: fit("gt.json", "results.json", FitOptions(method="tree")),
        "device": lambda: tp.load("default", devise="cpu"),
        "pose-nms": lambda: tp.load("default", suppression="posenms"),
    }.items():
        with pytest.raises(ValueError, match=rf"\(did you mean '{meant}'\?\)"):
            call()
