"""Put the fast setting of the default model into the package: an 8-bit network with its trust head, a smaller detector.

    python tools/ship_fast.py --network FOLDER --detector picodet-s.onnx
    python benchmarks/default_model.py > measured.txt
    python tools/ship_fast.py --measured measured.txt

--network is a model folder with weights of network and trust head, --detector PicoDet's published file. Ranges of 8-bit
maps are measured on people of --gt, `train` photos by default. Then the default model's spec names both. --measured
writes there what they cost, from the benchmark's last line.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from trustpose.export.onnx import with_half_weights
from trustpose.export.quantised import quantised
from trustpose.export.trust_folder import export_onnx
from trustpose.files import InputError, write_json
from trustpose.io.coco.truth import read_coco_truth
from trustpose.models.runtime.backends import open_runtime
from trustpose.models.runtime.sessions import to_tensor
from trustpose.models.runtime.weights import load_trust_network
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, BoxListOutput, FastSetting, InputSpec, ModelSpec
from trustpose.networks.picodet import PicoDet
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.photos import Image
from trustpose.predict.predictor import Predictor
from trustpose.training.crops import MEAN, STD
from trustpose.training.detector_task import LIST_MIN_SCORE, LISTS, ListTargets

MODELS = Path(__file__).parents[1] / "src" / "trustpose" / "models"
DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "coco"
NETWORK, DETECTOR = "default-fast", "default-fast-detector"
SIZE = 224  # pixels: docs/speed.md has the numbers of other sizes on 400 `train` photos
PEOPLE = 96  # on which ranges are measured
NETWORK_SOURCE = "trustpose's default network before PP-TinyPose (docs/default-model.md), with 8-bit convolutions"
DETECTOR_SOURCE = "PaddleDetection, PicoDet-S pedestrian (Apache-2.0; COCO train2017, AI Challenger), at 224 pixels"
COSTS = {  # the numbers to show, if the benchmark has them
    "AP from given boxes": ("poses", "by its expected OKS", "AP"),
    "r(pose, OKS)": ("trust", "", "r(pose, OKS)"),
    "AP from photos": ("people", "", "AP"),
}


def crops(spec: ModelSpec, gt: Path, photos: Path) -> Iterator[dict[str, np.ndarray]]:
    """The network's inputs for some people, chosen at random."""
    truth = read_coco_truth(gt)
    boxes = boxes_from_truth(truth.truth).of_images(truth.images.id)
    predictor = Predictor(open_runtime(spec, threads=1), threads=1)
    rows = np.random.default_rng(0).permutation(len(boxes))
    for row in [row for row in rows if len(boxes[row])][:PEOPLE]:
        photo = Image(photos / str(truth.images.file_name[row]), boxes[row], 0)
        job = predictor._prepare(photo)
        inputs = {spec.input.name: to_tensor(job.crops[:1], spec.input)}
        yield inputs | {"box": job.box_share[:1].astype(np.float32)}


def ship_network(folder: Path, gt: Path, photos: Path) -> None:
    spec, out = ModelSpec.read(folder), MODELS / NETWORK
    assert spec.trust is not None
    out.mkdir(exist_ok=True)
    export_onnx(load_trust_network(spec), out / MODEL_ONNX, spec.input.height, spec.input.width)
    samples = list(crops(spec, gt, photos))
    model = with_half_weights(quantised(onnx.load(str(out / MODEL_ONNX)), samples))
    onnx.checker.check_model(model)
    (out / MODEL_ONNX).write_bytes(model.SerializeToString())
    named = replace(spec, name=f"trustpose {NETWORK}", source=NETWORK_SOURCE, network=None, fast=None, measured={})
    write_json(out / MODEL_JSON, named.to_json())


def ship_detector(published: Path) -> None:
    out = MODELS / DETECTOR
    out.mkdir(exist_ok=True)
    detector = PicoDet().eval()
    detector.read(published)
    model = with_half_weights(ListTargets().graph(detector, SIZE))
    onnx.checker.check_model(model)
    (out / MODEL_ONNX).write_bytes(model.SerializeToString())
    inputs = InputSpec("image", "NCHW", "float32", SIZE, SIZE, "RGB", 1 / 255, MEAN, STD, resize="stretched")
    output = BoxListOutput(*LISTS, LIST_MIN_SCORE)
    spec = ModelSpec(out / MODEL_ONNX, f"trustpose {DETECTOR}", "Apache-2.0", DETECTOR_SOURCE, inputs, output)
    write_json(out / MODEL_JSON, spec.to_json())


def name_them(costs: dict[str, str]) -> None:
    """Write the field 'fast' of the default model's spec."""
    path = MODELS / "default" / MODEL_JSON
    text = json.loads(path.read_text()) | {"fast": FastSetting(NETWORK, DETECTOR, costs).to_json()}
    path.write_text(json.dumps(text, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def costs_of(result: dict[str, Any]) -> dict[str, str]:
    """What the benchmark measured of the fast setting, the usual model's number behind each."""
    costs = {}
    for label, (table, row, name) in COSTS.items():
        ours, fast = (f"{who}, {row}".removesuffix(", ") for who in ("ours", "ours, fast"))
        if table == "trust":
            usual, quick = result["trust"][name][0], result["trust, fast"][name][0]
        else:
            usual, quick = result[table][ours][name], result[table][fast][name]
        costs[label] = f"{quick:.3f} instead of {usual:.3f}".replace("0.", ".")
    return costs


def run() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--gt", type=Path, default=DATA / "train_gt.json")
    parser.add_argument("--photos", type=Path, default=DATA / "train")
    parser.add_argument("--measured", type=Path, help="what benchmarks/default_model.py printed")
    given = parser.parse_args()
    if given.measured is not None:
        name_them(costs_of(json.loads(given.measured.read_text().splitlines()[-1])))
        return
    if given.network is None or given.detector is None:
        parser.error("--network and --detector are needed, or --measured")
    ship_network(given.network, given.gt, given.photos)
    ship_detector(given.detector)
    name_them({})
    for name in (NETWORK, DETECTOR):
        print(f"{name} {(MODELS / name / MODEL_ONNX).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    try:
        run()
    except InputError as error:
        sys.exit(f"{error}")
