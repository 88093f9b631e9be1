"""Leeds Sports Pose Extended: reading, and the labels that the cleaning rule removes."""

import numpy as np
import pytest
from scipy.io import savemat

from trustpose.datasets import lspet as module
from trustpose.datasets.lspet import clean, lspet_people, read_lspet
from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth
from trustpose.skeletons import COCO_17, LSP_14

STANDING = {  # x, y of a person seen from the front
    "right_ankle": (40, 190), "right_knee": (40, 145), "right_hip": (42, 100), "left_hip": (62, 100),
    "left_knee": (64, 145), "left_ankle": (64, 190), "right_wrist": (25, 110), "right_elbow": (28, 80),
    "right_shoulder": (36, 48), "left_shoulder": (68, 48), "left_elbow": (76, 80), "left_wrist": (79, 110),
    "neck": (52, 45), "head_top": (52, 18),
}  # fmt: skip
XY = np.array([STANDING[name] for name in LSP_14.keypoints], dtype=np.float64)


def _at(name):
    return LSP_14.keypoints.index(name)


def _write(folder, people, labelled=None):
    """joints.mat of people (N, 14, 2)."""
    labelled = np.ones((len(people), 14)) if labelled is None else labelled
    joints = np.concatenate([people, labelled[..., None]], axis=2).transpose(1, 2, 0)
    savemat(folder / "joints.mat", {"joints": joints})
    return folder / "joints.mat"


def _changed(**positions):
    xy = XY.copy()
    for name, position in positions.items():
        xy[_at(name)] = position
    return xy


def test_what_is_read(tmp_path):
    labelled = np.ones((2, 14))
    labelled[1, :3] = 0
    lspet = read_lspet(_write(tmp_path, np.stack([XY, XY * 2]), labelled))
    truth = lspet.truth
    assert np.array_equal(truth.xy[0], XY) and np.array_equal(truth.v, labelled * 2)
    assert (truth.xy[1, :3] == 0).all() and truth.image_id.tolist() == [1, 2]
    assert np.allclose(truth.box[0], [25 - 17.2, 18 - 17.2, 79 + 17.2, 190 + 17.2])
    assert np.allclose(truth.area, truth.area_by("box*0.53")) and set(truth.area_source) == {"box*0.53"}
    assert lspet.file_name[2] == "im00002.jpg" and lspet.has_joint.all()
    assert len(read_lspet(tmp_path).truth) == 2


def test_a_standing_person_keeps_every_label(tmp_path):
    turned = np.stack(
        [XY, XY[:, ::-1], 250 - XY, XY * [0.3, 1.0], XY * [1.0, 0.4]]
    )  # lying, upside down, from the side
    cleaned = clean(read_lspet(_write(tmp_path, turned)))
    assert len(cleaned.truth) == 5 and (cleaned.truth.v == 2).all() and not any(cleaned.dropped.values())


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"right_wrist": (150, 160)}, {"right_wrist"}),
        ({"left_knee": (180, 60)}, {"left_knee"}),
        ({"head_top": (140, 10)}, {"head_top"}),
        ({"left_knee": (40, 145), "right_knee": (64, 145)}, set()),  # people do sit like that
    ],
)
def test_limbs_that_are_too_long(tmp_path, change, lost):
    lspet = read_lspet(_write(tmp_path, _changed(**change)[None]))
    cleaned = clean(lspet)
    assert {LSP_14.keypoints[index] for index in np.flatnonzero(cleaned.truth.v[0] == 0)} == lost
    assert np.array_equal(cleaned.has_joint[0], cleaned.truth.v[0] > 0)
    assert cleaned.dropped["labels: long limb"] == len(lost)


def test_crossed_legs(tmp_path):
    wide = _changed(left_hip=(90, 100), left_knee=(60, 118), right_hip=(20, 100), right_knee=(55, 112))
    crossed = wide.copy()
    crossed[[_at("left_knee"), _at("right_knee")]] = [[22, 112], [88, 118]]
    cleaned = clean(read_lspet(_write(tmp_path, np.stack([wide, crossed]))))
    assert (cleaned.truth.v[0] == 2).all()
    assert {LSP_14.keypoints[index] for index in np.flatnonzero(cleaned.truth.v[1] == 0)} == {"left_knee", "right_knee"}


