"""From photos to `Poses`: `tp.load` builds a `Predictor`, and `tp.run` predicts folders and videos into files.

`load.py` finds the model and its detector. `predictor.py` is the predictor of networks that see one person at a time:
crop, network, codec, trust. `single_stage.py` is that of networks that find all people by themselves, and `adapters/`
has other packages' estimators. `run.py` adds what many photos need: a journal to resume from, results files, drawings.
Read `predictor.py` first, then `load.py`.
"""
