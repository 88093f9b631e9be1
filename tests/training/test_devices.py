"""Which devices and processes Fabric is asked for."""

import pytest
from lightning_fabric import Fabric

from trustpose.files import InputError
from trustpose.training import devices


class Asked(Fabric):
    """In place of Fabric: what it was asked for."""

    def __init__(self, **options):
        self.options, self.is_launched = options, False  # and nothing of Fabric's own

    def launch(self):
        self.is_launched = True


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    for name in ("LT_CLI_USED", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


def test_alone_it_is_one_process_unless_said(monkeypatch):
    monkeypatch.setattr(devices, "Fabric", Asked)
    fabric = devices.launch_fabric()
    assert fabric.options == {"accelerator": "auto", "devices": 1, "precision": "32-true"}
    assert fabric.is_launched
    assert devices.launch_fabric("cpu", 3, "bf16-mixed").options["devices"] == 3


def test_torchrun_and_fabric_run_say_how_many(monkeypatch):
    monkeypatch.setattr(devices, "Fabric", Asked)
    for name, value in (("TORCHELASTIC_RUN_ID", "none"), ("LOCAL_WORLD_SIZE", "2"), ("WORLD_SIZE", "6")):
        monkeypatch.setenv(name, value)
    fabric = devices.launch_fabric("cpu")
    assert fabric.options == {"accelerator": "cpu", "devices": 2, "num_nodes": 3, "precision": "32-true"}
    assert fabric.is_launched
    monkeypatch.setenv("LT_CLI_USED", "1")
    fabric = devices.launch_fabric("cpu", 4)
    assert fabric.options == {"precision": "32-true"}
    assert not fabric.is_launched  # it is already


@pytest.mark.parametrize(("accelerator", "count"), [("tpu", 1), ("abacus", 1), ("cpu", 0)])
def test_a_device_that_is_not_there_is_one_line(accelerator, count):
    with pytest.raises(InputError, match=rf"^--accelerator {accelerator}, --devices {count}: .+") as caught:
        devices.launch_fabric(accelerator, count)
    assert "\n" not in str(caught.value)
