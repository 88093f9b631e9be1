"""The examples on the adapters' pages run, on a real photo, with stand-ins for the weights that they name."""

import functools
import importlib
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import trustpose as tp
from tests.conftest import REPOSITORY
from tests.predict.adapters.people import labelled_photo
from tests.predict.adapters.test_rtmlib import write_simcc
from tests.predict.adapters.tiny_task import write_task
from tests.predict.torchvision_operators import stand_in
from trustpose.extras import install_line, not_installed
from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import Poses, write_results
from trustpose.predict.adapters import ADAPTERS

PAGES = REPOSITORY / "docs" / "adapters"
NAMES = sorted([*ADAPTERS, "onnx"])


def _example(page):
    (block,) = re.findall(r"```python\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL)
    return block


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_each_adapter_has_its_page(name):
    text = (PAGES / f"{name}.md").read_text()
    assert ADAPTERS[name].licence in text and install_line(ADAPTERS[name].extra) in text
    assert len(_example(name).splitlines()) <= 12
    assert f"]({name}.md)" in (PAGES / "README.md").read_text()


def _mediapipe(here):
    pytest.importorskip("mediapipe", reason="needs the package mediapipe")
    rng = np.random.default_rng(0)
    task = write_task(here.folder / "pose_landmarker_full.task", rng.uniform(0.2, 0.8, (33, 5)))
    try:
        tp.load(f"mediapipe:{task}")
    except tp.InputError as error:
        pytest.skip(str(error))


def _rtmlib(here):
    pytest.importorskip("rtmlib", reason="needs the package rtmlib")
    write_simcc(here.folder / "rtmpose-m.onnx")


def _onnx(here):
    for name in ("movenet-thunder", "movenet-multipose"):
        for suffix in (".onnx", ".json"):
            shutil.copy(here.data_dir / "networks" / f"{name}{suffix}", here.folder)


def _keypointrcnn(here):
    torch = pytest.importorskip("torch", reason="needs torch and torchvision")
    torch.manual_seed(0)
    stand_in(here.monkeypatch)
    detection = importlib.import_module("torchvision.models.detection")
    small = {"min_size": 160, "rpn_pre_nms_top_n_test": 9, "rpn_post_nms_top_n_test": 9, "box_detections_per_img": 3}
    build = functools.partial(detection.keypointrcnn_resnet50_fpn, **small)
    here.monkeypatch.setattr(
        detection, "keypointrcnn_resnet50_fpn", lambda **options: build(**options | {"weights": None})
    )


def _vitpose(here):
    torch = pytest.importorskip("torch", reason="needs torch")
    transformers = pytest.importorskip("transformers", reason="needs the package transformers")
    importlib.import_module("trustpose.networks.backbones")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "out_indices": [2]}
    config = transformers.VitPoseConfig(backbone_config=transformers.VitPoseBackboneConfig(**sizes), num_labels=17)
    checkpoint = here.folder / "usyd-community" / "vitpose-base-simple"
    transformers.VitPoseForPoseEstimation(config).save_pretrained(checkpoint)
    transformers.VitPoseImageProcessor().save_pretrained(checkpoint)


def _ultralytics(here):
    pytest.importorskip("ultralytics", reason=not_installed("ultralytics", "ultralytics"))
    here.monkeypatch.setattr("trustpose.predict.adapters.ultralytics.MIN_SCORE", 0.0)


PREPARE = {
    "keypointrcnn": _keypointrcnn,
    "mediapipe": _mediapipe,
    "onnx": _onnx,
    "rtmlib": _rtmlib,
    "ultralytics": _ultralytics,
    "vitpose": _vitpose,
}


def _fit(data_dir, poses, path):
    """A calibrator for scores like these: labelled people, found a little beside their places, each score by chance."""
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json").truth
    people = np.flatnonzero(truth.num_keypoints > 5)[:300]
    rng = np.random.default_rng(0)
    size = np.sqrt(truth.area[people])[:, None, None]
    score = rng.choice(poses.score.ravel(), (len(people), 17))
    made_up = Poses(
        xy=truth.xy[people] + rng.normal(0, 0.1, (len(people), 17, 2)) * size,
        score=score,
        pose_score=score.mean(axis=1),
        box=truth.box[people],
        image_id=truth.image_id[people],
        annotation_id=truth.annotation_id[people],
    )
    results = path.with_name("made-up.json")  # not beside a network under its name: there is its spec
    write_results(results, made_up)
    calibrator = tp.Calibrator.fit(data_dir / "coco" / "dev_gt.json", results, method="platt")
    calibrator.save(path)


@pytest.mark.parametrize("page", NAMES)
def test_the_example_runs(page, tmp_path, monkeypatch, data_dir, capsys):
    """As it stands on the page, but for a model that has to be fetched; its calibrator is fitted to made-up people."""
    PREPARE[page](SimpleNamespace(folder=tmp_path, monkeypatch=monkeypatch, data_dir=data_dir))
    monkeypatch.chdir(tmp_path)
    photo, truth = labelled_photo(data_dir)
    shutil.copy(photo, tmp_path / "photo.jpg")
    example = _example(page).replace("yolo11n-pose.pt", "yolo11n-pose.yaml")
    before, after = re.split(r"^(?=calibrator = )", example, flags=re.MULTILINE)
    names = {"boxes": truth.box}
    exec(compile(before, f"docs/adapters/{page}.md", "exec"), names)
    assert len(names["poses"]) > 0
    path = re.search(r'Calibrator\.load\("(.*?)"\)', after)[1]
    _fit(data_dir, names["poses"], tmp_path / path)
    exec(compile(after, f"docs/adapters/{page}.md", "exec"), names)
    trusted, poses = names["trusted"], names["poses"]
    np.testing.assert_array_equal(trusted.xy, poses.xy)
    np.testing.assert_array_equal(trusted.score, poses.score)
    assert (
        (trusted.pose_quality >= 0) & (trusted.pose_quality <= 1)
    ).all() and trusted.quality.shape == poses.score.shape
    assert capsys.readouterr().out.count("expected OKS 0.") == len(poses)
