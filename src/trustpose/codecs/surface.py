"""The surface of a person in each pixel of a box: maps of a network, IUV images, and the mirror image.

Maps span the box of one person: the part in each cell as 25 logits, U and V of every part in a map of its own, and a
coarse mask, whose first map is the background's. Source: Güler, Neverova, Kokkinos, DensePose, CVPR 2018, section 3;
decoding as in Detectron2's DensePose: maps are resized to the box, the part is the highest logit where the mask is not
background, U and V are those of that part.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from trustpose.poses.surfaces import Surface
from trustpose.skeletons.surface_parts import MIRRORED_MASKS, MIRRORED_PARTS, SURFACE_PARTS

PARTS = 1 + len(SURFACE_PARTS)
_LOGIT = 10.0  # of encoded labels: probability 1 - 1e-4 and more


@dataclass(frozen=True, eq=False)
class SurfaceMaps:
    """Maps over the box of one person.

    mask (2 or 15, h, w): logits of background and person, or of background and 14 parts. parts (25, h, w): logits of
    background and 24 parts. u, v (25, h, w): coordinates on each part's chart, 0–1; the background's have no meaning.
    quality (h, w): expected geodesic point similarity, 0–1; None without a head for it.
    """

    mask: Float[np.ndarray, "M h w"]
    parts: Float[np.ndarray, "25 h w"]
    u: Float[np.ndarray, "25 h w"]
    v: Float[np.ndarray, "25 h w"]
    quality: Float[np.ndarray, "h w"] | None = None


@dataclass(frozen=True, eq=False)
class UVMirror:
    """Where a chart's point lies on the mirrored chart: tables (24, 256, 256) for U and V, rows by V, columns by U, of
    the chart before mirroring."""

    u: Float[np.ndarray, "24 256 256"]
    v: Float[np.ndarray, "24 256 256"]

    def mirrored(self, part: Int[np.ndarray, "*P"], uv: Float[np.ndarray, "*P 2"]) -> Float[np.ndarray, "*P 2"]:
        """Return the coordinates of points on the mirrored chart; those of the background are unchanged."""
        column, row = (np.clip(np.nan_to_num(uv[..., axis]), 0, 1) * 255 for axis in (0, 1))
        chart = np.maximum(part, 1) - 1
        cell = chart, row.astype(np.int64), column.astype(np.int64)
        mirrored = np.stack([self.u[cell], self.v[cell]], axis=-1).astype(uv.dtype)
        return np.where((part > 0)[..., None] & ~np.isnan(uv), mirrored, uv)


def mirror_points(
    part: Int[np.ndarray, " P"], uv: Float[np.ndarray, "P 2"], tables: UVMirror | None
) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "P 2"]]:
    """Return part and uv of points in a mirrored photo. Without tables uv is NaN: only the parts are known."""
    uv = np.full_like(uv, np.nan) if tables is None else tables.mirrored(part, uv)
    return MIRRORED_PARTS[part], uv


def mirror_maps(maps: SurfaceMaps, tables: UVMirror | None) -> SurfaceMaps:
    """Return the maps of a mirrored photo brought back to the photo, for the average of both views.

    Without tables U and V are NaN, as only the parts have a known mirror image.
    """
    mask = maps.mask[:, :, ::-1]
    u, v = maps.u[:, :, ::-1], maps.v[:, :, ::-1]
    if tables is None:
        u, v = np.full_like(u, np.nan), np.full_like(v, np.nan)
    else:
        part = np.broadcast_to(np.arange(PARTS)[:, None, None], u.shape)
        u, v = np.moveaxis(tables.mirrored(part, np.stack([u, v], axis=-1)), -1, 0)
    return SurfaceMaps(
        mask=mask[MIRRORED_MASKS] if len(mask) > 2 else mask,
        parts=maps.parts[MIRRORED_PARTS, :, ::-1],
        u=u[MIRRORED_PARTS],
        v=v[MIRRORED_PARTS],
        quality=None if maps.quality is None else maps.quality[:, ::-1],
    )


def average_flipped(maps: SurfaceMaps, mirrored: SurfaceMaps, tables: UVMirror | None) -> SurfaceMaps:
    """Return the means of both views' maps; without tables U and V are the photo's own."""
    back = mirror_maps(mirrored, tables)
    u, v = (maps.u, maps.v) if tables is None else ((maps.u + back.u) / 2, (maps.v + back.v) / 2)
    quality = maps.quality
    if quality is not None and back.quality is not None:
        quality = (quality + back.quality) / 2
    return SurfaceMaps((maps.mask + back.mask) / 2, (maps.parts + back.parts) / 2, u, v, quality)


@dataclass(frozen=True)
class SurfaceCodec:
    """Maps of width × height cells over a person's box."""

    width: int
    height: int

    def encode(self, surface: Surface) -> SurfaceMaps:
        """Return maps from which `decode` gives back a surface of this size."""
        resized = resize_surface(surface, self.width, self.height)
        labels = resized.part == np.arange(PARTS)[:, None, None]  # (25, h, w)
        parts = np.where(labels, _LOGIT, 0.0).astype(np.float32)
        person = np.where(resized.part > 0, _LOGIT, 0.0)
        mask = np.stack([_LOGIT - person, person]).astype(np.float32)
        u, v = (np.where(labels, resized.uv[..., axis], 0.0).astype(np.float32) for axis in (0, 1))
        return SurfaceMaps(mask, parts, u, v, resized.quality)

    def decode(
        self, maps: SurfaceMaps, box: Float[np.ndarray, " 4"], region: Float[np.ndarray, " 4"] | None = None
    ) -> Surface:
        """Return the surface in each pixel of a region, of at least one pixel a side.

        U and V are as the network gives them, cut to 0–1.

        Args:
            maps: a network's.
            box: what the maps span, xyxy, image pixels.
            region: xyxy, image pixels; None: the box.
        """
        region = box if region is None else region
        sides = np.maximum((region[2:] - region[:2]).astype(np.int64), 1)
        columns, rows = (
            _between(cells, int(side), (region[axis::2] - box[axis]) / (box[axis + 2] - box[axis]))
            for axis, (cells, side) in enumerate(zip((self.width, self.height), sides, strict=True))
        )

        def resized(values: np.ndarray) -> np.ndarray:
            return rows @ values @ columns.T

        mask, logits = resized(maps.mask).argmax(axis=0), resized(maps.parts)
        highest = logits.max(axis=0)
        score = 1 / np.exp(logits - highest).sum(axis=0)
        part = np.where(mask > 0, logits.argmax(axis=0), 0)
        uv = np.zeros((*part.shape, 2), np.float32)
        for number in np.unique(part[part > 0]).tolist():
            on_part = part == number
            for axis, values in enumerate((maps.u, maps.v)):
                uv[on_part, axis] = resized(values[number])[on_part]
        quality = None if maps.quality is None else resized(maps.quality)
        return Surface(part.astype(np.uint8), np.clip(uv, 0, 1), region.astype(np.float64), score, quality)


