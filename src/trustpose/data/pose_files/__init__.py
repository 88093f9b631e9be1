"""Poses in the files that other tools leave behind: mmpose, Ultralytics, OpenPose, AlphaPose, DeepLabCut, Detectron2.

Scores are read as they stand, whatever their range. One file here per format; `recognise` finds out whose a file is,
`assemble` gives photos their ids and keypoints the order of a ground truth.
"""

from trustpose.data.pose_files.assemble import Assembled, Photos, assemble
from trustpose.data.pose_files.recognise import FORMATS, find_files, read_pose_files
from trustpose.data.pose_files.record import FoundPoses

__all__ = ["FORMATS", "Assembled", "FoundPoses", "Photos", "assemble", "find_files", "read_pose_files"]
