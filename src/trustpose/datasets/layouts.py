"""The folders of data sets as they are published: labels with photos, for training.

COCO, CrowdPose, COCO-WholeBody, Halpe, OCHuman and DriPE label in COCO's layout; MPII, FLIC, LSP and AI Challenger in
their own (`datasets.ground_truth`). mmpose keeps some of them as COCO files in `annotations/`. DriPE's names are those
that a converter from its labels to another data set's reads (`autob_coco_{train,val,test}.json` of COCO's 17 keypoints,
photos in `set_pics`); its published archive could not be opened.
"""

from dataclasses import dataclass
from pathlib import Path

from trustpose.datasets.label_files import missing
from trustpose.files import InputError
from trustpose.skeletons import COCO_17, COCO_WHOLEBODY_133, Skeleton


@dataclass(frozen=True)
class Layout:
    """A data set's labels and photos, by path within its folder; `skeleton` where the file has several."""

    dataset: str
    labels: str
    photos: str
    skeleton: Skeleton | None = None


_AIC = "keypoint_train_images_20170902"
LAYOUTS = (
    Layout("MPII", "mpii_human_pose_v1_u12_1.mat", "images"),
    Layout("MPII", "mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat", "images"),
    Layout("MPII", "annot/train.json", "images"),
    Layout("MPII", "annotations/mpii_train.json", "images"),
    Layout("MPII", "annot/train.h5", "images"),
    Layout("FLIC", "examples.mat", "images"),
    Layout("LSP", "joints.mat", "images"),
    Layout("AI Challenger", "keypoint_train_annotations_20170909.json", _AIC),
    Layout("AI Challenger", "annotations/aic_train.json", f"ai_challenger_keypoint_train_20170902/{_AIC}"),
    Layout("OCHuman", "ochuman.json", "images"),
    Layout("OCHuman", "annotations/ochuman_coco_format_val_range_0.00_1.00.json", "images"),
    Layout("COCO-WholeBody", "annotations/coco_wholebody_train_v1.0.json", "train2017", COCO_WHOLEBODY_133),
    Layout("Halpe", "annotations/halpe_train_v1.json", "hico_20160224_det/images/train2015"),
    Layout("Halpe", "halpe_train_v1.json", "images/train2015"),
    Layout("DriPE", "splits/split_1/autob_coco_train.json", "set_pics", COCO_17),
    Layout("DriPE", "autob_coco_train.json", "set_pics", COCO_17),
)


def find_layout(folder: Path) -> Layout | None:
    """Return the layout of a folder with labels and photos, None if it has no such labels.

    Raises InputError if the labels are there and the photos are not, with the place where they are published.
    """
    labelled = [layout for layout in LAYOUTS if (folder / layout.labels).is_file()]
    for layout in labelled:
        if (folder / layout.photos).is_dir():
            return layout
    if labelled:
        first = labelled[0]
        raise InputError(missing(folder / first.photos, first.dataset, "folder of photos"))
    return None