def surface_score(surface: Surface) -> float:
    """Return the score that ranks a surface: the mean over its person's pixels of the expected similarity, without it
    of the parts' probability; 0 without such pixels."""
    values = surface.score if surface.quality is None else surface.quality
    is_person = surface.part > 0
    return 0.0 if values is None or not is_person.any() else float(values[is_person].mean())


def _between(cells: int, pixels: int, ends: Float[np.ndarray, " 2"]) -> Float32[np.ndarray, "P C"]:
    """Return weights of cells for the middles of pixels, bilinear, cells as areas (torch's `align_corners=False`).

    ends: where the first pixel begins and the last ends, in units of all cells.
    """
    position = (ends[0] + (np.arange(pixels) + 0.5) / pixels * (ends[1] - ends[0])) * cells - 0.5
    position = np.clip(position, 0, cells - 1)
    low = np.floor(position).astype(np.int64)
    weights = np.zeros((pixels, cells), np.float32)
    rows = np.arange(pixels)
    weights[rows, low] = 1 - (position - low)
    weights[rows, np.minimum(low + 1, cells - 1)] += position - low
    return weights


def resize_surface(surface: Surface, width: int, height: int) -> Surface:
    """Return a surface with other numbers of pixels over the same box: each has the labels of the nearest one."""
    if surface.part.shape == (height, width):
        return surface
    rows = (np.arange(height) + 0.5) * surface.part.shape[0] / height
    columns = (np.arange(width) + 0.5) * surface.part.shape[1] / width
    pick = np.ix_(rows.astype(np.int64), columns.astype(np.int64))
    score, quality = (None if values is None else values[pick] for values in (surface.score, surface.quality))
    return Surface(surface.part[pick], surface.uv[pick], surface.box, score, quality)


def to_iuv(surface: Surface) -> UInt8[np.ndarray, "h w 3"]:
    """Return an IUV image: the part, then U and V in units of 1/255, rounded."""
    uv = np.rint(np.clip(surface.uv, 0, 1) * 255).astype(np.uint8)
    return np.concatenate([surface.part[..., None], uv], axis=-1)


def from_iuv(iuv: UInt8[np.ndarray, "h w 3"], box: Float[np.ndarray, " 4"]) -> Surface:
    """Return the surface of an IUV image of a box xyxy, image pixels."""
    return Surface(iuv[..., 0], iuv[..., 1:].astype(np.float32) / np.float32(255), box)
