"""Data sets in their own layouts: MPII, FLIC, LSP, AI Challenger, OCHuman, DriPE.

Files of the data: mpii/annot/valid.h5, flic/*.h5, lspet/joints.mat, layouts/mpii/test_mpii.json,
layouts/aic/test_aic.json.
The official .mat files and AI Challenger's and OCHuman's own JSON are not public in part: the tests write them.
"""

import json

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth
from trustpose.skeletons import AIC_14, COCO_17, FLIC_11, LSP_14, MPII_16, OCHUMAN_19


@pytest.fixture
def folder(data_dir):
    if not all((data_dir / name).is_dir() for name in ("mpii", "flic", "lspet", "layouts")):
        pytest.skip(f"no mpii/, flic/, lspet/ or layouts/ at {data_dir}")
    return data_dir


def test_two_layouts_of_mpii_agree(folder, tmp_path):
    arrays = read_ground_truth(folder / "mpii/annot/valid.h5")
    json_file = tmp_path / "mpii_val.json"
    json_file.write_bytes((folder / "layouts/mpii/test_mpii.json").read_bytes())
    listed = read_ground_truth(json_file)
    assert listed.skeleton is MPII_16
    assert arrays.truth.head_size is not None
    assert listed.truth.head_size is None
    assert "gt_valid.mat" in listed.notes[0]
    for row, image in enumerate(listed.truth.image_id):
        index = int(np.flatnonzero(arrays.truth.image_id == image)[0])
        labelled = listed.truth.v[row] > 0
        assert np.array_equal(labelled, arrays.truth.v[index] > 0)
        # the stacked hourglass's file has whole pixels, cut off
        difference = listed.truth.xy[row] - arrays.truth.xy[index]
        assert ((difference[labelled] >= 0) & (difference[labelled] < 1)).all()
        np.testing.assert_allclose(listed.truth.box[row], arrays.truth.box[index], atol=1e-3)
    corners = np.random.default_rng(0).uniform(0, 100, (2, 2, 5))
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": corners})
    again = read_ground_truth(json_file)
    assert again.metrics == ("pckh",)
    np.testing.assert_allclose(again.truth.head_size, 0.6 * np.linalg.norm(corners[1] - corners[0], axis=0))


def _mpii_person(at, **changed):
    points = [{"x": 10.0 * joint + at, "y": 5.0 * joint, "id": joint, "is_visible": seen}
              for joint, seen in ((0, 1), (9, "0"), (10, np.zeros((0, 0))))]  # fmt: skip
    head = {"x1": 1.0, "y1": 2.0, "x2": 31.0, "y2": 42.0}
    return head | {"annopoints": {"point": points}, "objpos": {"x": 101.0, "y": 201.0}, "scale": 0.5} | changed


def test_mpii_as_published(tmp_path):
    without = {"annopoints": np.zeros((0, 0)), "objpos": {"x": 1.0, "y": 1.0}}
    photos = [
        {"image": {"name": "000000007.jpg"}, "annorect": [_mpii_person(0), _mpii_person(1, **without)]},
        {"image": {"name": "000000008.jpg"}, "annorect": _mpii_person(2)},
        {"image": {"name": "000000009.jpg"}, "annorect": np.zeros((0, 0))},
        {"image": {"name": "000000010.jpg"}, "annorect": _mpii_person(3)},
    ]
    path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
    savemat(path, {"RELEASE": {"annolist": photos, "img_train": np.array([1, 1, 1, 0])}})
    file = read_ground_truth(path)
    assert file.truth.image_id.tolist() == [7, 8]
    assert file.truth.v[0][[0, 9, 10, 1]].tolist() == [2, 1, 2, 0]
    assert file.truth.xy[1, 9].tolist() == [91, 44]  # counted from 0
    assert file.truth.head_size.tolist() == [30, 30]
    assert file.truth.box[0].tolist() == [50, 150, 150, 250]


def test_flic(folder, tmp_path):
    file = read_ground_truth(folder / "flic/valid.h5")
    assert (len(file.truth), len(file.images), file.skeleton) == (1016, 926, FLIC_11)
    coords = np.full((2, 29), np.nan)
    coords[:, [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16]] = file.truth.xy[0].T
    coords[:, 1] = np.nan
    example = {"filepath": "film-00000042.jpg", "coords": coords, "imgdims": np.array([480, 720, 3]), "istest": 1}
    savemat(tmp_path / "examples.mat", {"examples": [example, example]})
    truth_file = read_ground_truth(tmp_path / "examples.mat")
    assert truth_file.images.sizes(truth_file.truth.image_id).tolist() == [[720, 480]] * 2
    labelled = truth_file.truth.v[0] > 0
    assert np.flatnonzero(~labelled).tolist() == [FLIC_11.index("left_elbow")]
    assert np.array_equal(truth_file.truth.xy[0][labelled], file.truth.xy[0][labelled])


