"""Skeletons of people's bodies, with the names of data sets and estimators."""

from trustpose.skeletons.skeleton import Skeleton, edges_along, tenths

_ARMS = ("left_shoulder left_elbow left_wrist", "right_shoulder right_elbow right_wrist")
_LEGS = ("left_hip left_knee left_ankle", "right_hip right_knee right_ankle")
_TRUNK = ("left_hip left_shoulder right_shoulder right_hip left_hip",)

_COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
COCO_17 = Skeleton(
    name="coco17",
    keypoints=_COCO,
    edges=edges_along(
        _COCO, "left_ear left_eye nose right_eye right_ear", "left_eye right_eye", "left_ear left_shoulder",
        "right_ear right_shoulder", *_TRUNK, *_ARMS, *_LEGS,
    ),
    sigmas_source="COCO keypoint evaluation (cocodataset.org/#keypoints-eval), pycocotools Params.kpt_oks_sigmas",
    _sigmas=tenths(
        0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89
    ),
)  # fmt: skip

COCO_17_REDUNDANT = edges_along(
    COCO_17.keypoints,
    "left_wrist left_shoulder left_knee",
    "right_wrist right_shoulder right_knee",
    "left_ankle left_hip left_elbow",
    "right_ankle right_hip right_elbow",
    "left_shoulder nose right_shoulder",
    "left_wrist right_wrist",
    "left_elbow right_elbow",
    "left_knee right_knee",
    "left_ankle right_ankle",
    "left_shoulder right_hip",
    "right_shoulder left_hip",
)
"""Edges past one joint, for part affinity fields of people with unlabelled or hidden joints: along `COCO_17.edges`
alone a sixth of val2017's people fall to pieces (`benchmarks/perfect_fields.py`)."""

_LSP = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
LSP_14 = Skeleton(
    name="lsp14",
    keypoints=_LSP,
    edges=edges_along(_LSP, "head_top neck", "left_shoulder neck right_shoulder", *_TRUNK, *_ARMS, *_LEGS),
    sigmas_source="CrowdPose's for the same joints; LSP itself uses PCP and PCK",
    _sigmas=tenths(0.89, 0.87, 1.07, 1.07, 0.87, 0.89, 0.62, 0.72, 0.79, 0.79, 0.72, 0.62, 0.79, 0.79),
)

_MPII = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
MPII_16 = Skeleton(
    name="mpii16",
    keypoints=_MPII,
    edges=edges_along(
        _MPII, "head_top upper_neck thorax pelvis", "left_shoulder thorax right_shoulder", "left_hip pelvis right_hip",
        *_ARMS, *_LEGS,
    ),
)  # fmt: skip

_HUMAN36M = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "torso", "neck", "nose",
    "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
HUMAN36M_17 = Skeleton(  # of the 32 joints of motion capture, those that evaluations use
    name="human36m17",
    keypoints=_HUMAN36M,
    edges=edges_along(
        _HUMAN36M, "head_top nose neck torso pelvis", "left_shoulder neck right_shoulder", "left_hip pelvis right_hip",
        *_ARMS, *_LEGS,
    ),
)  # fmt: skip

_FLIC = (
    "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist", "left_hip",
    "right_hip", "left_eye", "right_eye", "nose",
)  # fmt: skip
FLIC_11 = Skeleton(
    name="flic11",
    keypoints=_FLIC,
    edges=edges_along(_FLIC, "left_eye nose right_eye left_eye", *_TRUNK, *_ARMS),
)

_CROWDPOSE = (
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck",
)  # fmt: skip
CROWDPOSE_14 = Skeleton(
    name="crowdpose14",
    keypoints=_CROWDPOSE,
    edges=edges_along(_CROWDPOSE, "head neck", "left_shoulder neck right_shoulder", *_TRUNK, *_ARMS, *_LEGS),
    sigmas_source="CrowdPose evaluation (Li et al., CVPR 2019; Jeff-sjtu/CrowdPose, crowdposetools/cocoeval.py)",
    _sigmas=tenths(0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89, 0.79, 0.79),
)

_BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
OPENPOSE_BODY_25 = Skeleton(
    name="openpose_body25",
    keypoints=_BODY_25,
    edges=edges_along(
        _BODY_25, "nose neck mid_hip", "left_ear left_eye nose right_eye right_ear",
        "left_shoulder neck right_shoulder",
        "left_hip mid_hip right_hip", *_ARMS, *_LEGS, "left_heel left_ankle left_big_toe left_small_toe",
        "right_heel right_ankle right_big_toe right_small_toe",
    ),
)  # fmt: skip

