"""Files in and out: COCO ground truth and results, tables, other tools' poses and labels, cameras, photos and videos.

One file or folder for each foreign format; `recognise.py` finds the format from a file's content. Everything that
comes from a user is checked here once, and an `InputError` names the file, the entry, the field and what was expected.
Read `coco/results.py` first, then `pose_files.py` for other tools.
"""
