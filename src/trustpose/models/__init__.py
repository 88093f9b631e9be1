"""What a model is on disk, and how it runs: `ModelSpec`, the kinds of its outputs, ONNX Runtime and torch.

A model is a folder with model.onnx and model.json; the JSON names input size, pixel normalisation, outputs, skeleton,
trust head, licence and source. `outputs/` has one record for each kind of output, which builds its codec; `runtime/`
runs the network. The bundled models lie here, too. Loading a model runs no code. Read `spec.py` first.
"""
