"""Folders like those of the bundled models, with tiny networks."""

from pathlib import Path

from tests.predict.tiny_boxes import write_boxes
from tests.tiny_onnx import write_network


def write_shipped(folder: Path) -> Path:
    """folder/default finds seventeen colours, folder/default-detector what is red; gives the folder."""
    path = write_network(folder / "default")
    for suffix in (".onnx", ".json"):
        path.with_suffix(suffix).rename(folder / "default" / f"model{suffix}")
    text = folder / "default" / "model.json"
    text.write_text(text.read_text().replace("colours.onnx", "model.onnx"))
    write_boxes(folder / "default-detector", "model")
    return folder
