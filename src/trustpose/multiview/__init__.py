"""Several cameras at once: calibrate and place them, synchronise them, and triangulate people.

`triangulation.py` turns pixels of several cameras into points in the world, `people.py` does so for whole people over
time, `intrinsics.py` and `extrinsics.py` calibrate and place cameras. All take poses of any estimator. Needs no torch.
Read `triangulation.py` first, then `people.py`.
"""
