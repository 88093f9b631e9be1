"""Labels of CVAT, Label Studio and VIA as ground truths: people, joints by their names, photos, v."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.files import InputError
from trustpose.io.coco.truth import TruthFile
from trustpose.skeletons import COCO_17

JOINTS = COCO_17.keypoints
XY = np.random.default_rng(0).uniform(20, 400, (3, 17, 2)).round(2)
V = np.random.default_rng(1).choice([0, 1, 2], (3, 17))
V[2] = np.random.default_rng(2).choice([1, 2], 17)  # each joint is labelled on a person
PHOTOS = ("7.jpg", "7.jpg", "12.jpg")
LEAST = np.where(V > 0, 2, 0)  # of tools that do not know occluded points


def cvat_points(row: int) -> str:
    """The points of a person, from the last joint to the first."""
    return "".join(
        f'<points label="{JOINTS[k]}" source="manual" outside="{int(V[row, k] == 0)}" occluded="{int(V[row, k] == 1)}" '
        f'points="{XY[row, k, 0]:.2f},{XY[row, k, 1]:.2f}"></points>'
        for k in range(16, -1, -1)
    )


def cvat_images() -> str:
    """As CVAT's documentation of "CVAT for images 1.1" has it."""
    photos = ""
    for index, name in enumerate(dict.fromkeys(PHOTOS)):
        people = [f'<skeleton label="person" source="manual" z_order="0">{cvat_points(row)}</skeleton>'
                  for row in range(3) if PHOTOS[row] == name]  # fmt: skip
        box = '<box label="car" occluded="0" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>'
        photos += f'<image id="{index}" name="set/{name}" width="640" height="480">{box}{"".join(people)}</image>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta/>{photos}</annotations>'


def cvat_video() -> str:
    """As "CVAT for video 1.1": three people in tracks of a frame each, and one frame in which a person is outside."""
    tracks = "".join(
        f'<track id="{row}" label="person" source="manual"><skeleton frame="{frame}" keyframe="1" z_order="0">'
        f'{cvat_points(row)}</skeleton><skeleton frame="{frame + 1}" outside="1" keyframe="1"/></track>'
        for row, frame in enumerate((7, 7, 12))
    )
    size = "<original_size><width>640</width><height>480</height></original_size>"
    return f"<annotations><version>1.1</version><meta><task/>{size}</meta>{tracks}</annotations>"


