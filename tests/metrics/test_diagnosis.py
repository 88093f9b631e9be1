"""Error diagnosis against coco-analyze's numbers, a plain loop, and cases whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.formats.coco import read_results, read_truth
from trustpose.geometry.oks import oks, opks
from trustpose.metrics.diagnosis import ERRORS, KeypointError, diagnose
from trustpose.metrics.diagnosis_impact import STAGES, error_impact
from trustpose.metrics.diagnosis_scores import diagnose_scores, optimal_score
from trustpose.metrics.matching import best_in_image
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17

# Measured with the reference: github.com/matteorr/coco-analyze at commit 9eb8a0a, Python 3.11.7, numpy 2.4.6, run on a
# copy outside this repo, on ground truth × results with at most 20 results an image kept (as its run_analysis.py does).
# Changed there so that it runs: np.float -> float, np.linspace's count to int, compiled masks from pycocotools 2.0.11,
# imports of colour, skimage and scipy.misc.imresize (drawing only) removed. Area range "all" is its own, 32² to 1e5².
# counts: area range -> poses that take a person, good, jitter, inversion, swap, miss.
# AP means over ten OKS thresholds: baseline, then without miss, swap, inversion, jitter, score, background FP, FN;
# "cumulative" from COCOanalyze.summarize with all errors, "separate" with one error at a time (as errorsAPImpact.py).
# FP, FN: background false positives and negatives at the ten thresholds, ignored ones included; "raw" before any
# correction. scoring: errors with the original and the optimal score, images reordered, images (scoringErrors.py).
RANGES = {
    "all": (32.0**2, 1e5**2),
    "from 0": (0.0, 1e5**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}
REFERENCE = {
    "simplepose.dev": {
        "truth": "dev_gt",
        "counts": {
            "all": [964, 6372, 2070, 675, 244, 1263],
            "from 0": [964, 6402, 2083, 677, 244, 1268],
            "medium": [963, 6276, 2048, 657, 242, 1250],
            "large": [961, 5899, 1890, 588, 235, 1108],
        },
        "per_keypoint": {
            "good": [311, 298, 286, 325, 284, 585, 606, 411, 408, 327, 320, 464, 474, 337, 347, 285, 304],
            "jitter": [234, 169, 172, 112, 130, 113, 123, 135, 117, 122, 114, 132, 142, 75, 49, 74, 57],
            "inversion": [0, 18, 12, 1, 2, 54, 32, 27, 19, 40, 33, 68, 59, 76, 77, 83, 74],
            "swap": [6, 6, 9, 6, 7, 29, 24, 22, 24, 17, 19, 14, 17, 12, 8, 12, 12],
            "miss": [93, 64, 74, 43, 62, 69, 62, 75, 119, 104, 135, 65, 58, 70, 73, 46, 51],
        },
        "cumulative": [
            0.50684728330068, 0.6683445269353, 0.69783117550097, 0.7715372149522, 0.87021412438657, 0.88478169458576,
            0.88514851485149, 1.0,
        ],
        "separate": [
            0.50684728330068, 0.6683445269353, 0.52807558176427, 0.56102010540732, 0.59263445406331, 0.55035184529127,
            0.55049504950495, 1.0,
        ],
        "FP": [28, 28, 28, 28, 28, 28, 29, 41, 119, 627],
        "FN": [534, 534, 534, 534, 534, 534, 535, 547, 625, 1133],
        "raw FP": [142, 168, 197, 233, 276, 356, 441, 565, 710, 874],
        "raw FN": [648, 674, 703, 739, 782, 862, 947, 1071, 1216, 1380],
        "scoring": [0, 1, 121, 365],
    },
    "movenet-thunder.dev": {
        "truth": "dev_gt",
        "counts": {
            "all": [904, 6687, 1341, 525, 449, 999],
            "from 0": [905, 6709, 1347, 536, 449, 1003],
            "medium": [900, 6595, 1324, 510, 450, 987],
            "large": [895, 6232, 1201, 439, 428, 873],
        },
        "per_keypoint": {
            "good": [404, 385, 365, 322, 301, 555, 553, 432, 413, 367, 361, 466, 472, 341, 338, 308, 304],
            "jitter": [122, 88, 99, 84, 88, 90, 102, 82, 87, 64, 75, 88, 86, 56, 49, 38, 43],
            "inversion": [0, 6, 9, 4, 4, 37, 36, 25, 21, 32, 26, 51, 57, 52, 57, 54, 54],
            "swap": [20, 13, 13, 14, 9, 54, 43, 39, 40, 27, 35, 33, 33, 22, 19, 20, 15],
            "miss": [64, 37, 39, 38, 50, 58, 53, 60, 89, 91, 89, 56, 49, 64, 57, 53, 52],
        },
        "cumulative": [
            0.49403191795795, 0.60429590058152, 0.66466973771529, 0.71962484059592, 0.7848359359445, 0.81567628302533,
            0.81683168316832, 1.0,
        ],
        "separate": [
            0.49403191795795, 0.60429590058152, 0.53558285738471, 0.53293547925589, 0.54846344162018, 0.54012412171114,
            0.54059405940594, 1.0,
        ],
        "FP": [96, 96, 98, 99, 101, 101, 101, 112, 177, 527],
        "FN": [602, 602, 604, 605, 607, 607, 607, 618, 683, 1033],
        "raw FP": [201, 218, 240, 264, 307, 354, 414, 504, 630, 800],
        "raw FN": [707, 724, 746, 770, 813, 860, 920, 1010, 1136, 1306],
        "scoring": [23, 2, 117, 365],
    },
    "val2017_perturbed": {
        "truth": "val2017_gt",
        "counts": {
            "all": [6267, 25809, 16085, 2767, 1426, 21329],
            "from 0": [6267, 25809, 16085, 2767, 1426, 21329],
            "medium": [6268, 25768, 16086, 2773, 1435, 21366],
            "large": [6266, 25713, 16002, 2765, 1538, 21385],
        },
        "per_keypoint": {
            "good": [1632, 1389, 1419, 1162, 1230, 2103, 2090, 1650, 1673, 1492, 1522, 1765, 1808, 1309, 1337, 1116,
                     1112],
            "jitter": [1076, 942, 885, 860, 820, 1321, 1283, 1061, 1046, 939, 979, 977, 971, 805, 745, 687, 688],
            "inversion": [0, 128, 128, 20, 19, 209, 225, 40, 47, 94, 82, 476, 443, 257, 273, 156, 170],
            "swap": [49, 37, 40, 30, 34, 174, 160, 111, 120, 60, 70, 133, 133, 67, 72, 68, 68],
            "miss": [1451, 1150, 1159, 1067, 1115, 1623, 1666, 1424, 1440, 1311, 1315, 1352, 1378, 1045, 1044, 907,
                     882],
        },
        "cumulative": [
            0.29081910453863, 0.49344717327594, 0.51042676224619, 0.5400448669948, 0.63755445213687, 0.88091803156492,
            0.88217821782178, 1.0,
        ],
        "separate": [
            0.29081910453863, 0.49344717327594, 0.29549999807127, 0.30022175520523, 0.3506775812672, 0.70125854859879,
            0.7029702970297, 1.0,
        ],
        "FP": [11046, 11046, 11046, 11046, 11047, 11047, 11047, 11184, 12324, 15917],
        "FN": [85, 85, 85, 85, 86, 86, 86, 223, 1363, 4956],
        "raw FP": [11434, 11474, 11575, 11858, 12309, 12779, 13044, 13172, 13830, 16819],
        "raw FN": [473, 513, 614, 897, 1348, 1818, 2083, 2211, 2869, 5858],
        "scoring": [2229, 29, 2170, 2346],
    },
}  # fmt: skip
MEASURES = {"sigmas": COCO_17.sigmas, "area": "file"}


@pytest.fixture(scope="module", params=REFERENCE)
def real(request, data_dir):
    expected = REFERENCE[request.param]
    truth = read_truth(data_dir / "coco" / f"{expected['truth']}.json")
    results = read_results(data_dir / "results" / f"{request.param}.json", truth=truth)
    return expected, results.poses, truth.truth, results.score


@pytest.mark.parametrize("name", RANGES)
def test_counts_are_those_of_coco_analyze(real, name):
    expected, poses, truth, score = real
    found = diagnose(poses, truth, score, flip_index=COCO_17.flip_index, area_range=RANGES[name], **MEASURES)
    counts = found.counts()
    assert list(counts) == ["good", "jitter", "inversion", "swap", "miss"]
    assert [np.count_nonzero(found.match >= 0), *counts.values()] == expected["counts"][name]
    if name == "all":
        assert {kind: list(row) for kind, row in found.counts_per_keypoint().items()} == expected["per_keypoint"]


@pytest.mark.parametrize("separate", [False, True])
def test_ap_after_each_correction_is_that_of_coco_analyze(real, separate):
    expected, poses, truth, score = real
    found = diagnose(poses, truth, score, flip_index=COCO_17.flip_index, **MEASURES)
    impact = error_impact(poses, truth, score, found, separate=separate, **MEASURES)
    levels = np.vstack([impact.baseline, impact.corrected]).mean(axis=1)
    np.testing.assert_allclose(levels, expected["separate" if separate else "cumulative"], rtol=0, atol=1e-12)
    background, prefix = impact.background, "raw " if separate else ""
    positives = background.false_positive + background.false_positive_ignored
    negatives = background.false_negative + background.false_negative_ignored
    assert list(positives) == expected[prefix + "FP"]
    assert list(negatives) == expected[prefix + "FN"]


def test_scoring_errors_are_those_of_coco_analyze(real):
    expected, poses, truth, score = real
    found = diagnose_scores(poses, truth, score, **MEASURES)
    counts = [np.count_nonzero(found.misranked), np.count_nonzero(found.misranked_after)]
    assert [*counts, found.reordered_images, found.images] == expected["scoring"]


# --- cases whose answer is known -------------------------------------------------------------------------------------

SIGMAS = np.array([0.05, 0.05, 0.1, 0.08])  # a joint on the midline, a left and right pair, one more
FLIP = np.array([0, 2, 1, 3])
AREA = 100.0**2
PERSON = np.array([[50.0, 10.0], [20.0, 60.0], [80.0, 60.0], [50.0, 110.0]])
NEIGHBOUR = PERSON + np.array([300.0, 0.0])


def people(*xy, v=None):
    xy = np.array(xy)
    v = np.full(xy.shape[:2], 2) if v is None else np.array(v)
    return Truth(
        xy=xy,
        v=v,
        area=np.full(len(xy), AREA),
        box=np.concatenate([xy.min(1), xy.max(1)], axis=1),
        image_id=np.ones(len(xy), dtype=int),
        annotation_id=np.arange(1, len(xy) + 1),
    )


def poses_of(*xy):
    return Poses(xy=np.array(xy), image_id=np.ones(len(xy), dtype=int))


def kinds(pose, truth, **options):
    found = diagnose(poses_of(pose), truth, np.ones(1), sigmas=SIGMAS, flip_index=FLIP, area="file", **options)
    return [KeypointError(value).name for value in found.kind[0]], found


def at_opks(target, keypoint):
    """Pixels from a joint at which OPKS is `target`."""
    return np.sqrt(-2 * AREA * (2 * SIGMAS[keypoint]) ** 2 * np.log(target))


def moved(keypoint, dx=0.0, dy=0.0, pose=PERSON):
    pose = pose.copy()
    pose[keypoint] += [dx, dy]
    return pose


def test_swapped_left_and_right_are_inversions():
    assert kinds(PERSON[FLIP], people(PERSON))[0] == ["GOOD", "INVERSION", "INVERSION", "GOOD"]


@pytest.mark.parametrize("joint", [1, 2])
def test_a_keypoint_on_the_neighbours_joint_or_its_mirror_is_a_swap(joint):
    pose = PERSON.copy()
    pose[1] = NEIGHBOUR[joint]
    assert kinds(pose, people(PERSON, NEIGHBOUR))[0] == ["GOOD", "SWAP", "GOOD", "GOOD"]
    assert kinds(pose, people(PERSON))[0] == ["GOOD", "MISS", "GOOD", "GOOD"]


def test_a_neighbours_unlabelled_joint_attracts_nothing():
    pose = PERSON.copy()
    pose[1] = NEIGHBOUR[1]
    truth = people(PERSON, NEIGHBOUR, v=[[2, 2, 2, 2], [2, 0, 2, 2]])
    assert kinds(pose, truth)[0][1] == "MISS"


@pytest.mark.parametrize(
    ("target", "kind"),
    [(0.99, "GOOD"), (0.8501, "GOOD"), (0.8499, "JITTER"), (0.5001, "JITTER"), (0.4999, "MISS"), (0.01, "MISS")],
)
def test_displacement_decides_between_good_jitter_and_miss(target, kind):
    assert kinds(moved(3, dy=at_opks(target, 3)), people(PERSON))[0] == ["GOOD", "GOOD", "GOOD", kind]


def test_an_unlabelled_joint_and_an_unmatched_pose_have_no_kind():
    names, found = kinds(PERSON, people(PERSON, v=[[2, 0, 1, 2]]))
    assert names == ["GOOD", "UNLABELLED", "GOOD", "GOOD"]
    assert sum(found.counts().values()) == 3
    said_to_have_none = replace(people(PERSON), num_keypoints=np.array([0]))
    assert kinds(PERSON, said_to_have_none)[0] == ["UNLABELLED"] * 4
    names, found = kinds(PERSON + 1000.0, people(PERSON))
    assert names == ["UNMATCHED"] * 4
    assert found.match[0] == -1
    np.testing.assert_array_equal(found.corrected_xy, found.xy)


def test_the_own_joint_wins_a_tie_with_another_persons():
    assert kinds(PERSON, people(PERSON, moved(0, dx=90.0)))[0] == ["GOOD"] * 4


def test_another_persons_joint_wins_a_tie_with_the_mirrored_one():
    pose = PERSON.copy()
    pose[1] = PERSON[2]
    neighbour = NEIGHBOUR.copy()
    neighbour[1] = PERSON[2]
    assert kinds(pose, people(PERSON, neighbour))[0] == ["GOOD", "SWAP", "GOOD", "GOOD"]


@pytest.mark.parametrize(("rule", "power"), [("exact", 1.0), ("coco-analyze", 0.25)])
def test_corrected_keypoints_get_the_similarity_they_deserve(rule, power):
    pose = PERSON.copy()
    pose[0, 1] += at_opks(0.6, 0)  # jitter
    pose[1] = PERSON[2] + [0, at_opks(0.7, 1)]  # inversion
    pose[2] += [0, 500]  # miss
    names, found = kinds(pose, people(PERSON), correction=rule)
    assert names == ["JITTER", "INVERSION", "MISS", "GOOD"]
    after = opks(found.corrected_xy[0], PERSON, np.full(4, 2), np.float64(AREA), SIGMAS)
    np.testing.assert_allclose(after, np.array([0.85, 0.7, 0.5, 1.0]) ** power, rtol=1e-9)
    only = found.corrected([KeypointError.MISS])[0]
    np.testing.assert_array_equal(only[[0, 1, 3]], pose[[0, 1, 3]])
    np.testing.assert_array_equal(only[2], found.corrected_xy[0, 2])


def test_duplicates_ranked_by_the_wrong_score_are_a_scoring_error():
    poses = poses_of(PERSON, moved(3, dy=at_opks(0.5, 3)), PERSON + 2000.0)
    truth = people(PERSON)
    measures = {"sigmas": SIGMAS, "area": "file"}
    wrong = diagnose_scores(poses, truth, np.array([0.5, 0.9, 0.7]), **measures)
    assert wrong.misranked.tolist() == [True]
    assert wrong.misranked_after.tolist() == [False]
    assert (wrong.reordered_images, wrong.images) == (1, 1)
    assert wrong.optimal_score[0] == 1.0
    assert 0 < wrong.optimal_score[1] < 0.9 * wrong.max_oks[1]
    right = diagnose_scores(poses, truth, np.array([0.9, 0.7, 0.5]), **measures)
    assert not right.misranked.any()
    assert right.reordered_images == 0


def test_background_errors_are_counted_and_their_gain_is_what_is_left():
    poses, truth = poses_of(PERSON, PERSON + 2000.0), people(PERSON, NEIGHBOUR)
    score = np.array([0.3, 0.9])
    found = diagnose(poses, truth, score, sigmas=SIGMAS, flip_index=FLIP, area="file")
    impact = error_impact(poses, truth, score, found, sigmas=SIGMAS, area="file", separate=True)
    assert impact.background.false_positive.tolist() == [1] * 10
    assert impact.background.false_negative.tolist() == [1] * 10
    half = 51 / 101  # recall thresholds up to 0.5
    gain = impact.ap_gain()
    assert impact.baseline == pytest.approx([half / 2] * 10)
    assert gain["score"] == pytest.approx(half / 2)
    assert gain["background_false_positive"] == pytest.approx(half / 2)
    assert gain["background_false_negative"] == pytest.approx(1 - half)
    assert [gain[stage] for stage in STAGES[:4]] == [0.0] * 4


def test_nobody_counts_gives_nan():
    truth = people(PERSON, v=[[0, 0, 0, 0]])
    found = diagnose(poses_of(PERSON), truth, np.ones(1), sigmas=SIGMAS, flip_index=FLIP, area="file")
    assert sum(found.counts().values()) == 0
    impact = error_impact(poses_of(PERSON), truth, np.ones(1), found, sigmas=SIGMAS, area="file")
    assert all(np.isnan(gain) for gain in impact.ap_gain().values())


def test_best_in_image_keeps_the_best_of_each_image_in_order():
    image_id, score = np.array([7, 3, 7, 7, 3]), np.array([0.1, 0.5, 0.9, 0.1, 0.5])
    assert best_in_image(image_id, score, 2)[0].tolist() == [1, 4, 2, 0]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"flip_index: expected a permutation of 0\.\.3"):
        diagnose(
            poses_of(PERSON), people(PERSON), np.ones(1),
            sigmas=SIGMAS, flip_index=np.array([0, 1, 1, 3]), area="file",
        )  # fmt: skip
    with pytest.raises((ValueError, TypeError), match="correction"):  # the shape checker may be the first to see it
        kinds(PERSON, people(PERSON), correction="none")
    _, found = kinds(PERSON, people(PERSON))
    with pytest.raises(ValueError, match=r"diagnosis: expected keypoints of shape \(2, 4, 2\)"):
        error_impact(poses_of(PERSON, PERSON), people(PERSON), np.ones(2), found, sigmas=SIGMAS, area="file")


# --- properties on random scenes -------------------------------------------------------------------------------------


def random_scene(seed):
    """People and poses of four joints in a few images: crowds, people without labels, duplicates, tied scores."""
    generator = np.random.default_rng(seed)
    count = generator.integers(1, 9)
    image_id = generator.integers(1, 4, count)
    size = generator.uniform(20, 200, count)
    xy = generator.uniform(0, 300, (count, 1, 2)) + generator.uniform(-0.5, 0.5, (count, 4, 2)) * size[:, None, None]
    v = generator.choice([0, 1, 2], (count, 4), p=[0.3, 0.2, 0.5])
    iscrowd = generator.random(count) < 0.1
    v[iscrowd | (generator.random(count) < 0.1)] = 0
    box = np.concatenate([xy.min(1), xy.max(1)], axis=1)
    truth = Truth(
        xy=xy,
        v=v,
        area=size**2 * 0.6,
        box=box,
        iscrowd=iscrowd,
        image_id=image_id,
        annotation_id=np.arange(1, count + 1),
    )
    source = generator.integers(0, count, generator.integers(1, 25))
    other = generator.integers(0, count, len(source))
    noise = generator.normal(size=(len(source), 4, 2)) * size[source, None, None]
    placed = xy[source] + noise * generator.choice([0, 0.02, 0.1, 0.5], (len(source), 1, 1))
    luck = generator.random((len(source), 4, 1))
    placed = np.where(luck < 0.2, placed[:, FLIP], np.where(luck > 0.85, xy[other], placed))
    poses = Poses(xy=placed, image_id=image_id[source])
    return poses, truth, np.round(generator.random(len(source)), 1)


def kind_by_loop(poses, truth, pose, person):
    """The kinds of one matched pose, straight from the definition."""
    same_image = [j for j in range(len(truth)) if truth.image_id[j] == truth.image_id[person] and j != person]
    order = [(person, False), *((j, False) for j in same_image), (person, True), *((j, True) for j in same_image)]
    kinds = []
    for k in range(4):
        found = []
        for j, is_mirrored in order:
            joint = FLIP[k] if is_mirrored else k
            distance = np.sum((poses.xy[pose, k] - truth.xy[j, joint]) ** 2)
            near = np.exp(-distance / (2 * truth.area[j] * (2 * SIGMAS[k]) ** 2))
            found.append(near if truth.v[j, joint] else 0.0)
        best = int(np.argmax(found))
        if not truth.v[person, k]:
            kinds.append(KeypointError.UNLABELLED)
        elif found[best] < 0.5:
            kinds.append(KeypointError.MISS)
        elif order[best] == (person, False):
            kinds.append(KeypointError.GOOD if found[best] >= 0.85 else KeypointError.JITTER)
        else:
            kinds.append(KeypointError.INVERSION if order[best] == (person, True) else KeypointError.SWAP)
    return kinds


@given(st.integers(0, 10**6))
@settings(max_examples=60)
def test_kinds_follow_the_definition_and_partition_the_labelled_keypoints(seed):
    poses, truth, score = random_scene(seed)
    found = diagnose(poses, truth, score, sigmas=SIGMAS, flip_index=FLIP, area="file")
    for pose, person in enumerate(found.match):
        expected = [KeypointError.UNMATCHED] * 4 if person < 0 else kind_by_loop(poses, truth, pose, person)
        assert found.kind[pose].tolist() == expected
    matched = found.match[found.match >= 0]
    assert sum(found.counts().values()) == np.count_nonzero(truth.v[matched])


@given(st.integers(0, 10**6), st.sampled_from(["exact", "coco-analyze"]))
@settings(max_examples=60)
def test_correcting_never_lowers_the_oks_of_a_matched_pose(seed, rule):
    poses, truth, score = random_scene(seed)
    found = diagnose(poses, truth, score, sigmas=SIGMAS, flip_index=FLIP, area="file", correction=rule)
    rows = np.flatnonzero((found.match >= 0) & (truth.v[found.match] > 0).any(axis=1))
    person = found.match[rows]
    last = found.xy
    levels = [ERRORS[: i + 1] for i in range(len(ERRORS))]
    for xy in [*(found.corrected(kinds) for kinds in levels), found.corrected_xy]:
        labels = (truth.xy[person], truth.v[person], truth.area[person], SIGMAS)
        assert (oks(xy[rows], *labels) >= oks(last[rows], *labels) - 1e-12).all()
        last = xy
    np.testing.assert_array_equal(last, found.corrected(ERRORS))


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_cumulative_gains_add_up_and_order_of_rows_does_not_matter(seed):
    poses, truth, _ = random_scene(seed)
    score = np.random.default_rng(seed).permutation(len(poses)) / len(poses)  # no ties: rows may stand in any order
    measures = {"sigmas": SIGMAS, "area": "file"}
    found = diagnose(poses, truth, score, flip_index=FLIP, **measures)
    impact = error_impact(poses, truth, score, found, **measures)
    total = sum(impact.gain_per_threshold().values())
    np.testing.assert_allclose(total, 1 - impact.baseline, atol=1e-12)
    rows = np.random.default_rng(seed + 1).permutation(len(poses))
    again = diagnose(poses[rows], truth, score[rows], flip_index=FLIP, **measures)
    np.testing.assert_array_equal(again.kind, found.kind[rows])


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_optimal_score_lies_between_zero_and_the_highest_oks(seed):
    poses, _, score = random_scene(seed)
    rescored = optimal_score(poses, score, SIGMAS)
    assert (rescored >= 0).all()
    assert (rescored <= score).all()
    for image in np.unique(poses.image_id):
        mine = poses.image_id == image
        assert rescored[mine].max() == score[mine].max()  # the best of an image keeps its score
        np.testing.assert_allclose(rescored[mine], optimal_score(poses[mine], score[mine], SIGMAS), rtol=1e-12)


def test_a_missing_keypoint_is_a_miss_wherever_it_is_written() -> None:
    """A person in the photo's corner: (0, 0) is on the nose, which the estimator did not find."""
    random = np.random.default_rng(0)
    xy = random.uniform(40, 240, (1, 17, 2))
    xy[0, 0] = 1.0
    labelled = np.full((1, 17), 2)
    truth = Truth(xy=xy, v=labelled, area=np.array([20000.0]), image_id=np.array([1]), annotation_id=np.array([1]))
    missing = np.isin(np.arange(17), [0, 9])[None]
    poses = Poses(xy=np.where(missing[..., None], 0, xy), image_id=np.array([1]), missing=missing)
    measures = {"sigmas": COCO_17.sigmas, "flip_index": COCO_17.flip_index, "area": "file"}
    score = np.ones(1)
    assert diagnose(replace(poses, missing=None), truth, score, **measures).counts()["good"] == 16
    found = diagnose(poses, truth, score, **measures)
    assert found.counts() == {"good": 15, "jitter": 0, "inversion": 0, "swap": 0, "miss": 2}
    assert found.similarity[0, 0] == 0
    impact = error_impact(poses, truth, score, found, sigmas=COCO_17.sigmas, area="file")
    np.testing.assert_allclose(sum(impact.gain_per_threshold().values()), 1 - impact.baseline)


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_optimal_scores_do_not_compare_missing_keypoints(seed):
    poses, _, score = random_scene(seed)
    random = np.random.default_rng(seed)
    missing = random.random(poses.xy.shape[:2]) < 0.4
    there = optimal_score(replace(poses, missing=missing), score, SIGMAS)
    moved = np.where(missing[..., None], random.uniform(-1e5, 1e5, poses.xy.shape), poses.xy)
    np.testing.assert_array_equal(optimal_score(replace(poses, xy=moved, missing=missing), score, SIGMAS), there)
    assert (there <= score).all()
    everything = optimal_score(replace(poses, missing=missing | True), score, SIGMAS)
    np.testing.assert_array_equal(everything, score)  # nothing in common
