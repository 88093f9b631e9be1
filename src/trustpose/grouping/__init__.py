"""Group candidate joints into people, and suppress duplicate poses: one file per paper.

`suppression.py` has the NMS family for poses. `paf.py` and `associative_embedding.py` group the joints of bottom-up
networks; `crowdpose.py` and `deepcut.py` share joints out over all boxes of a crowded photo. All take arrays and run no
network. Read `suppression.py` first.
"""
