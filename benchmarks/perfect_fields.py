"""What grouping loses by itself: maps encoded from labels, decoded and grouped, on the labelled photos of a split.

    python benchmarks/perfect_fields.py [--split val2017] [--stride 4] [--photos N] [--only NAME] [--no-crowds]

Each photo's labels become the maps that a network with no error would give, `stride` photo pixels a cell, and these go
the way of any bottom-up network: peaks of heatmaps (DARK, σ = 1 map pixel, at least 0.1), grouping, keypoints. AP and
AR are COCO's, with the labels that the maps were made of; what is missing to 1 is lost by codec and grouping, never by
a network. "groups" is how many people are found for each that is labelled.

  fields, OpenPose 2017      COCO's 19 limbs; greedy, limb by limb; people of 4 joints or more, score 0.4 or more
  fields, lone joints        the same limbs; people of any number of joints
  fields, redundant limbs    with 16 more limbs after them, which lead past unlabelled joints
  fields, optimal            the same with the optimal matching of each limb (Hungarian)
  fields, by score           the same 35 limbs, greedy, the best links of all limbs first (2019)
  tags                       associative embedding, tags 2 apart, grouped as by HigherHRNet's code
  centres                    Objects as Points: joints from the centre, moved to peaks of heatmaps
  PifPaf                     composite fields along COCO's 19 limbs, people grown from their surest joint
  PifPaf, redundant limbs    with the 16 more limbs
  PersonLab, tree            disks of 16 pixels, people grown along PoseNet's kinematic tree of 16 limbs
  PersonLab                  along COCO's 19 limbs
  PersonLab, redundant limbs with the 16 more limbs

Then the CPU time for 1 to 30 people side by side in one photo of 640 × 480 pixels, candidates and grouping, one thread,
the best of five.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
from coco_photos import ground_truth, of_photos
from harness import parser, run, table, timed
from scipy.sparse.csgraph import connected_components

from trustpose.codecs import Candidates, Outputs
from trustpose.codecs.centres import CentrePoseCodec
from trustpose.codecs.composite_fields import CompositeCodec, joint_sizes
from trustpose.codecs.disks import DiskCodec, DiskFields, DiskTargets
from trustpose.codecs.fields import FieldCodec
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.codecs.tags import encode_tags
from trustpose.grouping.associative_embedding import TagGrouping
from trustpose.grouping.groups import Groups
from trustpose.grouping.paf import LimbGrouping
from trustpose.grouping.personlab import PersonLabGrouping
from trustpose.grouping.pifpaf import CompositeGrouping
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.average_precision import evaluate
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17, COCO_17_REDUNDANT
from trustpose.skeletons.skeleton import edges_along

CROWDS = (1, 2, 5, 10, 20, 30)
SIGMA, MIN_PEAK = 1.0, 0.1
LIMBS = COCO_17.edges
ALL_LIMBS = (*COCO_17.edges, *COCO_17_REDUNDANT)
SIDES = "left", "right"
TREE = edges_along(
    COCO_17.keypoints,
    *(f"nose {side}_eye {side}_ear" for side in SIDES),
    *(f"nose {side}_shoulder {side}_elbow {side}_wrist" for side in SIDES),
    *(f"{side}_shoulder {side}_hip {side}_knee {side}_ankle" for side in SIDES),
)
RADIUS, MIN_SEED = 16.0, 0.01


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo's labelled people: xy (P, K, 2), labelled (P, K), box xyxy (P, 4), its size in pixels and its id."""

    xy: np.ndarray
    labelled: np.ndarray
    box: np.ndarray
    width: int
    height: int
    image_id: int = 0


@dataclass(frozen=True, eq=False)
class Grouped:
    """The people that grouping gives: xy (P, K, 2), keypoint scores (P, K), scores (P,)."""

    xy: np.ndarray
    score: np.ndarray
    person_score: np.ndarray


