"""torchvision's two compiled operators in Python, for where its wheel was built for another torch than is there."""

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


def stand_in(monkeypatch) -> None:
    """Put them in place of torchvision's, if those are missing."""
    importlib.import_module("trustpose.networks.backbones")  # knows how to import torchvision beside any torch
    torchvision = importlib.import_module("torchvision")
    if torchvision.extension._has_ops():
        return
    align = importlib.import_module("torchvision.ops.roi_align")

    def roi_align(image, rois, output_size, spatial_scale, sampling_ratio):
        plain = align._roi_align.__wrapped__  # torchvision would have torch.compile work on it for half a minute
        return plain(image, rois, spatial_scale, *output_size, sampling_ratio, False)

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    monkeypatch.setattr(torchvision.ops.boxes, "nms", nms)
    monkeypatch.setattr(torchvision.ops.poolers, "roi_align", roi_align)
