"""Read pose files of other tools: mmpose, Ultralytics, OpenPose, AlphaPose, DeepLabCut, Detectron2.

Scores are read unchanged, whatever their range. There is one module per format; `recognise` finds the tool that wrote a
file, `assemble` assigns image ids and the order of a ground truth's keypoints.
"""

from trustpose.formats.assemble import Assembled, Photos, assemble
from trustpose.formats.recognise import FORMATS, find_files, read_pose_files
from trustpose.formats.tool_poses import ToolPoses

__all__ = ["FORMATS", "Assembled", "Photos", "ToolPoses", "assemble", "find_files", "read_pose_files"]
