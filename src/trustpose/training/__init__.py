"""The engine: trains any network and any head by a recipe. Needs the `train` extra (torch, lightning-fabric).

`recipe.py`: all a run needs, as data; `values.py` turns it into JSON, back, and changes it by `--train.lr=…`.
`task.py`: what the loop asks of the thing that is trained. `loop.py`: the loop, one process or many.
`tasks.py`: which Task a recipe's `system` names. `network_task.py`: networks and heads from pixels, with `crops.py` for
batches, `losses.py` and `validation.py`. `checkpoint.py`, `logs.py`, `ema.py`: what the loop writes and keeps.
"""
