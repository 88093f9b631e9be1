"""torchvision's two compiled operators in plain torch, where its wheel was built for another torch."""

import importlib

import numpy as np


def nms(boxes, scores, iou_threshold):
    """torchvision's operator in plain words: each box goes that overlaps a kept one of a higher score by more."""
    import torch
    import torchvision

    overlap = (torchvision.ops.box_iou(boxes, boxes) > iou_threshold).numpy()  # (N, N), plain torch
    kept: list[int] = []
    gone = np.zeros(len(boxes), dtype=bool)
    for at in torch.argsort(scores, descending=True).tolist():
        if not gone[at]:
            kept.append(at)
            gone |= overlap[at]
    return torch.tensor(kept, dtype=torch.int64)


def roi_align(image, rois, output_size, spatial_scale, sampling_ratio):
    """torchvision's operator (`aligned=False`): the mean of n × n places in each cell of each region."""
    import torch
    from torch.nn import functional

    height, width = image.shape[2:]
    start, end = rois[:, 1:3] * spatial_scale, rois[:, 3:5] * spatial_scale  # (K, 2), x first
    size = (end - start).clamp(min=1)
    places, inside = [], []
    for axis, (cells, length) in enumerate(((output_size[1], width), (output_size[0], height))):
        steps = (torch.arange(cells * sampling_ratio) + 0.5) / (cells * sampling_ratio)
        place = start[:, axis, None] + size[:, axis, None] * steps  # (K, cells n)
        places.append(2 * place / max(length - 1, 1) - 1)
        inside.append((place >= -1) & (place <= length))
    shape = len(rois), places[1].shape[1], places[0].shape[1]
    grid = torch.stack([places[0][:, None].expand(shape), places[1][:, :, None].expand(shape)], dim=-1)
    whole = image[rois[:, 0].long()]
    found = functional.grid_sample(whole, grid, padding_mode="border", align_corners=True)
    found = found * (inside[1][:, None, :, None] & inside[0][:, None, None])
    return functional.avg_pool2d(found, sampling_ratio)


def stand_in(monkeypatch) -> None:
    """Put them in place of torchvision's, if those are missing."""
    importlib.import_module("trustpose.networks.backbones")  # knows how to import torchvision beside any torch
    torchvision = importlib.import_module("torchvision")
    if torchvision.extension._has_ops():
        return
    monkeypatch.setattr(torchvision.ops, "nms", nms)
    monkeypatch.setattr(torchvision.ops.boxes, "nms", nms)
    monkeypatch.setattr(torchvision.ops.poolers, "roi_align", roi_align)