def test_lsp_and_its_extension(folder, tmp_path):
    joints = np.random.default_rng(0).uniform(1, 200, (3, 14, 4))
    joints[2] = 0
    joints[2, 5, 1] = 1
    savemat(tmp_path / "joints.mat", {"joints": joints})
    file = read_ground_truth(tmp_path)
    assert file.skeleton is LSP_14
    assert file.truth.v[1, 5] == 1  # occluded
    assert (file.truth.v == 2).sum() == 4 * 14 - 1
    assert list(file.images.file_name) == [f"im000{number}.jpg" for number in (1, 2, 3, 4)]
    extended = read_ground_truth(folder / "lspet/joints.mat")
    assert len(extended.truth) == 10_000
    assert extended.metrics == file.metrics == ("pck-torso", "pcp", "pcp-loose")


def test_ai_challengers_own_layout_agrees_with_cocos(folder, tmp_path):
    path = folder / "layouts/aic/test_aic.json"
    coco, value = read_coco_truth(path), json.loads(path.read_text())
    theirs = {0: 3, 1: 2, 2: 1}
    photos = {image["id"]: {"image_id": image["file_name"][:-4], "human_annotations": {}, "keypoint_annotations": {}}
              for image in value["images"]}  # fmt: skip
    for annotation in value["annotations"]:
        x, y, width, height = annotation["bbox"]
        points = np.array(annotation["keypoints"], float).reshape(-1, 3)
        points[:, 2] = [theirs[int(v)] for v in points[:, 2]]
        photos[annotation["image_id"]]["human_annotations"][f"human{annotation['id']}"] = [x, y, x + width, y + height]
        photos[annotation["image_id"]]["keypoint_annotations"][f"human{annotation['id']}"] = points.ravel().tolist()
    json_path = tmp_path / "keypoint_validation_annotations_20170911.json"
    json_path.write_text(json.dumps(list(photos.values())))
    file = read_ground_truth(json_path)
    assert file.skeleton is AIC_14
    rows = np.lexsort(coco.truth.box.T), np.lexsort(file.truth.box.T)
    assert np.array_equal(coco.truth.v[rows[0]], file.truth.v[rows[1]])
    assert np.allclose(np.where(coco.truth.v > 0, coco.truth.xy[..., 0], 0)[rows[0]], file.truth.xy[rows[1]][..., 0])
    of_photo = [
        [one.images.names()[image] for image in one.truth.image_id[order].tolist()]
        for one, order in ((coco, rows[0]), (file, rows[1]))
    ]
    assert of_photo[0] == of_photo[1]


