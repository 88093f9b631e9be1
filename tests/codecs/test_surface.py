"""Surfaces through maps and IUV images and back; decoding is that of Detectron2's DensePose; mirror images."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.surface_cases import random_surface
from trustpose.codecs.surface import (
    SurfaceCodec,
    SurfaceMaps,
    UVMirror,
    average_flipped,
    from_iuv,
    mirror_maps,
    mirror_points,
    resize_surface,
    to_iuv,
)
from trustpose.skeletons.surface_parts import (
    MASK_OF_PART,
    MASK_PARTS,
    MIRRORED_MASKS,
    MIRRORED_PARTS,
    SURFACE_PARTS,
)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30))
def test_surfaces_come_back_from_maps(seed: int, height: int, width: int) -> None:
    surface = random_surface(seed, height, width)
    codec = SurfaceCodec(width, height)
    decoded = codec.decode(codec.encode(surface), surface.box)
    np.testing.assert_array_equal(decoded.part, surface.part)
    np.testing.assert_array_equal(decoded.uv, surface.uv)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_images_come_back(seed: int) -> None:
    surface = random_surface(seed)
    iuv = to_iuv(surface)
    again = from_iuv(iuv, surface.box)
    np.testing.assert_array_equal(again.part, surface.part)
    assert np.abs(again.uv - surface.uv).max() <= 0.5 / 255 + 1e-6
    np.testing.assert_array_equal(to_iuv(again), iuv)


def _random_maps(seed: int, coarse: int = 2) -> SurfaceMaps:
    rng = np.random.default_rng(seed)
    shapes = [(coarse, 28, 28), (25, 28, 28), (25, 28, 28), (25, 28, 28)]
    mask, parts, u, v = (rng.normal(0.5, 0.5, shape).astype(np.float32) for shape in shapes)
    return SurfaceMaps(mask, parts, u, v, rng.random((28, 28)).astype(np.float32))


def test_decoding_is_detectron2s() -> None:
    """Its formula in torch: `resample_fine_and_coarse_segm_tensors_to_bbox` and `resample_uv_tensors_to_bbox`."""
    for seed, size in enumerate([(61, 40), (19, 23), (28, 28)]):
        maps = _random_maps(seed, 15)
        decoded = SurfaceCodec(28, 28).decode(maps, np.array([2.0, 3.0, 2.0 + size[1], 3.0 + size[0]]))
        resized = {
            name: F.interpolate(torch.from_numpy(getattr(maps, name))[None], size, mode="bilinear")[0]
            for name in ("mask", "parts", "u", "v")
        }
        part = resized["parts"].argmax(dim=0) * (resized["mask"].argmax(dim=0) > 0)
        uv = torch.stack([resized[name].gather(0, part[None])[0] * (part > 0) for name in ("u", "v")], dim=-1)
        np.testing.assert_array_equal(decoded.part, part.numpy())
        np.testing.assert_allclose(decoded.uv, uv.clamp(0, 1).numpy(), atol=1e-5)


def test_parts_and_their_mirror_images() -> None:
    assert len(SURFACE_PARTS) == 24 and len(MASK_PARTS) == 14
    # DensePoseTransformData of Detectron2's DensePose
    symmetric = [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23]
    assert MIRRORED_PARTS.tolist() == symmetric
    assert MIRRORED_MASKS.tolist() == [0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14]
    # the data format of the COCO DensePose task
    charts = {1: (1, 2), 2: (3,), 3: (4,), 4: (5,), 5: (6,), 6: (7, 9), 7: (8, 10), 8: (11, 13), 9: (12, 14)}
    charts |= {10: (15, 17), 11: (16, 18), 12: (19, 21), 13: (20, 22), 14: (23, 24)}
    assert MASK_OF_PART.tolist() == [0, *(next(mask for mask in charts if i in charts[mask]) for i in range(1, 25))]


def _involution() -> UVMirror:
    """Tables that mirror U on every chart and leave V."""
    steps = np.arange(256, dtype=np.float32) / 255
    u = np.broadcast_to(1 - steps, (24, 256, 256))
    return UVMirror(u, np.broadcast_to(steps[:, None], (24, 256, 256)))


def test_mirroring_twice_gives_the_same_maps() -> None:
    iuv = to_iuv(random_surface(3, 28, 28))
    codec = SurfaceCodec(28, 28)
    maps = codec.encode(from_iuv(iuv, np.array([0.0, 0, 28, 28])))
    maps = replace(maps, quality=np.random.default_rng(0).random((28, 28)).astype(np.float32))
    mirrored = mirror_maps(maps, _involution())
    again = mirror_maps(mirrored, _involution())
    for name in ("mask", "parts", "quality"):
        np.testing.assert_array_equal(getattr(again, name), getattr(maps, name), name)
    for name in ("u", "v"):
        np.testing.assert_allclose(getattr(again, name), getattr(maps, name), atol=1.01 / 255)
    part = codec.decode(mirrored, np.array([0.0, 0, 28, 28])).part
    np.testing.assert_array_equal(part, MIRRORED_PARTS[iuv[:, ::-1, 0]])
    average = average_flipped(maps, mirrored, _involution())
    np.testing.assert_allclose(average.u, maps.u, atol=1.01 / 255)


def test_without_tables_only_parts_are_mirrored() -> None:
    part, uv = mirror_points(np.array([3, 1]), np.array([[0.2, 0.3], [0.1, 0.4]]), None)
    assert part.tolist() == [4, 1] and np.isnan(uv).all()
    part, uv = mirror_points(np.array([3, 1]), np.array([[0.2, 0.3], [0.1, 0.4]]), _involution())
    np.testing.assert_allclose(uv, [[0.8, 0.3], [0.9, 0.4]], atol=1 / 255)
    maps = _random_maps(0)
    average = average_flipped(maps, _random_maps(1), None)
    np.testing.assert_array_equal(average.u, maps.u)
    assert not np.array_equal(average.parts, maps.parts)


def test_resizing_keeps_labels() -> None:
    surface = random_surface(5, 8, 6)
    larger = resize_surface(surface, 12, 16)
    np.testing.assert_array_equal(larger.part, np.kron(surface.part, np.ones((2, 2), np.uint8)))
    np.testing.assert_array_equal(resize_surface(larger, 6, 8).part, surface.part)
