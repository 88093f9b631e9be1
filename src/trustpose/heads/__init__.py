"""Trust heads, one file per paper. Needs the `train` extra (torch, timm).

Every head is built for one size of feature map, `Head(channels, height, width, keypoints, …)`, and called as
`head(features, heatmaps)`; it returns a `Trust`. `head.reads` names its input maps: "features", the last one before the
heatmap layer, and "backbone", the encoder's. `network.py` attaches a head to a network and lists them all, `targets.py`
computes their targets, `stages.py` has the papers' training strategies as data. Losses are functions next to their
heads. Read `hpcvnet.py` first, then `network.py`.
"""
