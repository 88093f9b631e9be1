"""The networks of the papers, one file per paper; `zoo.py` names them. Needs the `train` extra (torch, timm).

Every builder returns an `nn.Module` that takes crops (B, 3, H, W), normalised, and returns `codecs.Outputs` with

- heatmaps: a list of (B, K, H/4, W/4), the last of which is decoded; earlier ones are intermediate predictions that
  are supervised too. All have one size.
- features: (B, C, H/4, W/4), the last feature map before the last heatmap layer, for trust heads to read.

and which has the attributes `keypoints` (K) and `feature_channels` (C).
"""
