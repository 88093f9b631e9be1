"""Skeletons fit their data sets, and their parts fit each other."""

# a file of another kind fails the test

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import orjson
import pytest
from pycocotools.cocoeval import Params

from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth
from trustpose.skeletons import (
    COCO_17,
    COCO_WHOLEBODY_133,
    CROWDPOSE_14,
    FACE_68,
    FACE_70,
    FACE_98,
    FLIC_11,
    HALPE_26,
    HALPE_136,
    SKELETONS,
    Skeleton,
    find_skeleton,
    name_or_object,
    read_skeleton,
    skeleton_of,
    skeleton_of_object,
    skeleton_value,
)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_parts_fit(skeleton: Skeleton) -> None:
    size = {"lsp14": 14, "mpii16": 16, "flic11": 11, "crowdpose14": 14, "blazepose33": 33}
    size |= {
        "aic14": 14,
        "humanart21": 21,
        "jhmdb15": 15,
        "posetrack18_17": 17,
        "hand21": 21,
        "face68": 68,
        "face70": 70,
        "face98": 98,
    }
    size |= {
        "human36m17": 17,
        "ochuman19": 19,
        "openpose_body25b": 25,
        "coco_wholebody133": 133,
        "halpe136": 136,
        "ap10k17": 17,
    }
    size |= {
        "coco17": 17,
        "openpose_body25": 25,
        "openpose_body25b": 25,
        "openpose_coco18": 18,
        "openpose_mpi15": 15,
        "halpe26": 26,
    }
    assert len(skeleton) == size[skeleton.name]
    np.testing.assert_array_equal(skeleton.flip_index[skeleton.flip_index], np.arange(len(skeleton)))
    paired = {end for pair in skeleton.flip_pairs for end in pair}
    sided = {i for i, name in enumerate(skeleton.keypoints) if "left" in name or "right" in name}
    of_face = {i for i, name in enumerate(skeleton.keypoints) if name.startswith(("face_", "wflw_"))}
    assert paired - of_face == sided - of_face
    assert len(of_face - paired) in (0, 10)  # chin, four of the nose and its base, four of the lips
    touched = {end for edge in skeleton.edges for end in edge}
    assert len(touched) == len(skeleton)  # every keypoint hangs on something
    np.testing.assert_array_equal(skeleton.index_in(skeleton), np.arange(len(skeleton)))
    assert skeleton.has_sigmas == (skeleton.sigmas_source is not None)
    if not skeleton.has_sigmas:
        with pytest.raises(ValueError, match="no published sigmas"):
            _ = skeleton.sigmas
    assert find_skeleton(list(skeleton.keypoints)) is skeleton


def test_whole_bodies_begin_with_their_bodies_and_their_mirror_keeps_to_the_parts() -> None:
    assert COCO_WHOLEBODY_133.keypoints[:17] == COCO_17.keypoints
    assert HALPE_136.keypoints[:26] == HALPE_26.keypoints
    np.testing.assert_array_equal(HALPE_136.sigmas[:26], HALPE_26.sigmas)
    for whole in (COCO_WHOLEBODY_133, HALPE_136):
        face = whole.keypoints.index("face_0")
        np.testing.assert_array_equal(whole.flip_index[face : face + 68] - face, FACE_68.flip_index)
        hand = whole.keypoints.index("left_hand_root")
        np.testing.assert_array_equal(whole.flip_index[hand : hand + 21], np.arange(hand + 21, hand + 42))


@pytest.mark.parametrize(
    "names",
    [
        ("Right Shoulder", "Right Elbow", "Right Wrist", "Left Shoulder", "Left Elbow", "Left Wrist", "Right Hip",
         "Right Knee", "Right Ankle", "Left Hip", "Left Knee", "Left Ankle", "Head top", "Neck"),
        tuple(name.replace("_", "-").upper() for name in SKELETONS["aic14"].keypoints),
    ],
)  # fmt: skip
def test_names_are_found_however_they_are_spelt(names: tuple[str, ...]) -> None:
    assert find_skeleton(names) is SKELETONS["aic14"]


