"""The same predictions, calibration and tracking on a Ray cluster, for more photos than one machine can take.

Inputs are cut into units and blocks (`units.py`), each block becomes one Parquet file, and a run continues where it
stopped (`folder.py`). Only `cluster.py` and `run.py` know Ray. Needs the extra `ray`. Read `run.py`
first.
"""
