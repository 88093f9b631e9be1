"""Results as an Arrow table straight from columns, beside the table of their rows."""

import numpy as np
import pyarrow as pa
import pytest

from trustpose.io.tables import results_schema
from trustpose.poses import MISSING_ID, Poses
from trustpose.poses.poses import coco_columns
from trustpose.poses.tables import results_table

NAMES = frozenset({
    "image_id", "category_id", "keypoints", "score", "annotation_id", "track_id", "bbox", "bbox_score", "pose_score",
    "presence", "pose_quality", "keypoint_quality", "visibility", "visibility_label", "keypoint_missing", "file_name",
})  # fmt: skip


def poses_with_gaps(people: int) -> Poses:
    """People of whom some lack a box, trust, an id, or state missing keypoints."""
    random = np.random.default_rng(people)
    shape = (people, 17)
    gaps = np.arange(people) % 3 == 1
    visibility = random.dirichlet(np.ones(3), shape)
    visibility[gaps] = np.nan
    return Poses(
        xy=random.uniform(0, 500, (*shape, 2)).astype(np.float32),
        score=random.uniform(0, 1, shape).astype(np.float32),
        pose_score=random.uniform(0, 1, people),
        image_id=np.arange(people),
        annotation_id=np.where(gaps, MISSING_ID, np.arange(people)),
        box=np.where(gaps[:, None], np.nan, random.uniform(0, 100, (people, 4)).cumsum(axis=1)),
        quality=random.uniform(0, 1, shape).astype(np.float32),
        pose_quality=np.where(gaps, np.nan, random.uniform(0, 1, people)),
        visibility=visibility,
        visibility_label=np.where(gaps[:, None], MISSING_ID, random.integers(0, 3, shape)),
        missing=(random.random(shape) < 0.1) & gaps[:, None],
    )


@pytest.mark.parametrize("people", [0, 1, 30])
@pytest.mark.parametrize("has_texts", [False, True])
def test_columns_make_the_table_of_the_rows(people: int, has_texts: bool) -> None:
    poses = poses_with_gaps(people)
    texts = {"image_id": {number: f"photo {number}" for number in range(people)}} if has_texts else None
    ids = pa.schema([("image_id", pa.string() if has_texts else pa.int64()), ("annotation_id", pa.int64())])
    schema = results_schema(ids, NAMES)
    score = np.linspace(0, 1, people)
    rows = poses.to_coco(score=score, category_id=3, texts=texts)
    expected = pa.Table.from_pylist(rows, schema=schema)
    table = results_table(coco_columns(poses, score=score, category_id=3), schema, texts)
    assert table.schema == schema
    assert table.to_pylist() == expected.to_pylist()
