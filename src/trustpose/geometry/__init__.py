"""Boxes, crops, cameras and the OKS kernel: pure functions on arrays.

`oks.py` is the only implementation of object keypoint similarity and serves numpy and torch. `crops.py` has the affine
between a photo and a network's input, `expected_error.py` turns an expected OPKS into pixels, and `cameras.py` maps
points in the world to image pixels. Read `oks.py` first, then `crops.py`.
"""
