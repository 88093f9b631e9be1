"""Put trained parts into the package: a graph of network and trust head, and the detector's, weights in half the bytes.

    python tools/ship_default.py --network tinypose.json --trust FOLDER --detector FOLDER
    python tools/fit_presence.py --model src/trustpose/models/default …         # people in a detector's boxes
    python benchmarks/default_model.py > measured.txt
    python tools/ship_default.py --measured measured.txt
    python tools/ship_default.py --errors FOLDER --recall out/results.json unseen.json

--network is the published network with its JSON, or a model folder of a zoo network; --trust is of `trustpose train
default-trust` on that, --detector of `trustpose train default-detector`. Graphs and specs go into the package, weights
to train on into weights/ of the checkout. What is there is replaced; cards (README.md) stay. --measured writes the
numbers of the benchmark's last line into the specs. --errors FOLDER writes only the error models of a `trustpose train
default-trust` into the default's spec: those of a shorter training of the same head on the same network, whose
cross-fitted copies have not seen the people either (docs/benchmarks/pixel-error.md). --recall are results of `trustpose
predict DATA/coco/train` and the labels of unseen photos: by how much their AP is below what is expected.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from trustpose.calibration.accuracy import ExpectedAccuracy
from trustpose.export.onnx import with_half_weights
from trustpose.export.trust_folder import Fitted, save_trust_network
from trustpose.files import InputError
from trustpose.heads.network import attach
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.average_precision import evaluate
from trustpose.models.outputs.trust import ERROR_FIELDS
from trustpose.models.runtime.backends import open_runtime
from trustpose.models.runtime.weights import load_module
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, ModelSpec
from trustpose.networks.checkpoint_files import read_tensors
from trustpose.networks.onnx_weights import read_onnx_weights
from trustpose.networks.zoo import build
from trustpose.skeletons import COCO_17

ROOT = Path(__file__).parents[1]
MODELS, WEIGHTS = ROOT / "src" / "trustpose" / "models", ROOT / "weights"
NETWORK = "tinypose"  # the zoo's name of the published network
SOURCES = {
    "default": "PP-TinyPose 256x192 (PaddleDetection, Apache-2.0), trained on by trustpose (docs/default-model.md) on "
    "people of COCO train2017, with a trust head trained on people of COCO val2017",
    "default-detector": "trained by trustpose (docs/default-model.md) from PicoDet-S pedestrian 320 (PaddleDetection, "
    "Apache-2.0) on COCO 2017 photos",
}
FAST = {"network": "default-fast", "detector": "default-fast-detector"}  # of tools/ship_fast.py
TOLERANCE = 1e-3  # of trust that two graphs of the same network and head may differ by


def network_of(path: Path) -> tuple[ModelSpec, nn.Module]:
    """The spec and the module with its weights, of a model folder or of the published ONNX file."""
    spec = ModelSpec.read(path)
    if spec.network is not None:
        return spec, load_module(spec)
    module = build(NETWORK, keypoints=len(spec.skeleton))
    module.load_state_dict(read_onnx_weights(spec.onnx, module))
    inputs = replace(spec.input, name="image")
    return replace(spec, network=NETWORK, input=inputs), module.eval()


def joined(network: Path, trust: Path, out: Path) -> None:
    """The network and the head of the folder `trust` as the folder `out`, with weights to train on.

    Raises InputError if the joined network differs from `trust`.
    """
    (spec, module), fitted = network_of(network), ModelSpec.read(trust)
    assert fitted.trust is not None
    both = attach(fitted.trust.head, module, spec.input.height, spec.input.width, **fitted.trust.options)
    both.head.load_state_dict(
        {name.removeprefix("head."): value for name, value in read_tensors(trust / MODEL_WEIGHTS).items()}
    )
    trusted = fitted.trust
    description = Fitted(
        trusted.head,
        trusted.area,
        trusted.fitted_on,
        dict(trusted.options),
        flip=trusted.flip,
        errors=trusted.errors,
        errors_flip=trusted.errors_flip,
    )
    save_trust_network(out, spec, both.eval(), description)
    crops = np.random.default_rng(0).integers(0, 256, (4, spec.input.height, spec.input.width, 3), dtype=np.uint8)
    box = np.full((4, 2), 0.7)
    one, other = (open_runtime(ModelSpec.read(folder)).with_trust(crops, box)[1].filled() for folder in (trust, out))
    worst = max(float(np.abs(one[name] - other[name]).max()) for name in one)
    if not worst <= TOLERANCE:
        raise InputError(f"{trust}: its head on {network} differs by {worst:.2g}: fitted on another network?")


def ship(folder: Path, name: str) -> int:
    """A model folder's graph and spec into the package, its weights into the checkout, all halved; bytes in the
    package."""
    model = with_half_weights(onnx.load(str(folder / MODEL_ONNX)))
    onnx.checker.check_model(model)
    weights = {
        at: value.half() if value.dtype == torch.float32 else value
        for at, value in load_file(folder / MODEL_WEIGHTS).items()
    }
    spec = json.loads((folder / MODEL_JSON).read_text())
    spec |= {"name": f"trustpose {name}", "licence": "Apache-2.0", "source": SOURCES[name]}
    if name == "default":
        spec |= {"fast": FAST}
    out, beside = MODELS / name, WEIGHTS / name
    out.mkdir(parents=True, exist_ok=True)
    beside.mkdir(parents=True, exist_ok=True)
    (out / MODEL_ONNX).write_bytes(model.SerializeToString())
    save_file(weights, beside / MODEL_WEIGHTS)
    (beside / MODEL_WEIGHTS).chmod(0o644)
    (out / MODEL_JSON).write_text(_lines(spec), encoding="utf-8")
    return sum(path.stat().st_size for path in out.iterdir())


def _lines(spec: dict[str, Any]) -> str:
    """JSON for a text file under version control: a field a line, and a list of numbers a line."""
    text = json.dumps(spec, ensure_ascii=False, indent=1)
    return re.sub(r"\[[-+.\deE,\s]+\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n"


def write_measured(result: dict[str, Any]) -> None:
    """The benchmark's numbers into both specs' field "measured"."""
    trust = {name: round(value[0], 3) for name, value in result["trust"].items() if value is not None}
    poses = {f"{name}, ground-truth boxes, flip": round(result["poses"]["ours"][name], 3) for name in ("AP", "AR")}
    boxes = {name: round(value, 3) for name, value in result["people"]["ours"].items() if name.startswith("box ")}
    for name, numbers in {"default": poses | trust, "default-detector": boxes}.items():
        path = MODELS / name / MODEL_JSON
        spec = json.loads(path.read_text()) | {"measured": numbers}
        if "fast" in spec:
            spec["fast"]["costs"] = fast_costs(result)
        path.write_text(_lines(spec), encoding="utf-8")


def recall_of(results: Path, gt: Path) -> float:
    """The share of the people that are expected to be there whom AP counts as found: by how much the AP of the
    default's results on whole photos is below what their trust alone expects."""
    truth = read_coco_truth(gt)
    poses = read_results(results, truth=truth, common=True).poses
    measured = evaluate(poses, truth.truth, poses.ranking_score, sigmas=COCO_17.sigmas, area="file").summary().AP
    accuracy = ExpectedAccuracy(poses.error_model.accuracy, poses, COCO_17, poses.presence)
    return round(min(1.0, measured / accuracy.average_precision(poses.ranking_score, poses.image_id).value), 3)


