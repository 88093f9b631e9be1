"""Run networks: ONNX Runtime, or torch with the `train` extra, behind one interface.

`backends.py` has that interface: a runtime takes a batch of crops and returns `Outputs` and trust. `sessions.py` opens
ONNX sessions and chooses devices and threads. Only `torch_network.py` and `weights.py` import torch. Read
`backends.py` first.
"""
