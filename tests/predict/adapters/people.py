"""A real photo with one labelled person, for tests of estimators."""

from pathlib import Path

import numpy as np

from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import Truth


def labelled_photo(data_dir: Path) -> tuple[Path, Truth]:
    """A `dev` photo whose only labelled person fills most of it, with nearly all keypoints and a true area."""
    file = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    truth = file.truth
    assert truth.image_id is not None and truth.box is not None and truth.area_source is not None
    ids, counts = np.unique(truth.image_id, return_counts=True)
    alone = np.isin(truth.image_id, ids[counts == 1])
    height = file.images.height[np.searchsorted(file.images.id, truth.image_id)]
    is_large = truth.box[:, 3] - truth.box[:, 1] > 0.6 * height
    row = np.flatnonzero(alone & is_large & (truth.num_keypoints >= 16) & (truth.area_source == "segment"))[:1]
    name = file.images.file_name[int(np.flatnonzero(file.images.id == truth.image_id[row[0]])[0])]
    return data_dir / "coco" / "dev" / str(name), truth[row]
