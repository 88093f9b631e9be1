"""Labelled people for training and evaluation: one file for each data set, behind the record `People`.

A data set gives the labels of all its people as arrays and reads the pixels around one of them on demand. Joining data
sets, folds and other skeletons change only the arrays; random crops, occlusion and light change only the pixels. No
file here knows about heatmaps or torch. Read `people.py` first; `ground_truth.py` reads any labelled file for an audit.
"""