_BODY_25B = (
    *_COCO, "upper_neck", "head_top", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
OPENPOSE_BODY_25B = Skeleton(  # of OpenPose's training repository: COCO's joints first, and no mid hip
    name="openpose_body25b",
    keypoints=_BODY_25B,
    edges=edges_along(
        _BODY_25B, "left_ear left_eye nose right_eye right_ear", "head_top upper_neck",
        "left_shoulder upper_neck right_shoulder", *_TRUNK, *_ARMS, *_LEGS,
        "left_heel left_ankle left_big_toe left_small_toe", "right_heel right_ankle right_big_toe right_small_toe",
    ),
)  # fmt: skip

_OPENPOSE_COCO = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
OPENPOSE_COCO_18 = Skeleton(
    name="openpose_coco18",
    keypoints=_OPENPOSE_COCO,
    edges=edges_along(
        _OPENPOSE_COCO, "left_ear left_eye nose right_eye right_ear", "nose neck left_hip", "neck right_hip",
        "left_shoulder neck right_shoulder", *_ARMS, *_LEGS,
    ),
)  # fmt: skip

_OPENPOSE_MPI = (
    "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "chest",
)  # fmt: skip
OPENPOSE_MPI_15 = Skeleton(
    name="openpose_mpi15",
    keypoints=_OPENPOSE_MPI,
    edges=edges_along(
        _OPENPOSE_MPI, "head neck chest left_hip", "chest right_hip", "left_shoulder neck right_shoulder", *_ARMS,
        *_LEGS,
    ),
)  # fmt: skip

_HALPE = (
    *_COCO, "head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel",
    "right_heel",
)  # fmt: skip
HALPE_26 = Skeleton(
    name="halpe26",
    keypoints=_HALPE,
    edges=edges_along(
        _HALPE, "left_ear left_eye nose right_eye right_ear", "nose head neck hip", "left_shoulder neck right_shoulder",
        "left_hip hip right_hip", *_ARMS, *_LEGS, "left_heel left_ankle left_big_toe left_small_toe",
        "right_heel right_ankle right_big_toe right_small_toe",
    ),
    sigmas_source="Halpe evaluation, body and foot (Fang-Haoshu/Halpe-FullBody, halpecocotools/cocoeval.py)",
    _sigmas=tenths(
        0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89,
        0.8, 0.8, 0.8, 0.89, 0.89, 0.89, 0.89, 0.89, 0.89,
    ),
)  # fmt: skip

_BLAZEPOSE = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb",
    "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
BLAZEPOSE_33 = Skeleton(
    name="blazepose33",
    keypoints=_BLAZEPOSE,
    edges=edges_along(
        _BLAZEPOSE, "left_ear left_eye_outer left_eye left_eye_inner nose",
        "nose right_eye_inner right_eye right_eye_outer right_ear",
        "mouth_left mouth_right", *_TRUNK, *_ARMS, *_LEGS, "left_wrist left_pinky left_index left_wrist left_thumb",
        "right_wrist right_pinky right_index right_wrist right_thumb", 
        "left_ankle left_heel left_foot_index left_ankle",
        "right_ankle right_heel right_foot_index right_ankle",
    ),
)  # fmt: skip

_AIC = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
    "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck",
)  # fmt: skip
AIC_14 = Skeleton(
    name="aic14",
    keypoints=_AIC,
    edges=edges_along(_AIC, "head_top neck", "left_shoulder neck right_shoulder", *_TRUNK, *_ARMS, *_LEGS),
    sigmas_source="AI Challenger evaluation (AIChallenger/AI_Challenger_2017, Evaluation/keypoint_eval)",
    _sigmas=(
        0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941, 0.01981803,
        0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
    ),
)  # fmt: skip

_OCHUMAN = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
    "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head", "neck", "right_ear", "left_ear", "nose",
    "right_eye", "left_eye",
)  # fmt: skip
OCHUMAN_19 = Skeleton(
    name="ochuman19",
    keypoints=_OCHUMAN,
    edges=edges_along(
        _OCHUMAN, "left_ear left_eye nose right_eye right_ear", "head neck", "left_shoulder neck right_shoulder",
        *_TRUNK, *_ARMS, *_LEGS,
    ),
)  # fmt: skip

_HUMANART = (*_COCO, "left_finger", "right_finger", "left_toe", "right_toe")
HUMANART_21 = Skeleton(
    name="humanart21",
    keypoints=_HUMANART,
    edges=(
        *COCO_17.edges,
        *edges_along(_HUMANART, "left_wrist left_finger", "right_wrist right_finger", "left_ankle left_toe"),
        *edges_along(_HUMANART, "right_ankle right_toe"),
    ),
    sigmas_source="COCO's; fingers and toes from mmpose (configs/_base_/datasets/humanart21.py)",
    _sigmas=(*COCO_17.sigmas.tolist(), 0.089, 0.089, 0.089, 0.089),
)

_JHMDB = (
    "neck", "belly", "head", "right_shoulder", "left_shoulder", "right_hip", "left_hip", "right_elbow", "left_elbow",
    "right_knee", "left_knee", "right_wrist", "left_wrist", "right_ankle", "left_ankle",
)  # fmt: skip
JHMDB_15 = Skeleton(
    name="jhmdb15",
    keypoints=_JHMDB,
    edges=edges_along(
        _JHMDB, "head neck belly", "left_shoulder neck right_shoulder", "left_hip belly right_hip", *_ARMS, *_LEGS
    ),
    sigmas_source="mmpose's, after COCO's (configs/_base_/datasets/jhmdb.py); JHMDB itself uses PCK",
    _sigmas=(0.025, 0.107, 0.025, 0.079, 0.079, 0.107, 0.107, 0.072, 0.072, 0.087, 0.087, 0.062, 0.062, 0.089, 0.089),
)

_POSETRACK18 = (
    "nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
POSETRACK18_17 = Skeleton(
    name="posetrack18_17",
    keypoints=_POSETRACK18,
    edges=edges_along(
        _POSETRACK18, "head_top nose head_bottom", "left_ear nose right_ear",
        "left_shoulder head_bottom right_shoulder",
        *_TRUNK, *_ARMS, *_LEGS,
    ),
    sigmas_source="mmpose's, COCO's in order (configs/_base_/datasets/posetrack18.py); PoseTrack itself uses PCKh",
    _sigmas=tuple(COCO_17.sigmas.tolist()),
)  # fmt: skip