def test_ochumans_own_layout(tmp_path):
    names = [*reversed(OCHUMAN_19.keypoints)]  # in any order
    keypoints = [[10 * index, index, index % 4] for index in range(19)]
    person = {"bbox": [1, 2, 31, 62], "keypoints": np.ravel(keypoints).tolist(), "segms": None}
    photo = {"file_name": "000042.jpg", "image_id": "000042", "width": 300, "height": 200}
    photo["annotations"] = [person, {"bbox": [0, 0, 9, 9], "keypoints": None}]
    value = {"keypoint_names": names, "keypoint_visible": {"missing": 0}, "images": [photo]}
    (tmp_path / "ochuman.json").write_text(json.dumps(value))
    file = read_ground_truth(tmp_path / "ochuman.json")
    assert file.truth.image_id.tolist() == [42]
    assert file.truth.box.tolist() == [[1, 2, 31, 62]]
    index = OCHUMAN_19.index(names[3])
    assert (file.truth.xy[0, index].tolist(), file.truth.v[0, index]) == ([30, 3], 1)
    assert np.bincount(file.truth.v[0]).tolist() == [5, 9, 5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mpii_human_pose_v1_u12_1.mat", None, "no such file; MPII is published at http://human-pose.mpi-inf.mpg.de/"),
        ("examples.mat", None, "no such file; FLIC is published at"),
        ("crowdpose_val.json", None, "no such file; CrowdPose is published at"),
        ("autob_coco_test.json", None, "no such file; DriPE is published at https://projet.liris.cnrs.fr/dripe/; "
         "expected its labels in COCO's layout, autob_coco_train.json"),
        ("some.mat", {"points": np.zeros(3)}, "holds points; expected RELEASE (MPII), examples (FLIC) or joints (LSP"),
        ("joints.mat", {"joints": np.full((3, 14, 2), 7.0)}, "variable 'joints': expected 0 or 1 for occluded"),
        ("joints.mat", {"joints": np.zeros((5, 5))}, "variable 'joints': expected numbers 14 × 3 × N"),
        ("mpii.json", [{"image": "a.jpg", "joints": [[1, 2]], "joints_vis": [], "center": [], "scale": 1}],
         "person 0: field 'joints': expected 16 pairs of numbers, got a list of 1"),
        ("aic.json", [{"image_id": "a", "keypoint_annotations": {"human1": [1]}, "human_annotations": {}}],
         "photo 0: field 'keypoint_annotations.human1': expected 42 numbers"),
        ("ochuman.json", {"images": [], "keypoint_names": ["nose"], "keypoint_visible": {}}, "field 'keypoint_names'"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(tmp_path, name, content, message):
    path = tmp_path / name
    if path.suffix == ".mat" and content is not None:
        savemat(path, content)
    elif content is not None:
        path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_ground_truth(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "photos", "dataset", "count"),
    [
        ("mpii_human_pose_v1_u12_1.mat", "images", "MPII", 16),
        ("joints.mat", "images", "LSP", 14),
        ("examples.mat", "images", "FLIC", 11),
    ],
)
def test_a_folder_as_published_can_be_trained_on(tmp_path, labels, photos, dataset, count):
    from trustpose.training.people import open_people
    from trustpose.training.recipe import DataOptions

    file = tmp_path / labels
    point = {"x": 11.0, "y": 21.0, "id": 0, "is_visible": 1}
    person = _mpii_person(0, annopoints={"point": [point, point | {"id": 1, "x": 41.0}]})
    content = {
        "MPII": {"RELEASE": {"annolist": {"image": {"name": "000000001.jpg"}, "annorect": person}, "img_train": 1}},
        "LSP": {"joints": np.stack([np.full((14, 1), 10.0), np.arange(14.0)[:, None], np.zeros((14, 1))])},
        "FLIC": {
            "examples": {"filepath": "film-00000001.jpg", "coords": np.full((2, 29), 10.0), "imgdims": [48, 64, 3]}
        },
    }[dataset]
    savemat(file, content)
    options = DataOptions(skeleton={16: "mpii16", 14: "lsp14", 11: "flic11"}[count])
    with pytest.raises(InputError, match=rf"images: no such folder of photos; {dataset} is published at http"):
        open_people(tmp_path, options)
    (tmp_path / photos).mkdir()
    name = {"MPII": "000000001.jpg", "LSP": "im0001.jpg", "FLIC": "film-00000001.jpg"}[dataset]
    cv2.imwrite(str(tmp_path / photos / name), np.zeros((48, 64, 3), np.uint8))
    people = open_people(tmp_path, options)
    assert people.labels.v.shape == (1, count)
    assert people[0].pixels.shape == (48, 64, 3)
    assert people.labels.has_visibility.all() == (dataset != "FLIC")


def test_dripes_layout_is_cocos(tmp_path):
    """A file with the fields that a public converter of `autob_coco_{train,val,test}.json` reads."""
    from trustpose.training.people import open_people
    from trustpose.training.recipe import DataOptions

    points = np.c_[np.arange(51.0).reshape(17, 3)[:, :2], np.tile([2, 1, 0], 6)[:17]]
    value = {
        "images": [{"id": 3, "file_name": "driving-1_cam_0042.jpg", "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [2, 3, 40, 40],
                         "keypoints": points.ravel().tolist()}],
        "categories": [{"id": 1, "name": "person"}],
    }  # fmt: skip
    labels = tmp_path / "splits/split_1/autob_coco_train.json"
    labels.parent.mkdir(parents=True)
    labels.write_text(json.dumps(value))
    file = read_ground_truth(labels)
    assert file.skeleton is COCO_17
    assert np.bincount(file.truth.v[0]).tolist() == [5, 6, 6]
    with pytest.raises(InputError, match="set_pics: no such folder of photos; DriPE is published at http"):
        open_people(tmp_path, DataOptions())
    (tmp_path / "set_pics").mkdir()
    cv2.imwrite(str(tmp_path / "set_pics/driving-1_cam_0042.jpg"), np.zeros((48, 64, 3), np.uint8))
    people = open_people(tmp_path, DataOptions())
    assert people.labels.v.shape == (1, 17)
    assert people[0].pixels.shape == (48, 64, 3)