def test_a_twisted_trunk_and_too_little(tmp_path):
    twisted = _changed(left_hip=XY[_at("right_hip")], right_hip=XY[_at("left_hip")])
    labelled = np.ones((3, 14))
    labelled[2, :9] = 0
    cleaned = clean(read_lspet(_write(tmp_path, np.stack([XY, twisted, XY]), labelled)))
    assert cleaned.truth.image_id.tolist() == [1] and len(cleaned.has_joint) == 1
    assert cleaned.dropped["people: twisted trunk"] == 1 and cleaned.dropped["people: too little"] == 1


def test_an_unlabelled_joint_still_belongs_to_the_data_set(tmp_path):
    labelled = np.ones((1, 14))
    labelled[0, 0] = 0
    cleaned = clean(read_lspet(_write(tmp_path, XY[None], labelled)))
    assert cleaned.truth.v[0, 0] == 0 and cleaned.has_joint.all()


def test_the_real_set(data_dir):
    lspet = read_lspet(data_dir / "lspet")
    cleaned = clean(lspet)
    share = np.count_nonzero(lspet.truth.v) / lspet.truth.v.size
    assert len(lspet.truth) == 10_000 and 0.87 < share < 0.89  # "88 % of joints labelled"
    kept = np.count_nonzero(cleaned.truth.v) / np.count_nonzero(lspet.truth.v)
    assert len(cleaned.truth) > 9700 and 0.97 < kept < 0.99
    people = lspet_people(cleaned, data_dir / "lspet" / "images")
    for index in range(0, len(people), 997):
        sample = people[index]
        height, width = sample.pixels.shape[:2]
        positions = sample.xy[sample.v > 0]
        assert (positions > -8).all() and (positions < (width + 8, height + 8)).all()
        assert not sample.has_visibility.any()


def test_proportions_are_the_sets_own(data_dir):
    truth = read_lspet(data_dir / "lspet").truth
    limbs, has = module._LIMBS, truth.v > 0
    length = np.linalg.norm(truth.xy[:, limbs[:, 0]] - truth.xy[:, limbs[:, 1]], axis=2)
    length[~has[:, limbs].all(axis=2)] = np.nan
    length = length[~np.isnan(length[:, [0, 5]]).all(axis=1)]
    median = np.nanmedian(length / np.nanmedian(length[:, [0, 5]], axis=1, keepdims=True), axis=0)
    assert np.allclose(median, module._USUAL, rtol=0.12)


def test_good_labels_are_left_alone(data_dir):
    """COCO's labels, by trained annotators: the rule removes almost none."""
    truth = read_coco_truth(data_dir / "coco" / "train_gt.json").truth
    truth = truth[truth.num_keypoints >= 8].take_keypoints(COCO_17.index_in(LSP_14, missing="mark"))
    has = truth.v > 0
    assert np.count_nonzero(module._long_limb_ends(truth.xy, has) & has) < 0.001 * np.count_nonzero(has)
    assert np.count_nonzero(module._twisted_trunk(truth.xy, has)) < 0.003 * len(truth)


def test_invalid_files_are_reported(tmp_path):
    path = tmp_path / "joints.mat"
    with pytest.raises(InputError, match="no such file"):
        read_lspet(path)
    path.write_bytes(b"MATLAB 5.0 MAT-file, not")
    with pytest.raises(InputError, match="not a readable MATLAB file"):
        read_lspet(path)
    savemat(path, {"joints": np.zeros((3, 14, 5))})
    with pytest.raises(InputError, match=r"variable 'joints': expected numbers 14 × 3 × N"):
        read_lspet(path)
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(InputError, match="got nothing"):
        read_lspet(path)
    whole = _write(tmp_path, np.stack([XY] * 40)).read_bytes()
    random = np.random.default_rng(0)
    for _ in range(200):
        spoilt = bytearray(whole)
        index = int(random.integers(0, len(spoilt)))
        spoilt[index : index + 8] = random.bytes(8)
        path.write_bytes(bytes(spoilt[: int(random.integers(1, len(spoilt)))] if random.random() < 0.5 else spoilt))
        try:
            read_lspet(path)
        except InputError as error:
            assert "joints.mat" in str(error)
    with pytest.raises(InputError, match="no such directory"):
        path.write_bytes(whole)
        lspet_people(read_lspet(path), tmp_path / "none")
