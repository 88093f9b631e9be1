"""Poses and models in other packages' forms: FiftyOne data sets, the Hugging Face hub, `supervision.KeyPoints`.

One file per package; none of them is imported before a function that needs it is called.
"""
