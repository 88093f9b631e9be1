"""The kinds of outputs that networks have: one record each, which reads its part of model.json and builds its codec.

`kinds.py` lists them. Read `crops.py` first: heatmaps, SimCC and coordinates of one person.
"""
