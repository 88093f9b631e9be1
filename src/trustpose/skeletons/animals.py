"""Skeletons of animals."""

from trustpose.skeletons.skeleton import Skeleton, edges_along

_AP_10K = (
    "left_eye", "right_eye", "nose", "neck", "root_of_tail", "left_shoulder", "left_elbow", "left_front_paw",
    "right_shoulder", "right_elbow", "right_front_paw", "left_hip", "left_knee", "left_back_paw", "right_hip",
    "right_knee", "right_back_paw",
)  # fmt: skip
AP10K_17 = Skeleton(
    name="ap10k17",
    keypoints=_AP_10K,
    edges=edges_along(
        _AP_10K, "left_eye nose right_eye left_eye", "nose neck root_of_tail",
        "neck left_shoulder left_elbow left_front_paw", "neck right_shoulder right_elbow right_front_paw",
        "root_of_tail left_hip left_knee left_back_paw", "root_of_tail right_hip right_knee right_back_paw",
    ),
    sigmas_source="AP-10K evaluation (Yu et al., NeurIPS 2021; AlexTheBad/AP-10K, configs/_base_/datasets/ap10k.py)",
    _sigmas=(
        0.025, 0.025, 0.026, 0.035, 0.035, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.107, 0.087,
        0.089,
    ),
)  # fmt: skip
