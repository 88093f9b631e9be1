"""Devices by name: the choice of "auto", and one clear line for devices that this onnxruntime lacks or cannot use."""

import re

import onnxruntime
import pytest

import trustpose as tp
from trustpose.extras import install_line
from trustpose.models.runtime import sessions
from trustpose.models.runtime.sessions import CPU, PROVIDERS, onnx_device


@pytest.fixture
def available(monkeypatch):
    def say(*names: str) -> None:
        monkeypatch.setattr(
            sessions.onnxruntime, "get_available_providers", lambda: [PROVIDERS[name] for name in names]
        )

    return say


def test_names_are_onnxruntimes() -> None:
    assert set(PROVIDERS.values()) <= set(onnxruntime.get_all_providers())


def test_auto_takes_a_gpu_and_nothing_that_may_be_slower(available) -> None:
    available("cpu")
    assert onnx_device(None) == onnx_device("auto") == "cpu"
    available("coreml", "openvino", "cpu")
    assert onnx_device("auto") == "cpu" and onnx_device("coreml") == "coreml"
    available("cuda", "directml", "cpu")
    assert onnx_device("auto") == "cuda" and onnx_device("cpu") == "cpu"


def test_missing_devices_give_one_line(available) -> None:
    available("cpu", "openvino")
    with pytest.raises(
        tp.InputError, match="this onnxruntime has cpu, openvino, not cuda; " + re.escape(install_line("gpu"))
    ):
        tp.load("default", device="cuda")
    with pytest.raises(tp.InputError, match=r"expected auto, cpu, cuda, coreml, directml, openvino .* got 'gpu'"):
        tp.load("default", device="gpu")


def test_a_device_that_does_not_start_is_no_silent_fallback(monkeypatch, available) -> None:
    """onnxruntime leaves out a provider whose libraries do not load, and goes on with the next."""
    available("cuda", "cpu")

    class Session(onnxruntime.InferenceSession):
        def __init__(self, *given, providers, **named) -> None:
            assert providers == [PROVIDERS["cuda"], CPU]
            super().__init__(*given, providers=[CPU], **named)

    monkeypatch.setattr(sessions.onnxruntime, "InferenceSession", Session)
    with pytest.raises(tp.InputError, match="device: cuda cannot be used"):
        tp.load("default")


def test_the_device_reaches_network_and_detector(monkeypatch, available) -> None:
    devices: list[str] = []
    original = sessions.open_session

    def opened(path, threads, device="cpu"):
        devices.append(device)
        return original(path, threads)

    available("cuda", "cpu")
    monkeypatch.setattr("trustpose.models.runtime.backends.open_session", opened)
    predictor = tp.load("default", device="cuda")
    assert (
        predictor.device == "cuda" and predictor.batch_size == 64 and tp.load("default", device="cpu").batch_size == 16
    )
    predictor.detector.open()
    assert devices[0] == devices[-1] == "cuda"
