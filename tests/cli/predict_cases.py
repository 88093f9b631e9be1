"""Run `trustpose predict` in this process; its inputs: three photos, a network, labels and boxes."""

import json

import cv2
import pytest
import typer
from typer.testing import CliRunner

from tests.tiny_onnx import photo_of_people, write_network
from trustpose.cli.predict import predict
from trustpose.files import InputError
from trustpose.predict.journal import Journal
from trustpose.skeletons import COCO_17

app = typer.Typer()
app.command()(predict)

IDS = {"one.png": 11, "two.jpg": 12, "none.png": 13}


def run(*arguments):
    """Exit code and what was printed; InputError, which the real program turns into exit code 2, is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def case(tmp_path):
    """A folder of three photos with 1, 2 and no labelled people, and one more with only a box; a network; the truth."""
    folder = tmp_path / "photos"
    folder.mkdir()
    images, annotations, detections, xy = [], [], [], {}
    for (name, image_id), count in zip(IDS.items(), (1, 3, 0), strict=True):
        photo, positions, boxes = photo_of_people(count, seed=image_id)
        cv2.imwrite(str(folder / name), photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
        images.append({"id": image_id, "file_name": name, "width": photo.shape[1], "height": photo.shape[0]})
        for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            number = image_id * 10 + index
            labels = [float(n) for point in positions[index] for n in (*point, 2)] if index < 2 else [0.0] * 51
            box = [x0, y0, x1 - x0, y1 - y0]
            common = {"image_id": image_id, "category_id": 1, "bbox": box}
            annotations.append({"id": number, "iscrowd": 0, "area": 1e4, "keypoints": labels, **common})
            detections.append({**common, "score": 0.5 + index / 10})
            xy[number] = positions[index]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    truth = {"images": images, "annotations": annotations, "categories": [category]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "boxes.json").write_text(json.dumps(detections))
    write_network(tmp_path)
    return tmp_path, xy


def common(path):
    return ("--model", path / "colours.onnx", "--out", path / "out")


def refused(match, *arguments):
    with pytest.raises(InputError, match=match) as error:
        run(*arguments)
    assert "\n" not in str(error.value)


def stop_after(monkeypatch, count):
    """A run that is stopped as it notes its photo number `count` + 1."""
    add, calls = Journal.add, []

    def stopping(self, image_id, poses):
        if len(calls) == count:
            raise KeyboardInterrupt
        calls.append(image_id)
        add(self, image_id, poses)

    monkeypatch.setattr(Journal, "add", stopping)
    return calls
