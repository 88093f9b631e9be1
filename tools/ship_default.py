"""Put trained folders into the package: one graph for network and trust head, weights in half the bytes, their source.

    python tools/ship_default.py --network FOLDER --trust FOLDER --detector FOLDER
    python benchmarks/default_model.py > measured.txt
    python tools/ship_default.py --measured measured.txt

--network is of `trustpose train default-network`, --trust of `trustpose train frozen-trust` on that, --detector of
`trustpose train default-detector`. What is in the package already is replaced; its cards (README.md) stay.
--measured writes what the benchmark's last line says into the specs of what is in the package.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import load_file, save_file

from trustpose.export.onnx import with_half_weights
from trustpose.export.trust_folder import Fitted, save_trust_network
from trustpose.files import InputError
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, ModelSpec
from trustpose.networks.checkpoints import read_tensors
from trustpose.runtime.backends import open_runtime
from trustpose.runtime.weights import load_module
from trustpose.trust.network import attach

MODELS = Path(__file__).parents[1] / "src" / "trustpose" / "models"
SOURCES = {
    "default": "trained by trustpose (docs/default-model.md) from Ultralight-Nano-SimplePose "
    "(dog-qiuqiu/Ultralight-SimplePose, Apache-2.0) on people of COCO 2017 and Leeds Sports Pose Extended",
    "default-detector": "trained by trustpose (docs/default-model.md) from MoveNet MultiPose (Google, Apache-2.0) on "
    "COCO 2017 photos",
}
LONGEST = 384  # pixels that the detector brings photos to; docs/default-model.md says what others give
TOLERANCE = 1e-3  # of trust that two graphs of the same network and head may differ by


def joined(network: Path, trust: Path, out: Path) -> None:
    """The zoo network of one folder and the head of another as the folder `out`, with weights to train on.

    Raises InputError where the joined network does not say what `trust` says.
    """
    spec, fitted = ModelSpec.read(network), ModelSpec.read(trust)
    assert fitted.trust is not None
    module = attach(fitted.trust.head, load_module(spec), spec.input.height, spec.input.width, **fitted.trust.options)
    module.head.load_state_dict(
        {name.removeprefix("head."): value for name, value in read_tensors(trust / MODEL_WEIGHTS).items()}
    )
    said = Fitted(fitted.trust.head, fitted.trust.area, fitted.trust.fitted_on, dict(fitted.trust.options))
    save_trust_network(out, spec, module.eval(), said)
    crops = np.random.default_rng(0).integers(0, 256, (4, spec.input.height, spec.input.width, 3), dtype=np.uint8)
    box = np.full((4, 2), 0.7)
    one, other = (open_runtime(ModelSpec.read(folder)).with_trust(crops, box)[1].filled() for folder in (trust, out))
    worst = max(float(np.abs(one[name] - other[name]).max()) for name in one)
    if not worst <= TOLERANCE:
        raise InputError(f"{trust}: its head on {network} differs by {worst:.2g}: fitted on another network?")


def ship(folder: Path, name: str) -> int:
    """A model folder's files into the package, weights halved; bytes of what is shipped."""
    model = with_half_weights(onnx.load(str(folder / MODEL_ONNX)))
    onnx.checker.check_model(model)
    weights = {
        at: value.half() if value.dtype == torch.float32 else value
        for at, value in load_file(folder / MODEL_WEIGHTS).items()
    }
    spec = json.loads((folder / MODEL_JSON).read_text())
    spec |= {"name": f"trustpose {name}", "licence": "Apache-2.0", "source": SOURCES[name]}
    if spec["output"]["kind"] == "boxes":
        spec["input"]["longest"] = LONGEST
    out = MODELS / name
    out.mkdir(parents=True, exist_ok=True)
    (out / MODEL_ONNX).write_bytes(model.SerializeToString())
    save_file(weights, out / MODEL_WEIGHTS)
    (out / MODEL_WEIGHTS).chmod(0o644)
    (out / MODEL_JSON).write_text(json.dumps(spec, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return sum(path.stat().st_size for path in out.iterdir())


def write_measured(result: dict[str, Any]) -> None:
    """The benchmark's numbers into both specs' field "measured"."""
    trust = {name: round(value[0], 3) for name, value in result["trust"].items() if value is not None}
    poses = {f"{name}, ground-truth boxes, flip": round(result["poses"]["ours"][name], 3) for name in ("AP", "AR")}
    boxes = {name: round(value, 3) for name, value in result["people"]["ours"].items() if name.startswith("box ")}
    for name, numbers in {"default": poses | trust, "default-detector": boxes}.items():
        path = MODELS / name / MODEL_JSON
        spec = json.loads(path.read_text()) | {"measured": numbers}
        path.write_text(json.dumps(spec, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def run() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--network", "--trust", "--detector"):
        parser.add_argument(option, type=Path)
    parser.add_argument("--measured", type=Path, help="what benchmarks/default_model.py printed")
    given = parser.parse_args()
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
