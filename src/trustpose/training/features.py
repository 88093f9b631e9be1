"""Compute a frozen network's features of many crops once, and store them on disk.

A folder holds one .npy file per column, opened as memory maps, rows view by view, and index.json with a fingerprint of
all inputs. An interrupted computation is resumed; a folder with another fingerprint is recomputed.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.lib.format import open_memmap

from trustpose.codecs import DecodedKeypoints, Outputs
from trustpose.datasets.augment import NOTHING, Augmentation, TrainingCrop, TrainingCrops
from trustpose.export.inner_tensors import ESTIMATES, TOKENS, InnerTensor, expose, find_maps
from trustpose.files import InputError, cannot_write, read_json, write_json
from trustpose.heads.heads import Tensors
from trustpose.json_records import FileName, read_record, within
from trustpose.models.flip_test import average_flipped
from trustpose.models.runtime.sessions import run_session, session_of, to_tensor
from trustpose.models.spec import HeatmapOutput, ModelSpec, SimCCOutput
from trustpose.poses import Area
from trustpose.predict.photos import prefetch
from trustpose.threads import cpu_count
from trustpose.training.crops import labels_of

INDEX = "index.json"
_FORMAT = "trustpose features, 4"
_CHUNK = 8  # crops in one run of the network
_SAVED_EVERY = 64  # chunks

_MAX_VIEWS, _DISK_SPACE = 8, 4.5e9

Columns = dict[str, np.ndarray]
Pool = Callable[[Tensors], Tensors]


class FrozenNetwork:
    """A frozen ONNX network with the maps that a head reads. Raises InputError as `find_maps` does."""

    def __init__(self, spec: ModelSpec, reads: tuple[str, ...], named: Mapping[str, str]):
        self.spec = spec
        self.output = spec.expect(HeatmapOutput, SimCCOutput)
        self.codec = self.output.codec(spec.input)
        self.maps: dict[str, InnerTensor] = find_maps(spec, reads, named=named)
        estimates = ESTIMATES[self.output.kind]
        self._names = [*self.maps, *estimates]
        model = expose(spec, {name: tensor.name for name, tensor in self.maps.items()})
        shapes = {value.name: value.type.tensor_type.shape.dim for value in model.graph.output}
        self.tokens: int | None = shapes[TOKENS][2].dim_value if TOKENS in estimates else None
        self._session = session_of(model.SerializeToString(), spec.onnx)
        self.batch: int | None = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or None

    def __call__(self, pixels: UInt8[np.ndarray, "B H W 3"]) -> list[np.ndarray]:
        """Return the maps (B, C, h, w) in the order of `reads`, then the `ESTIMATES`."""
        step = self.batch or len(pixels)
        parts = [
            run_session(
                self._session,
                self.spec.onnx,
                self._names,
                {self.spec.input.name: to_tensor(pixels[start : start + step], self.spec.input)},
            )
            for start in range(0, len(pixels), step)
        ]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def decode(self, result: list[np.ndarray]) -> DecodedKeypoints:
        """Return the keypoints from a call's result, in crop pixels."""
        return self.codec.decode(self._outputs(result))

    def decode_flipped(
        self, result: list[np.ndarray], mirrored: list[np.ndarray], flip_index: np.ndarray
    ) -> DecodedKeypoints:
        """Return the keypoints of a flip test, in crop pixels, from calls with crops and with mirrored ones."""
        both = self._outputs(result), self._outputs(mirrored)
        return self.codec.decode(average_flipped(self.spec, *both, flip_index, self.spec.flip_padding))

    def _outputs(self, result: list[np.ndarray]) -> Outputs:
        arrays = result[len(self.maps) :]
        return self.output.outputs(arrays[: len(self.output.tensors)])


@dataclass(frozen=True, eq=False)
class Features:
    """Rows of stored columns; row v × people + i is person i in view v.

    pooled-0, … (R, …) float16, a head's `pool` of the maps; found_xy (R, K, 2), the network's decoded keypoints, crop
    pixels; score (R, K); affine (R, 2, 3), photo to crop; segment (R,), the person's own area in square crop pixels,
    NaN if unknown; and the columns of `crops.labels_of`.
    """

    people: int
    views: int
    columns: Mapping[str, np.ndarray]

    @property
    def pooled(self) -> list[np.ndarray]:
        """The columns of the pooled maps, in order."""
        return [self.columns[name] for name in sorted(self.columns) if name.startswith("pooled-")]


