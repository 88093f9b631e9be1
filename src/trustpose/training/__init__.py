"""Train any network and any head from a recipe. Needs the `train` extra (torch, lightning-fabric).

- `recipe.py`: the configuration of a run; `values.py` converts it to and from JSON, and applies `--train.lr=…`.
- `task.py`: the interface between the loop and what is trained; `tasks.py`: the task of a recipe's `system`.
- `loop.py`: the loop, one process or many, with `checkpoint.py`, `logs.py`, `distributed.py` and `devices.py`.
- `network_task.py`: networks and heads from pixels, with `people.py` and `crops.py` for batches, `losses.py`,
  `initialization.py` and `validation.py`. `frozen_task.py`: heads on the stored features of a frozen network.

Read `loop.py` first, then `network_task.py`.
"""
