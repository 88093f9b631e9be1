"""What a model is on disk: its `ModelSpec`, the kinds of its outputs, and the models bundled with the package.

A model is a folder with model.onnx and model.json; the JSON names input size, pixel normalisation, outputs, skeleton,
trust head, licence and source. `outputs.py` lists the kinds of outputs, one record each, and each record builds its
codec. Loading a model runs no code. Read `spec.py` first.
"""