def photos_of(file: TruthFile) -> Iterator[Photo]:
    """Yield the photos with labelled people, by id. Rows without any labelled keypoint or in crowds are left out."""
    truth, images = file.truth, file.images
    sizes = dict(zip(images.id.tolist(), zip(images.width.tolist(), images.height.tolist(), strict=True), strict=True))
    counted = np.flatnonzero((truth.num_keypoints > 0) & ~truth.iscrowd)
    for image_id in np.unique(truth.image_id[counted]).tolist():
        rows = counted[truth.image_id[counted] == image_id]
        yield Photo(truth.xy[rows], truth.v[rows] > 0, truth.box[rows], *sizes[image_id], image_id)


def heatmap_codec(photo: Photo, stride: int) -> HeatmapCodec:
    size = -(-photo.width // stride), -(-photo.height // stride)
    return HeatmapCodec(*size, float(stride), sigma=SIGMA, decoding="dark")


def people_of(groups: Groups, candidates: Candidates) -> Grouped:
    return Grouped(groups.take(candidates.xy), groups.take(candidates.score), groups.score)


class Fields:
    """Part affinity fields over some limbs, with a grouping."""

    def __init__(self, grouping: LimbGrouping, stride: int) -> None:
        self.grouping, self.stride = grouping, stride

    def maps(self, photo: Photo) -> tuple[HeatmapCodec, FieldCodec, Outputs]:
        codec = heatmap_codec(photo, self.stride)
        fields = FieldCodec(self.grouping.limbs, codec.grid)
        field = fields.encode(photo.xy, photo.labelled, codec.width, codec.height)
        heatmaps = codec.encode_people(photo.xy, photo.labelled)
        return codec, fields, Outputs([heatmaps[None]], extra={"fields": field[None]})

    def people(self, photo: Photo, maps: tuple[HeatmapCodec, FieldCodec, Outputs]) -> tuple[Grouped, Candidates]:
        codec, fields, outputs = maps
        candidates = codec.candidates(outputs, min_score=MIN_PEAK, max_per_map=100)
        linked = fields.links(candidates, outputs["fields"], float(photo.height))
        limb = fields.limb_of(linked)
        groups = self.grouping.group(linked.joint, linked.score, linked.links, limb, linked.link_score, len(COCO_17))
        return people_of(groups, linked), linked


class Tags:
    """Associative embedding."""

    def __init__(self, stride: int) -> None:
        self.stride, self.grouping = stride, TagGrouping(min_score=MIN_PEAK, max_people=100)

    def maps(self, photo: Photo) -> tuple[HeatmapCodec, Outputs]:
        codec = heatmap_codec(photo, self.stride)
        tags = encode_tags(photo.xy, photo.labelled, codec.grid, codec.width, codec.height)
        heatmaps = codec.encode_people(photo.xy, photo.labelled)
        return codec, Outputs([heatmaps[None]], extra={"tags": tags[None]})

    def people(self, photo: Photo, maps: tuple[HeatmapCodec, Outputs]) -> tuple[Grouped, Candidates]:  # noqa: ARG002
        codec, outputs = maps
        candidates = codec.candidates(outputs, min_score=MIN_PEAK, max_per_map=100)
        groups = self.grouping.group(candidates.joint, candidates.score, candidates.tags, len(COCO_17))
        return people_of(groups, candidates), candidates


class Centres:
    """Objects as points."""

    def __init__(self, stride: int) -> None:
        self.stride = stride

    def maps(self, photo: Photo):
        codec = CentrePoseCodec(heatmap_codec(photo, self.stride))
        return codec, codec.encode(photo.box, photo.xy, photo.labelled)[0]

    def people(self, photo: Photo, maps) -> tuple[Grouped, Candidates]:  # noqa: ARG002
        codec, encoded = maps
        people = codec.decode(encoded)
        peaks = codec.heatmaps.candidates(Outputs([encoded.heatmaps[None]]), min_score=MIN_PEAK, max_per_map=100)
        return Grouped(people.xy, people.score, people.person_score), peaks


class Composites:
    """PifPaf's composite fields over some limbs."""

    def __init__(self, limbs: tuple[tuple[int, int], ...], stride: int) -> None:
        self.stride, self.grouping = stride, CompositeGrouping(limbs)

    def maps(self, photo: Photo):
        cells = heatmap_codec(photo, self.stride)
        codec = CompositeCodec(self.grouping.limbs, cells.grid)
        area = 0.53 * (photo.box[:, 2:] - photo.box[:, :2]).prod(axis=1)
        size = joint_sizes(area, COCO_17.sigmas)
        return codec, codec.encode(photo.xy, photo.labelled, size, cells.width, cells.height)

    def people(self, photo: Photo, maps) -> tuple[Grouped, Candidates | None]:
        codec, (intensity, association) = maps
        votes = codec.votes(intensity)
        confidence = codec.accumulate(votes, len(COCO_17), photo.width, photo.height)
        people = self.grouping.group(votes, codec.associations(association), confidence)
        return Grouped(people.xy, people.score, people.person_score), None


class Disks:
    """PersonLab's disks and offsets over some limbs."""

    def __init__(self, limbs: tuple[tuple[int, int], ...], stride: int) -> None:
        self.stride, self.grouping = stride, PersonLabGrouping(limbs, tuple(COCO_17.sigmas.tolist()))

    def maps(self, photo: Photo) -> tuple[DiskCodec, DiskTargets]:
        cells = heatmap_codec(photo, self.stride)
        codec = DiskCodec(self.grouping.limbs, cells.grid, RADIUS)
        return codec, codec.encode(photo.xy, photo.labelled, cells.width, cells.height)

    def people(self, photo: Photo, maps: tuple[DiskCodec, DiskTargets]) -> tuple[Grouped, Candidates | None]:
        codec, targets = maps
        votes = codec.votes(targets.disks, targets.short)
        hough = codec.hough(votes, len(COCO_17), photo.width, photo.height)
        fields = DiskFields(codec, targets.disks, targets.short, targets.middle, votes)
        people = self.grouping.group(codec.seeds(hough, MIN_SEED), fields)
        return Grouped(people.xy, people.score, people.person_score), None


Way = Fields | Tags | Centres | Composites | Disks


def ways(stride: int) -> dict[str, Way]:
    """Return the ways by name."""
    redundant = LimbGrouping(ALL_LIMBS, min_parts=1, min_score=0.0)
    return {
        "fields, OpenPose 2017": Fields(LimbGrouping(LIMBS), stride),
        "fields, lone joints": Fields(LimbGrouping(LIMBS, min_parts=1, min_score=0.0), stride),
        "fields, redundant limbs": Fields(redundant, stride),
        "fields, optimal": Fields(replace(redundant, matching="optimal"), stride),
        "fields, by score": Fields(replace(redundant, order="scores"), stride),
        "tags": Tags(stride),
        "centres": Centres(stride),
        "PifPaf": Composites(LIMBS, stride),
        "PifPaf, redundant limbs": Composites(ALL_LIMBS, stride),
        "PersonLab, tree": Disks(TREE, stride),
        "PersonLab": Disks(LIMBS, stride),
        "PersonLab, redundant limbs": Disks(ALL_LIMBS, stride),
    }


def in_pieces(photos: list[Photo], limbs: tuple[tuple[int, int], ...]) -> int:
    """Return how many people's labelled joints the limbs do not connect."""
    ends = np.array(limbs)
    count = 0
    for labelled in np.concatenate([photo.labelled for photo in photos]):
        graph = np.zeros((len(labelled), len(labelled)), np.bool_)
        graph[tuple(ends[labelled[ends].all(axis=1)].T)] = True
        count += connected_components(graph[np.ix_(labelled, labelled)], directed=False)[0] > 1
    return count


def measure(way: Way, photos: list[Photo], truth: Truth) -> dict[str, float]:
    """Return AP, AR and the number of groups, and the CPU time of candidates and grouping per photo in ms."""
    parts: list[Poses] = []
    spent = 0.0
    for photo in photos:
        maps = way.maps(photo)
        grouping = timed(lambda: way.people(photo, maps)[0])  # noqa: B023
        spent += grouping.cpu_seconds
        people = grouping.result
        image_id = np.full(len(people.xy), photo.image_id)
        parts.append(Poses(people.xy, score=people.score, pose_score=people.person_score, image_id=image_id))
    poses = Poses.concatenate(parts)
    numbers = asdict(evaluate(poses, truth, poses.pose_score, sigmas=COCO_17.sigmas, area="file").summary())
    row = {name: numbers[name] for name in ("AP", "AP50", "AP75", "APm", "APl", "AR")}
    row["groups_per_person"] = len(poses) / sum(len(photo.xy) for photo in photos)
    return row | {"ms_per_photo": 1000 * spent / len(photos)}


def crowd(count: int, photos: list[Photo]) -> Photo:
    """Return a photo of 640 × 480 pixels with `count` of the completely labelled people side by side, each at most
    60 × 90 pixels; fewer where the photos have fewer."""
    complete = [
        (photo.xy[row], photo.box[row]) for photo in photos for row in np.flatnonzero(photo.labelled.all(axis=1))
    ]
    xy, box = [], []
    for number, (joints, around) in zip(range(count), complete, strict=False):
        corner = np.array([number % 10 * 63.0 + 2, number // 10 * 155 + 30])
        scale = min(np.array([60.0, 90]) / (around[2:] - around[:2]))
        xy.append((joints - around[:2]) * scale + corner)
        box.append(np.concatenate([corner, (around[2:] - around[:2]) * scale + corner]))
    return Photo(np.array(xy), np.ones((len(xy), len(COCO_17)), bool), np.array(box), 640, 480)


def best_of_five(way: Way, photo: Photo) -> tuple[float, int]:
    """Return the CPU time in ms for candidates and grouping, and how many people there are."""
    maps = way.maps(photo)
    timings = [timed(lambda: way.people(photo, maps)[0]) for _ in range(5)]
    return 1000 * min(timing.cpu_seconds for timing in timings), len(timings[0].result.xy)


def main(options):
    file = ground_truth(options.data, options.split)
    photos = list(photos_of(file))[: options.photos]
    truth = of_photos(file.truth, [photo.image_id for photo in photos])
    chosen = {name: way for name, way in ways(options.stride).items() if name.startswith(options.only)}
    people = sum(len(photo.xy) for photo in photos)
    pieces = [in_pieces(photos, limbs) for limbs in (LIMBS, ALL_LIMBS)]
    print(f"{len(photos):,} photos, {people:,} people with labelled keypoints, stride {options.stride}")
    print(f"in several pieces along COCO's limbs {pieces[0]:,}, with redundant limbs {pieces[1]:,}")
    result = {name: measure(way, photos, truth) for name, way in chosen.items()}
    table("", result, ms_per_photo=".1f")
    times: dict[str, dict[int, float]] = {}
    if not options.no_crowds:
        crowds = {count: crowd(count, photos) for count in CROWDS}
        rows = {name: {n: best_of_five(way, photo) for n, photo in crowds.items()} for name, way in chosen.items()}
        times = {name: {count: ms for count, (ms, _) in row.items()} for name, row in rows.items()}
        table("ms for people of one photo", times, ".1f")
        wrong = {name: {n: count for n, (_, count) in row.items() if n != count} for name, row in rows.items()}
        print(f"another number of people was found: {({name: row for name, row in wrong.items() if row}) or 'never'}")
    counts = {"photos": len(photos), "people": people, "in_pieces": pieces, "stride": options.stride}
    return counts | {"ap": result, "ms": times}


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    add = options_parser.add_argument
    add("--stride", type=int, default=4, help="photo pixels a cell")
    add("--split", default="val2017", help="the labels of data/coco/SPLIT_gt.json")
    add("--photos", type=int, help="the first N photos only")
    add("--only", default="", help="the ways whose names begin so")
    add("--no-crowds", action="store_true", help="leave the times out")
    run(main, options_parser)
