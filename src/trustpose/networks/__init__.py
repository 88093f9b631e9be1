"""The networks of the papers, one file per paper; `zoo.py` names them. Needs the `train` extra (torch, timm).

Every builder returns an `nn.Module` that takes crops (B, 3, H, W), normalised, and returns `codecs.Outputs` with

- heatmaps: a list of (B, K, H/4, W/4), the last of which is decoded; earlier ones are intermediate predictions for
  supervision. All have one size.
- features: (B, C, H/4, W/4), the input of the last heatmap layer, for trust heads.

The module has the attributes `keypoints` (K) and `feature_channels` (C).

Read `simple_baseline.py` first, then `hrnet.py`.
"""
