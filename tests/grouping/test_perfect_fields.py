"""Maps made of real people's labels lead back to these people; `benchmarks/perfect_fields.py` has all of val2017."""

from collections.abc import Callable

import numpy as np
import pytest

from trustpose.codecs import Outputs
from trustpose.codecs.centres import CentrePoseCodec
from trustpose.codecs.fields import FieldCodec
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.codecs.tags import encode_tags
from trustpose.grouping.associative_embedding import TagGrouping
from trustpose.grouping.paf import LimbGrouping
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.average_precision import evaluate
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17
from trustpose.skeletons.skeleton import edges_along

PHOTOS, STRIDE = 40, 4
LIMBS = (
    *COCO_17.edges,
    *edges_along(
        COCO_17.keypoints,
        "left_wrist left_shoulder left_knee",
        "right_wrist right_shoulder right_knee",
        "left_ankle left_hip left_elbow",
        "right_ankle right_hip right_elbow",
        "left_shoulder nose right_shoulder",
    ),
)
Found = tuple[np.ndarray, np.ndarray]  # xy (P, K, 2), score (P,)
Way = Callable[[np.ndarray, np.ndarray, np.ndarray, HeatmapCodec], Found]


def _fields(xy: np.ndarray, labelled: np.ndarray, box: np.ndarray, codec: HeatmapCodec) -> Found:  # noqa: ARG001
    fields = FieldCodec(LIMBS, codec.grid)
    maps = Outputs([codec.encode_people(xy, labelled)[None]])
    field = fields.encode(xy, labelled, codec.width, codec.height)[None]
    links = fields.links(codec.candidates(maps, min_score=0.1), field, 4.0 * codec.height)
    assert links.links is not None and links.link_score is not None
    limb_grouping = LimbGrouping(LIMBS, min_parts=1, min_score=0.0)
    groups = limb_grouping.group(links.joint, links.score, links.links, fields.limb_of(links), links.link_score, 17)
    return groups.take(links.xy), groups.score


def _tags(xy: np.ndarray, labelled: np.ndarray, box: np.ndarray, codec: HeatmapCodec) -> Found:  # noqa: ARG001
    tags = encode_tags(xy, labelled, codec.grid, codec.width, codec.height)[None]
    candidates = codec.candidates(
        Outputs([codec.encode_people(xy, labelled)[None]], extra={"tags": tags}), min_score=0.1
    )
    assert candidates.tags is not None
    groups = TagGrouping().group(candidates.joint, candidates.score, candidates.tags, 17)
    return groups.take(candidates.xy), groups.score


def _centres(xy: np.ndarray, labelled: np.ndarray, box: np.ndarray, codec: HeatmapCodec) -> Found:
    centres = CentrePoseCodec(codec)
    decoded = centres.decode(centres.encode(box, xy, labelled)[0])
    return decoded.xy, decoded.person_score


@pytest.fixture(scope="module")
def photos(data_dir) -> tuple[Truth, dict[int, tuple[int, int]]]:
    """The labelled people of the first photos, and their sizes in pixels."""
    file = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    images, truth = file.images, file.truth
    assert images.width is not None and images.height is not None and truth.num_keypoints is not None
    truth = truth[np.flatnonzero(truth.num_keypoints > 0)]
    assert truth.image_id is not None
    truth = truth[np.flatnonzero(np.isin(truth.image_id, np.unique(truth.image_id)[:PHOTOS]))]
    sizes = zip(images.width.tolist(), images.height.tolist(), strict=True)
    return truth, dict(zip(images.id.tolist(), sizes, strict=True))


@pytest.mark.parametrize("way", [_fields, _tags, _centres])
def test_real_people_come_back(photos, way: Way) -> None:
    truth, sizes = photos
    parts = []
    for image_id in np.unique(truth.image_id).tolist():
        people = truth[np.flatnonzero(truth.image_id == image_id)]
        width, height = sizes[image_id]
        codec = HeatmapCodec(-(-width // STRIDE), -(-height // STRIDE), float(STRIDE), sigma=1.0, decoding="dark")
        xy, score = way(people.xy, people.v > 0, people.box, codec)
        parts.append(Poses(xy, pose_score=score, image_id=np.full(len(xy), image_id)))
    poses = Poses.concatenate(parts)
    assert poses.pose_score is not None and len(np.unique(truth.image_id)) == PHOTOS
    evaluation = evaluate(poses, truth, poses.pose_score, sigmas=COCO_17.sigmas, area="file")
    assert evaluation.average_precision() >= 0.95
