"""Write trained networks as model folders: model.onnx, which runs anywhere, model.json and model.safetensors.

`model_folder.py` writes a network of the zoo, `trust_folder.py` one with its trust head, `public_checkpoints.py`
converts checkpoints of other projects. Needs the `train` extra. Read `model_folder.py` first.
"""