def label_studio() -> list[dict[str, Any]]:
    """As Label Studio exports JSON: percent, each person's points under its rectangle."""
    tasks: list[dict[str, Any]] = []
    for name in dict.fromkeys(PHOTOS):
        regions: list[dict[str, Any]] = []
        for row in (row for row in range(3) if PHOTOS[row] == name):
            regions.append({"id": f"box{row}", "type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["a"]}})
            regions += [
                {"original_width": 640, "original_height": 480, "image_rotation": 0, "type": "keypointlabels",
                 "parentID": f"box{row}",
                 "value": {"x": x / 6.4, "y": y / 4.8, "width": 0.5, "keypointlabels": [JOINTS[k]]}}
                for k, (x, y) in enumerate(XY[row].tolist()) if V[row, k]]  # fmt: skip
        data = {"image": f"/data/upload/1/{name}?token=a"}
        cancelled = {"result": [], "was_cancelled": True}
        tasks.append({"id": 1, "data": data, "annotations": [cancelled, {"result": regions}]})
    return tasks


def via(rows: tuple[int, ...] = (0, 2)) -> dict[str, Any]:
    """As VIA exports JSON: one person a photo."""
    return {
        f"{PHOTOS[row]}123": {"filename": PHOTOS[row], "size": 123, "file_attributes": {}, "regions": [
            {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": {"joint": JOINTS[k]}}
            for k, (x, y) in enumerate(XY[row].tolist()) if V[row, k]]}
        for row in rows
    }  # fmt: skip


def via_csv() -> str:
    """As VIA exports CSV."""
    columns = ["filename", "file_size", "file_attributes", "region_count", "region_id"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*columns, "region_shape_attributes", "region_attributes"])
    for photo in via().values():
        for number, region in enumerate(photo["regions"]):
            texts = [json.dumps(region[name]) for name in ("shape_attributes", "region_attributes")]
            writer.writerow([photo["filename"], 123, "{}", len(photo["regions"]), number, *texts])
    writer.writerow(["empty.jpg", 1, "{}", 0, 0, "{}", "{}"])
    return text.getvalue()


def read(folder: Path, name: str, content: Any) -> TruthFile:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text)
    return read_ground_truth(folder / name)


def check(truth_file: TruthFile, v: np.ndarray, rows: tuple[int, ...] = (0, 1, 2)) -> None:
    people = truth_file.truth
    np.testing.assert_array_equal(people.v, v[list(rows)])
    np.testing.assert_allclose(people.xy, np.where(v > 0, XY.transpose(2, 0, 1), 0).transpose(1, 2, 0)[list(rows)])
    assert truth_file.skeleton is COCO_17 and people.image_id is not None
    assert people.image_id.tolist() == [(7, 7, 12)[row] for row in rows]


def test_cvat(tmp_path: Path) -> None:
    read_images = read(tmp_path, "annotations.xml", cvat_images())
    check(read_images, V)
    assert read_images.has_visibility and sorted(read_images.images.names().values()) == ["12.jpg", "7.jpg"]
    assert read_images.images.sizes(np.array([7])).tolist() == [[640, 480]]
    check(read(tmp_path, "video.xml", cvat_video()), V)


def test_label_studio(tmp_path: Path) -> None:
    truth = read(tmp_path, "project.json", label_studio())
    check(truth, LEAST)
    assert not truth.has_visibility
    tasks = label_studio()
    for task in tasks:
        regions = task["annotations"][1]["result"]
        points = [region for region in regions if "parentID" in region]
        for number, point in enumerate(points):
            point["id"] = f"point{number}"
            relation = {
                "type": "relation",
                "from_id": point["id"],
                "to_id": point.pop("parentID"),
                "direction": "right",
            }
            regions.append(relation)
    check(read(tmp_path, "relations.json", tasks), LEAST)


def test_via(tmp_path: Path) -> None:
    check(read(tmp_path, "via_region_data.json", via()), LEAST, (0, 2))
    check(read(tmp_path, "via_project.json", {"_via_settings": {}, "_via_img_metadata": via()}), LEAST, (0, 2))
    first = {name: photo | {"regions": dict(enumerate(photo["regions"]))} for name, photo in via().items()}
    check(read(tmp_path, "via_1.json", first), LEAST, (0, 2))
    check(read(tmp_path, "via_region_data.csv", via_csv()), LEAST, (0, 2))


def changed(value: Any, old: str, new: str) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    assert old in text
    return text.replace(old, new, 1)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>'
BROKEN: list[tuple[str, str, str]] = [
    ("a.xml", BOMB, "has a document type definition"),
    ("a.xml", cvat_images()[:-9], "is not valid XML"),
    ("a.xml", "<annotations/>", "holds no labelled people"),
    (
        "a.xml",
        '<annotations><image name="a"><points label="p" points="1,2"/></image></annotations>',
        "outside of skelet",
    ),
    ("a.xml", changed(cvat_images(), 'name="set/7.jpg"', ""), "image 0: 'name': expected the photo's name, got ''"),
    ("a.xml", changed(cvat_images(), 'width="640"', 'width="1e999"'), "image 0: expected a photo's width and height"),
    ("a.xml", changed(cvat_images(), 'points="', 'points="1,'), "image 0: point 'right_ankle': expected one x,y"),
    ("a.xml", changed(cvat_images(), 'points="', 'points="1e30,2" p="'), "expected x and y in pixels of a photo"),
    ("a.xml", changed(cvat_images(), 'label="nose"', 'label="left_eye"'), "expected each point of a skeleton once"),
    ("a.xml", changed(cvat_video(), 'frame="7"', 'frame="-7"'), "track 0: 'frame': expected the frame's number"),
    ("a.json", changed(label_studio(), '"parentID": "box1"', '"parentID": "box0"'), "occurs twice on a person"),
    (
        "a.json",
        changed(label_studio(), '"original_width": 640', '"original_width": "x"'),
        "field 'original_width': expected a",
    ),
    ("a.json", changed(label_studio(), '"image"', '"title": "x", "photo"'), "task 0: field 'data': expected the"),
    (
        "a.json",
        changed(label_studio(), '"keypointlabels": ["', '"keypointlabels": ["a", "'),
        "expected 1 name, got a",
    ),
    (
        "a.json",
        changed(label_studio(), '"result": [{', '"result": [3, {'),
        "task 0: field 'annotations.1.result.0': expected an object, got 3",
    ),
    ("a.json", changed(via(), '"cx"', '"c"'), "photo 0: region 0: field 'cx' is missing, expected a number"),
    ("a.json", changed(via(), '"joint": "', '"a": "b", "joint": "'), "region 0: expected one attribute that names"),
    (
        "a.json",
        changed(via(), '"regions": [', '"regions": [3, '),
        "field 'regions.0': expected an object, got 3",
    ),
    ("a.csv", changed(via_csv(), '""point""', '""point'), "line 2: 'region_shape_attributes': is not valid JSON"),
    ("a.csv", via_csv() + "7.jpg\n", "expected 7 cells, got 1"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_broken_files_are_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, name, content)
    assert message in str(error.value) and str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value) and len(str(error.value)) < 300 + len(str(tmp_path))
