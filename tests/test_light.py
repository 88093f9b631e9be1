"""The base install is light: it imports neither torch nor what only extras bring, and slow imports happen on demand."""

import subprocess
import sys

NEEDS_TRAIN = (  # the `train` extra: torch, or onnx
    *("networks", "heads.", "training", "export", "models.runtime.torch_network", "models.runtime.weights"),
    *("predict.adapters.keypoint_rcnn", "predict.adapters.vitpose"),
)


def test_no_base_module_imports_torch() -> None:
    script = f"""
import importlib, pkgutil, sys
import trustpose
skipped = tuple("trustpose." + name for name in {NEEDS_TRAIN!r})
for module in pkgutil.walk_packages(trustpose.__path__, "trustpose."):
    if not module.name.startswith(skipped) and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
heavy = {{"torch", "torchvision", "timm", "lightning", "lightning_fabric", "tensorboard"}}
heavy |= {{"onnx", "safetensors", "mediapipe", "ray", "rtmlib", "transformers", "ultralytics"}}
heavy &= set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_costs_nothing() -> None:
    script = "import sys, trustpose; sys.exit('imported numpy' if 'numpy' in sys.modules else 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