@dataclass(frozen=True)
class Reading:
    """Options of storing features. pool: a head's, of maps, heatmaps and boxes; augmentation: of the views after the
    first two.

    is_flip: instead of views, the mirrored crops of prediction's flip test (`ModelSpec.flip_padding`), pooled, with the
    keypoints of the test, and all else, in the crops that they belong to.
    """

    network: FrozenNetwork
    pool: Pool
    augmentation: Augmentation
    views: int
    area: Area
    described: Mapping[str, Any] = field(default_factory=dict)
    is_flip: bool = False


@dataclass(frozen=True)
class _Index:
    """What a folder's columns were computed from, and how many of their rows are done."""

    fingerprint: str
    format: str
    done: Annotated[int, within(0)]
    rows: int
    columns: tuple[FileName, ...]

    def __post_init__(self) -> None:
        if self.done > self.rows:
            raise ValueError(f"done: expected 0 to {self.rows}, got {self.done}; remove the folder")


def store_features(
    folder: Path, reading: Reading, crops: TrainingCrops, advance: Callable[[int], None] = lambda _: None
) -> Features:
    """Return the features of all people in `crops`, read from `folder`, or computed into it.

    View 0 is the crop as in prediction, view 1 its mirror image, the others are augmented, each with its own draws.
    `advance` is called with the number of rows done. Raises InputError.
    """
    count = len(crops)
    fingerprint = _fingerprint(reading, crops)
    index = read_record(_Index, read_json(folder / INDEX), folder / INDEX) if (folder / INDEX).is_file() else None
    if index is None or index.fingerprint != fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
        index = _Index(fingerprint, _FORMAT, 0, count * reading.views, ())
    done = index.done
    advance(done)
    chunks = [
        (view, range(start, min(start + _CHUNK, count)))
        for view in range(reading.views)
        for start in range(0, count, _CHUNK)
        if view * count + min(start + _CHUNK, count) > done
    ]
    columns = _opened(folder, index, writable=True) if done else {}
    with ThreadPoolExecutor(cpu_count(), "trustpose-features") as workers:
        computed = prefetch(workers, lambda chunk: _columns_of(reading, crops, *chunk), chunks, 2 * cpu_count())
        for number, ((view, rows), chunk) in enumerate(zip(chunks, computed, strict=True)):
            columns = columns or _created(folder, chunk, count * reading.views)
            first = view * count + rows.start
            for name, values in chunk.items():
                columns[name][first : first + len(rows)] = values
            advance(len(rows))
            if number % _SAVED_EVERY == _SAVED_EVERY - 1 or number == len(chunks) - 1:
                for column in columns.values():
                    column.flush()  # type: ignore memory maps
                index = replace(index, done=first + len(rows), columns=tuple(sorted(columns)))
                write_json(folder / INDEX, asdict(index))
    return Features(count, reading.views, _opened(folder, index))


def max_views(network: FrozenNetwork, pool: Pool, people: int) -> int:
    """Return how many views of this many people's pooled maps fit on the disk, from 1 to 8."""
    bytes_per_view = people * sum(array.nbytes for array in _pooled_nothing(network, pool))
    return max(1, min(_MAX_VIEWS, int(_DISK_SPACE / bytes_per_view)))


def _pooled_nothing(network: FrozenNetwork, pool: Pool) -> list[Float[np.ndarray, "1 ..."]]:
    """Pool one black crop, to get the shapes."""
    height, width = network.spec.input.height, network.spec.input.width
    maps = network(np.zeros((1, height, width, 3), np.uint8))
    return _pooled(pool, [*maps, np.ones((1, 2), np.float32)])


def _columns_of(reading: Reading, crops: TrainingCrops, view: int, rows: range) -> Columns:
    """Compute the columns of some people in one view."""
    if reading.is_flip:
        return _flip_columns_of(reading, crops, rows)
    drawn = list(_drawn(reading, crops, view, rows))
    maps = reading.network(np.stack([crop.pixels for crop in drawn]))
    return _columns(reading, drawn, reading.network.decode(maps), [*maps, _boxes(drawn)])


def _flip_columns_of(reading: Reading, crops: TrainingCrops, rows: range) -> Columns:
    """Compute the columns of some people for `Reading.is_flip`."""
    network, spec = reading.network, reading.network.spec
    padding = spec.padding if spec.flip_padding is None else spec.flip_padding
    drawn = [crops.with_augmentation(NOTHING)[row] for row in rows]
    turned = [mirrored(replace(crops, padding=padding, augmentation=NOTHING)[row], crops.flip_index) for row in rows]
    original_maps, mirrored_maps = (
        network(np.stack([crop.pixels for crop in view_crops])) for view_crops in (drawn, turned)
    )
    keypoints = network.decode_flipped(original_maps, mirrored_maps, crops.flip_index)
    return _columns(reading, drawn, keypoints, [*mirrored_maps, _boxes(turned)])


