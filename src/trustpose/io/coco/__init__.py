"""Read COCO ground truth and keypoint results, and write results, with our extended fields.

The content of a file is checked here once; an `InputError` names the file, the entry, the field and what was expected.
Read `results.py` first.
"""