def write_errors(trust: Path, recall: float) -> None:
    """The error models of a trained head into the default's spec, with the recall of its detector. Raises InputError
    if there are none."""
    fitted = ModelSpec.read(trust).trust
    if fitted is None or fitted.errors is None:
        raise InputError(f"{trust}: has no error model, expected a folder of `trustpose train default-trust`")
    path = MODELS / "default" / MODEL_JSON
    spec = json.loads(path.read_text())
    for name in ERROR_FIELDS:
        model = getattr(fitted, name)
        if model is not None:
            accuracy = model.accuracy and replace(model.accuracy, recall=recall)
            model = replace(model, accuracy=accuracy)
            fitted_on = f"{model.fitted_on}, in another training of it ({fitted.fitted_on['recipe']})"
            spec["trust"][name] = replace(model, fitted_on=fitted_on).to_json()
    path.write_text(_lines(spec), encoding="utf-8")


def fast_costs(result: dict[str, Any]) -> dict[str, str]:
    """The numbers of the fast setting beside the usual ones, as `trustpose predict --fast` prints them."""
    by_quality = "{}, by its expected OKS"
    pairs = {
        "AP from given boxes": [result["poses"][by_quality.format(name)]["AP"] for name in ("ours, fast", "ours")],
        "r(keypoint, OPKS)": [row["r(keypoint, OPKS)"][0] for row in (result["heads"]["ours, fast"], result["trust"])],
        "AP from photos": [result["people"][name]["AP"] for name in ("ours, fast", "ours")],
    }
    faster = result["speed"]["ours"]["ours is faster by"] / result["speed"]["ours, fast"]["ours is faster by"]
    speed = {"speed": f"{faster:.1f} times the usual"}
    return speed | {
        name: f"{fast:.3f} instead of {usual:.3f}".replace("0.", ".") for name, (fast, usual) in pairs.items()
    }


def run() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--network", "--trust", "--detector"):
        parser.add_argument(option, type=Path)
    parser.add_argument("--measured", type=Path, help="what benchmarks/default_model.py printed")
    parser.add_argument("--errors", type=Path, help="a trained head, whose error models go into the default's spec")
    parser.add_argument(
        "--recall", type=Path, nargs=2, metavar=("RESULTS", "GT"), help="the default's on photos that it has not seen"
    )
    given = parser.parse_args()
    if given.errors is not None:
        write_errors(given.errors, recall_of(*given.recall) if given.recall else 1.0)
        return
    if given.measured is not None:
        write_measured(json.loads(given.measured.read_text().splitlines()[-1]))
        return
    if None in (given.network, given.trust, given.detector):
        parser.error("--network, --trust and --detector are needed, or --measured")
    scratch = Path(tempfile.mkdtemp())
    try:
        joined(given.network, given.trust, scratch / "joined")
        sizes = {
            "default": ship(scratch / "joined", "default"),
            "default-detector": ship(given.detector, "default-detector"),
        }
    finally:
        shutil.rmtree(scratch)
    print(", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()))


if __name__ == "__main__":
    try:
        run()
    except InputError as error:
        sys.exit(f"{error}")
