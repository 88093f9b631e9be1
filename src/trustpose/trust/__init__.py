"""Heads that say how far to trust a pose, one file per paper. Needs the `train` extra (torch, timm).

Every head is built for one size of feature map, `Head(channels, height, width, keypoints, …)`, and called
`head(features, heatmaps)`; it answers with a `Trust`. `head.reads` names the maps that it wants: "features", the last
one before the heatmap layer, and "backbone", the encoder's. `network.py` joins a head to a network and names them all,
`export.py` writes both as one ONNX graph, `targets.py` makes what they learn, `stages.py` the papers' training
strategies as data. Losses are functions beside their heads.
"""
