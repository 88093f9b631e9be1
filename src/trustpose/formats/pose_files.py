"""Poses in the files that other tools leave behind: mmpose, Ultralytics, OpenPose, AlphaPose, DeepLabCut, Detectron2.

Scores are read as they stand, whatever their range. There is one module per format; `recognise` tells which tool wrote
a file, `assemble` gives photos their ids and keypoints the order of a ground truth.
"""

from trustpose.formats.assemble import Assembled, Photos, assemble
from trustpose.formats.found_poses import FoundPoses
from trustpose.formats.recognise import FORMATS, find_files, read_pose_files

__all__ = ["FORMATS", "Assembled", "FoundPoses", "Photos", "assemble", "find_files", "read_pose_files"]
