"""Make MediaPipe's pose landmarker bundle from the networks in an older MediaPipe wheel, which packages deliver.

    pip download --no-deps --only-binary :all: --python-version 3.11 --platform manylinux_2_28_x86_64 mediapipe==0.10.21
    python tools/mediapipe_task.py mediapipe-0.10.21-*.whl pose_landmarker_full.task

Version 0.10.21 is the last that brings its networks (Apache-2.0): the person detector and `pose_landmark_full`. They
lack the metadata that the pose landmarker of later versions requires, the normalisation of the input, which in the
wheel stands in the graphs that run them: detector -1 to 1, landmarks 0 to 1.
"""

import argparse
import sys
import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as schema

NETWORKS = {  # name in the bundle: file in the wheel, mean and standard deviation of an input of 0 to 255
    "pose_detector.tflite": ("mediapipe/modules/pose_detection/pose_detection.tflite", 127.5, 127.5),
    "pose_landmarks_detector.tflite": ("mediapipe/modules/pose_landmark/pose_landmark_full.tflite", 0.0, 255.0),
}
METADATA = b"TFLITE_METADATA"


def metadata_of_image(outputs: int, mean: float, std: float) -> bytes:
    """The metadata of a network with one input image: its normalisation, and as many outputs."""
    normalisation, unit = metadata_schema.NormalizationOptionsT(), metadata_schema.ProcessUnitT()
    normalisation.mean, normalisation.std = [mean], [std]
    unit.options, unit.optionsType = normalisation, metadata_schema.ProcessUnitOptions.NormalizationOptions
    image = metadata_schema.TensorMetadataT()
    image.name, image.processUnits = "image", [unit]
    graph, metadata = metadata_schema.SubGraphMetadataT(), metadata_schema.ModelMetadataT()
    graph.inputTensorMetadata = [image]
    graph.outputTensorMetadata = [metadata_schema.TensorMetadataT() for _ in range(outputs)]
    metadata.name, metadata.subgraphMetadata = "pose", [graph]
    return packed(metadata, b"M001")


def add_metadata(network: Any, content: bytes) -> None:
    """Put the metadata into a network (`schema.ModelT`), in the place of what it has."""
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(content, np.uint8)
    network.buffers.append(buffer)
    entry.name, entry.buffer = METADATA, len(network.buffers) - 1
    others = [other for other in network.metadata or [] if other.name != METADATA]
    network.metadata = [*others, entry]


def packed(value: Any, identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(value.Pack(builder), identifier)
    return bytes(builder.Output())


def write_bundle(wheel: Path, bundle: Path) -> None:
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as file:
        for name, (path, mean, std) in NETWORKS.items():
            network = schema.ModelT.InitFromObj(schema.Model.GetRootAs(source.read(path), 0))
            add_metadata(network, metadata_of_image(len(network.subgraphs[0].outputs), mean, std))
            file.writestr(name, packed(network, b"TFL3"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="mediapipe-0.10.21-….whl")
    parser.add_argument("bundle", type=Path, help="the .task file to write")
    arguments = parser.parse_args()
    try:
        write_bundle(arguments.wheel, arguments.bundle)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        print(f"{arguments.wheel}: is no wheel of mediapipe 0.10.21 ({error})", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
