"""Error diagnosis against coco-analyze's numbers on real results."""

import numpy as np
import pytest

from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.diagnosis import diagnose, diagnose_scores
from trustpose.metrics.diagnosis_impact import error_impact
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
    truth = read_coco_truth(data_dir / "coco" / f"{expected['truth']}.json")
    results = read_results(data_dir / "results" / f"{request.param}.json", truth=truth)
    return expected, results.poses, truth.truth, results.score


@pytest.mark.parametrize("name", RANGES)
def test_counts_are_those_of_coco_analyze(real, name):
    expected, poses, truth, score = real
    diagnosis = diagnose(poses, truth, score, flip_index=COCO_17.flip_index, area_range=RANGES[name], **MEASURES)
    counts = diagnosis.counts()
    assert list(counts) == ["good", "jitter", "inversion", "swap", "miss"]
    assert [np.count_nonzero(diagnosis.match >= 0), *counts.values()] == expected["counts"][name]
    if name == "all":
        assert {kind: list(row) for kind, row in diagnosis.counts_per_keypoint().items()} == expected["per_keypoint"]


@pytest.mark.parametrize("separate", [False, True])
def test_ap_after_each_correction_is_that_of_coco_analyze(real, separate):
    expected, poses, truth, score = real
    diagnosis = diagnose(poses, truth, score, flip_index=COCO_17.flip_index, **MEASURES)
    impact = error_impact(poses, truth, score, diagnosis, separate=separate, **MEASURES)
    levels = np.vstack([impact.baseline, impact.corrected]).mean(axis=1)
    np.testing.assert_allclose(levels, expected["separate" if separate else "cumulative"], rtol=0, atol=1e-12)
    background, prefix = impact.background, "raw " if separate else ""
    positives = background.false_positive + background.false_positive_ignored
    negatives = background.false_negative + background.false_negative_ignored
    assert list(positives) == expected[prefix + "FP"]
    assert list(negatives) == expected[prefix + "FN"]


def test_scoring_errors_are_those_of_coco_analyze(real):
    expected, poses, truth, score = real
    diagnosis = diagnose_scores(poses, truth, score, **MEASURES)
    counts = [np.count_nonzero(diagnosis.misranked), np.count_nonzero(diagnosis.misranked_after)]
    assert [*counts, diagnosis.reordered_images, diagnosis.images] == expected["scoring"]
