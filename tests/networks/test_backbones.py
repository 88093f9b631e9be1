"""timm is imported beside a torch that its torchvision was not built for."""

import subprocess
import sys

# A torchvision whose compiled operators are not there stops at the first description of one; this does what it does.
_MISMATCHED = """
import sys, torch
registered = torch.library.register_fake
def refuse_once(operator, *arguments, **options):
    if operator == "torchvision::nms" and not hasattr(torch.ops.torchvision, "nms"):
        raise RuntimeError("operator torchvision::nms does not exist")
    return registered(operator, *arguments, **options)
torch.library.register_fake = refuse_once
import trustpose.networks.backbones
import torchvision
assert torchvision.ops.nms
"""


def test_import_works_whatever_torchvision_was_built_for():
    finished = subprocess.run([sys.executable, "-c", _MISMATCHED], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_the_base_install_is_light():
    code = "import sys, trustpose, trustpose.cli; assert not {'torch', 'timm'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