MINE = {
    "name": "mine",
    "keypoints": ["nose", "a", "b"],
    "limbs": [["nose", "a"], ["nose", "b"]],
    "mirror_pairs": [["a", "b"]],
    "sigmas": [0.02, 0.05, 0.05],
    "sigmas_source": "measured",
}


def test_a_skeleton_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(MINE))
    mine = skeleton_of(str(path))
    assert (mine.name, mine.keypoints, mine.edges) == ("mine", ("nose", "a", "b"), ((0, 1), (0, 2)))
    assert (mine.flip_index.tolist(), mine.sigmas.tolist()) == ([0, 2, 1], [0.02, 0.05, 0.05])
    assert mine.sigmas_source == "measured"
    path.write_text(json.dumps({"name": "less", "keypoints": ["left_a", "right_a"]}))
    less = read_skeleton(path)
    assert (less.flip_pairs, less.edges, less.has_sigmas, less.sigmas_source) == (((0, 1),), (), False, None)
    assert skeleton_of("halpe136") is HALPE_136
    assert skeleton_of(path) == less and skeleton_of(less) is less


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "field 'name': expected a text"),
        ({"keypoints": []}, "field 'keypoints': expected a list of names"),
        ({"keypoints": ["nose", "a", "a"]}, "field 'keypoints': a name occurs twice"),
        ({"limbs": [[0, 1]]}, "field 'limbs.0': expected two names out of 'keypoints', got [0, 1]"),
        (
            {"limbs": [["nose", "a"], ["nose", "c"]]},
            "field 'limbs.1': expected two names out of 'keypoints', got ['nose', 'c']",
        ),
        ({"mirror_pairs": [["a", "b"], ["b", "nose"]]}, "a keypoint is in two mirror pairs"),
        ({"mirror_pairs": {"a": "b"}}, "field 'mirror_pairs': expected a list, got {'a': 'b'}"),
        ({"sigmas": [0.1, 0.2]}, "field 'sigmas': expected 3 numbers above 0"),
        ({"sigmas": [0.1, 0.2, 0]}, "field 'sigmas.2': expected a number above 0, up to 1000, got 0"),
        ({"sigmas": [0.1, 0.2, True]}, "field 'sigmas.2': expected a number above 0, up to 1000, got True"),
        ({"sigmas_source": 3}, "field 'sigmas_source': expected a text"),
        ({"sigma": []}, "field 'sigma' is unknown, expected one of name, keypoints, limbs, mirror_pairs, sigmas"),
        ({"sigma": []}, "(did you mean 'sigmas'?)"),
    ],
)
def test_faults_of_a_skeleton_file_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(MINE | change))
    with pytest.raises(InputError) as caught:
        read_skeleton(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_skeleton_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--skeleton: expected one of coco17, .* or FILE\.json, got 'coco'"):
        skeleton_of("coco")
    with pytest.raises(InputError, match="no such file"):
        skeleton_of(str(tmp_path / "none.json"))


def test_sigmas_are_the_published_ones() -> None:
    np.testing.assert_array_equal(COCO_17.sigmas, Params("keypoints").kpt_oks_sigmas)
    np.testing.assert_array_equal(HALPE_26.sigmas[:17], COCO_17.sigmas)
    joints = [name for name in CROWDPOSE_14.keypoints if name in COCO_17.keypoints]
    for name in joints:  # CrowdPose took COCO's where it has the joint
        expected = COCO_17.sigmas[COCO_17.keypoints.index(name)]
        assert CROWDPOSE_14.sigmas[CROWDPOSE_14.keypoints.index(name)] == pytest.approx(expected)


def test_whole_body_sigmas_are_its_authors() -> None:
    """As xtcocotools' demo of COCO-WholeBody (demos/demo_coco_wholebody.py) and mmpose's dataset configuration say."""
    body = COCO_17.sigmas
    foot = [0.068, 0.066, 0.066, 0.092, 0.094, 0.094]
    face = """042 043 044 043 040 035 031 025 020 023 029 032 037 038 043 041 045 013 012 011 011 012 012 011 011 013
        015 009 007 007 007 012 009 008 016 010 017 011 009 011 009 007 013 008 011 012 010 034 008 008 009 008 008
        007 010 008 009 009 009 007 007 008 011 008 008 008 010 008"""
    hand = "029 022 035 037 047 026 025 024 035 018 024 022 026 017 021 021 032 020 019 022 031"
    thousandths = np.array([int(word) for word in f"{face} {hand} {hand}".split()]) / 1000
    np.testing.assert_allclose(COCO_WHOLEBODY_133.sigmas, [*body, *foot, *thousandths], rtol=1e-12)
    assert len(thousandths) == 68 + 42


def test_pupils_come_after_the_68_points_of_a_face() -> None:
    assert FACE_70.keypoints[:68] == FACE_68.keypoints
    np.testing.assert_array_equal(FACE_70.flip_index, [*FACE_68.flip_index, 69, 68])


def test_mirrored_faces_of_wflw_are_nearly_themselves(data_dir: Path) -> None:
    """Real labels, mirrored and with each point's name exchanged for its partner's, are a similarity away from
    themselves; names out of place would leave points half a face off."""
    labels = orjson.loads((data_dir / "layouts" / "wflw" / "test_wflw.json").read_bytes())["annotations"]
    for label in labels:
        x, y = np.array(label["keypoints"]).reshape(-1, 3)[:, :2].T
        face = x - x.mean() + 1j * (y - y.mean())
        mirrored = -face.conj()[FACE_98.flip_index]
        turned = mirrored * (np.vdot(mirrored, face) / np.vdot(mirrored, mirrored))
        assert np.abs(turned - face).max() < 0.15 * np.ptp(x)


def test_a_skeleton_survives_json() -> None:
    for skeleton in SKELETONS.values():
        assert name_or_object(skeleton) == skeleton.name
        back = skeleton_of_object(orjson.loads(orjson.dumps(skeleton_value(skeleton))), "x")
        assert (back.keypoints, back.edges) == (skeleton.keypoints, skeleton.edges)
        np.testing.assert_array_equal(back.flip_index, skeleton.flip_index)
        assert back.has_sigmas == skeleton.has_sigmas
    mine = replace(COCO_17, edges=())
    assert name_or_object(mine) == skeleton_value(mine)


def test_names_stand_as_in_the_files(data_dir) -> None:
    assert read_coco_truth(data_dir / "coco" / "dev_gt.json").skeleton is COCO_17
    assert read_coco_truth(data_dir / "crowdpose" / "crowdpose_val.json").skeleton is CROWDPOSE_14
    with h5py.File(data_dir / "flic" / "valid.h5") as file:
        part, seen = file["part"][:], file["visible"][:] > 0
    assert part.shape[1] == len(FLIC_11)
    height = np.array([np.median(part[seen[:, k], k, 1]) for k in range(len(FLIC_11))])
    names = FLIC_11.keypoints
    assert height[names.index("left_eye")] < height[names.index("nose")] < height[names.index("left_shoulder")]
    assert height[names.index("left_shoulder")] < height[names.index("left_elbow")] < height[names.index("left_hip")]
    side = np.nanmedian(part[:, names.index("left_shoulder"), 0] - part[:, names.index("right_shoulder"), 0])
    assert side > 0  # people mostly face the camera: their left is on the right of the picture


def test_wrong_skeletons_are_refused() -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        Skeleton("x", ("a", "a"), ())
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        Skeleton("x", ("a", "b"), ((0, 2),))
    with pytest.raises(ValueError, match="expected 2 sigmas"):
        Skeleton("x", ("a", "b"), (), None, (0.1,))
    with pytest.raises(ValueError, match=r"mirror pair names a keypoint outside 0\.\.1"):
        Skeleton("x", ("a", "b"), (), mirror_pairs=((0, 2),))
