"""The engine: trains any network and any head by a recipe. Needs the `train` extra (torch, lightning-fabric).

- `recipe.py`: all a run needs, as data; `values.py` makes it JSON, reads it back, and changes it by `--train.lr=…`.
- `task.py`: what the loop asks of the thing that is trained; `tasks.py`: which one a recipe's `system` names.
- `loop.py`: the loop, one process or many, with `schedule.py`, `checkpoint.py`, `logs.py`, `ema.py`, `interrupts.py`,
  `distributed.py` and `devices.py`.
- `network_task.py`: networks and heads from pixels, with `people.py` and `crops.py` for batches, `losses.py`,
  `initialization.py` and `validation.py`. `frozen_task.py`: heads on the stored features of a frozen network.
"""