def _columns(
    reading: Reading, drawn: list[TrainingCrop], keypoints: DecodedKeypoints, maps: list[np.ndarray]
) -> Columns:
    """Return the columns of crops, with what the head pools of maps and boxes."""
    columns = labels_of(drawn, reading.area) | {
        "found_xy": keypoints.xy.astype(np.float32),
        "score": keypoints.score.astype(np.float32),
        "segment": np.array([crop.area for crop in drawn], dtype=np.float32),
        "affine": np.stack([crop.affine for crop in drawn]),
    }
    pooled = _pooled(reading.pool, maps)
    return columns | {f"pooled-{index}": array for index, array in enumerate(pooled)}


def _boxes(drawn: list[TrainingCrop]) -> Float[np.ndarray, "B 2"]:
    return np.stack([crop.box_share for crop in drawn]).astype(np.float32)


def _drawn(reading: Reading, crops: TrainingCrops, view: int, rows: range) -> Iterator[TrainingCrop]:
    if view < 2:
        for row in rows:
            crop = crops.with_augmentation(NOTHING)[row]
            yield mirrored(crop, crops.people.skeleton.flip_index) if view else crop
    else:
        yield from (crops.with_augmentation(reading.augmentation).at_epoch(view)[row] for row in rows)


def mirrored(crop: TrainingCrop, flip_index: np.ndarray) -> TrainingCrop:
    """Return the crop's mirror image as in the flip test, pixel by pixel, with left and right joints swapped."""
    width = crop.pixels.shape[1]
    mirror = np.array([[-1.0, 0, width - 1], [0, 1, 0]])
    turned = crop.xy * [-1, 1] + [width - 1, 0]
    xy = np.where((crop.v > 0)[:, None], turned, 0.0)[flip_index]
    return replace(
        crop,
        pixels=cv2.flip(crop.pixels, 1),
        affine=np.c_[mirror[:, :2] @ crop.affine[:, :2], mirror[:, :2] @ crop.affine[:, 2] + mirror[:, 2]],
        xy=xy,
        v=crop.v[flip_index],
        has_joint=crop.has_joint[flip_index],
        has_visibility=crop.has_visibility[flip_index],
    )


@torch.no_grad()
def _pooled(pool: Pool, maps: list[np.ndarray]) -> list[Float[np.ndarray, "..."]]:
    return [tensor.to(torch.float16).numpy() for tensor in pool(tuple(torch.from_numpy(array) for array in maps))]


def _created(folder: Path, chunk: Columns, rows: int) -> Columns:
    folder.mkdir(parents=True, exist_ok=True)
    created: Columns = {}
    for name, values in chunk.items():
        path = folder / f"{name}.npy"
        try:
            created[name] = open_memmap(path, mode="w+", dtype=values.dtype, shape=(rows, *values.shape[1:]))
            _allocate(path)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise cannot_write(path, error) from None
    return created


def _allocate(path: Path) -> None:
    """Allocate a file's disk space at once: a full disk would kill the process while it writes to a mapped file."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _opened(folder: Path, index: _Index, *, writable: bool = False) -> Columns:
    columns: Columns = {}
    try:
        for name in index.columns:
            columns[name] = np.load(folder / f"{name}.npy", mmap_mode="r")  # "r+" would extend a truncated file
            if len(columns[name]) != index.rows:
                raise ValueError(f"{name}.npy has {len(columns[name])} rows, expected {index.rows}")
    except (OSError, ValueError, EOFError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: holds features that cannot be read ({reason}); remove the folder") from None
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in columns} if writable else columns


def _fingerprint(reading: Reading, crops: TrainingCrops) -> str:
    """Compute the fingerprint of network, labels, crops and options; not of the photos, which are too many to read."""
    digest = hashlib.sha256(reading.network.spec.onnx.read_bytes())
    described = {**reading.described, "views": reading.views, "area": reading.area, "seed": crops.seed}
    crop = (crops.width, crops.height, crops.padding, crops.extent)
    maps = sorted((name, tensor.name) for name, tensor in reading.network.maps.items())
    shapes = [array.shape for array in _pooled_nothing(reading.network, reading.pool)]
    spec = (reading.network.spec.input, reading.network.spec.output, reading.network.codec)
    settings = (sorted(described.items()), crop, maps, shapes, spec, reading.augmentation, _FORMAT)
    settings += (reading.network.spec.flip_padding,) * reading.is_flip
    digest.update(repr(settings).encode() + crops.people.identity.encode())
    return digest.hexdigest()
