"""Convert poses and models for other packages: FiftyOne's data sets, the Hugging Face hub.

One file per package, imported when one of its functions is called. `supervision.KeyPoints` are methods of `Poses`. Read
`fiftyone.py` first.
"""
