"""Boosted trees on features of a results file: one model for poses, three shared by all keypoints.

P(labelled), P(occluded | labelled) and E[OPKS | labelled] are each fitted by cross-entropy, on all people or on those
with labels, the last without missing keypoints; E[OKS] of the pose likewise. LightGBM grows them (Ke et al., NIPS
2017); the trees are stored as tables, so applying needs no LightGBM, and the file contains no code.

Boosted trees as tables: a tree with at most eight splits is a table of 256 values. LightGBM grows the trees; this
module only evaluates them. Descending a tree branches at every split, which a processor can hardly predict: LightGBM
itself takes about 30 ns per tree and row. Here all splits of a tree are evaluated for thousands of rows at once, the
results are the bits of an index, and the table's entry is the leaf: about 1.5 ns. The sum over trees is LightGBM's
raw score (tests compare the two).
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.arrays import check_names, checked_array
from trustpose.calibration.features import NormalisedPoses, keypoint_features, pose_features, whole_features
from trustpose.calibration.metrics import Targets
from trustpose.calibration.opinions import keypoint_opinions, pose_opinions
from trustpose.calibration.score_maps import Probabilities, sigmoid
from trustpose.files import InputError

MAX_SPLITS = 8
_MAX_TREES = 10_000  # per model; ours have at most 200


@dataclass(frozen=True, eq=False)
class TreeTables:
    """T trees: the splits "feature > threshold?" of each (T, 8), feature −1 for unused ones, and its values.

    The bits of an index are the results of the splits; the first split is the highest bit.
    """

    feature: Int[np.ndarray, "T 8"]
    threshold: Float[np.ndarray, "T 8"]
    answer: Float[np.ndarray, "T 256"]

    def __post_init__(self) -> None:
        trees = len(self.feature)
        if trees > _MAX_TREES:
            raise ValueError(f"TreeTables: expected at most {_MAX_TREES} trees, got {trees}")
        checked_array(self.feature, "feature", (trees, MAX_SPLITS), kinds="iu", minimum=-1.0, maximum=32767.0)
        checked_array(self.threshold, "threshold", (trees, MAX_SPLITS), maximum=float(np.finfo(np.float32).max))
        checked_array(self.answer, "answer", (trees, 2**MAX_SPLITS), maximum=1e6)

    @classmethod
    def of(cls, dump: dict[str, Any]) -> "TreeTables":
        """Convert the trees of LightGBM's `Booster.dump_model()`. Raises ValueError for more than eight splits."""
        trees = [_tree_table(tree["tree_structure"]) for tree in dump["tree_info"]]
        feature, threshold, answer = (np.stack(columns) for columns in zip(*trees, strict=True))
        return cls(feature, threshold, answer)

    def raw_score(self, features: Sequence[Float[np.ndarray, "*#S"]]) -> Float[np.ndarray, "*S"]:
        """Return the sum of all trees (…), float32, for features (…) each; features with fewer rows are broadcast.

        Up to some ten thousand rows at a time fit into the processor's cache.
        """
        shape = np.broadcast_shapes(*(column.shape for column in features))
        total, answer = np.zeros(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
        leaf = np.empty(shape, dtype=np.uint8)
        is_above = {column.shape: np.empty(column.shape, dtype=np.bool_) for column in features}
        for questions, thresholds, answers in zip(self.feature.tolist(), self.threshold, self.answer, strict=True):
            leaf.fill(0)
            for question, threshold in zip(questions, thresholds, strict=True):
                if question < 0:
                    break
                column = features[question]
                yes = is_above[column.shape]
                np.greater(column, threshold, out=yes)
                np.add(leaf, leaf, out=leaf)
                np.bitwise_or(leaf, yes.view(np.uint8), out=leaf)
            cv2.LUT(leaf, answers, answer)
            total += answer
        return total


def _tree_table(tree: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return splits, thresholds and values of one tree as LightGBM dumps it."""
    nodes: list[dict[str, Any]] = []
    _collect(tree, nodes)
    if len(nodes) > MAX_SPLITS:
        raise ValueError(f"a tree has {len(nodes)} splits, expected at most {MAX_SPLITS}")
    feature, threshold = np.full(MAX_SPLITS, -1, dtype=np.int16), np.zeros(MAX_SPLITS, dtype=np.float32)
    answer = np.zeros(2**MAX_SPLITS, dtype=np.float32)
    for index, node in enumerate(nodes):
        feature[index], threshold[index] = node["split_feature"], _round_down(node["threshold"])
    number = {id(node): index for index, node in enumerate(nodes)}

    def fill_below(node: dict[str, Any], leaves: np.ndarray) -> None:
        if "leaf_value" in node:
            answer[leaves] = node["leaf_value"]
            return
        is_yes = (leaves >> (len(nodes) - 1 - number[id(node)])) & 1 > 0
        fill_below(node["left_child"], leaves[~is_yes])
        fill_below(node["right_child"], leaves[is_yes])

    fill_below(tree, np.arange(2 ** len(nodes)))
    return feature, threshold, answer


def _collect(node: dict[str, Any], nodes: list[dict[str, Any]]) -> None:
    if "leaf_value" in node:
        return
    if node["decision_type"] != "<=":
        raise ValueError(f"a tree has the decision type {node['decision_type']!r}, expected '<='")
    nodes.append(node)
    _collect(node["left_child"], nodes)
    _collect(node["right_child"], nodes)


def _round_down(threshold: float) -> np.float32:
    """Return the largest float32 at or below: a float32 exceeds one exactly if it exceeds the other."""
    single = np.float32(threshold)
    return np.nextafter(single, np.float32(-np.inf)) if float(single) > threshold else single


KEYPOINT_ROWS = 300_000  # training keypoints of a keypoint model; four times as many changed r by less than .001
POSE_ROWS = 100_000
THREADS = min(4, os.cpu_count() or 1)
_SHARED = {"learning_rate": 0.1, "num_leaves": MAX_SPLITS + 1, "max_bin": 63, "lambda_l2": 5.0, "verbose": -1}
_SAMPLING = {"feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "min_data_in_leaf": 40}
# One thread per model, models in parallel: LightGBM's own threads wait in busy loops, which takes five times as long
# on a machine with other load.
STEADY = {"deterministic": True, "force_col_wise": True, "use_missing": False, "num_threads": 1}
POSE_TREES, KEYPOINT_TREES = 150, 200
MODELS = ("labelled", "occluded", "similarity", "pose")


@dataclass(frozen=True, eq=False)
class Trees:
    """The four models as tables, and the names, in order, of the features of poses and keypoints."""

    pose_names: tuple[str, ...]
    keypoint_names: tuple[str, ...]
    tables: Mapping[str, TreeTables]

    @classmethod
    def fit(cls, people: NormalisedPoses, targets: Targets, seed: int) -> "Trees":
        """Fit to the people of `targets` (rows of `people`). Raises InputError if LightGBM cannot be loaded."""
        random = np.random.default_rng(seed)
        chosen = _sampled_rows(targets, POSE_ROWS, random)
        features = _pose_columns(people.rows(chosen.rows))
        pose_names, pose = tuple(features), np.stack(list(features.values()), axis=1)
        del features  # as large as the table
        binned = {"pose": _binned(pose, chosen.oks, seed)}
        del pose
        chosen = _sampled_rows(targets, KEYPOINT_ROWS // people.score.shape[0], random)
        columns = _keypoint_columns(people.rows(chosen.rows))
        table = np.stack([np.broadcast_to(column, chosen.v.shape).ravel() for column in columns.values()], axis=1)
        keypoint_names = tuple(columns)
        del columns
        v, labelled = chosen.v.ravel(), (chosen.v > 0).ravel()
        is_placed = labelled & ~chosen.missing.ravel()
        # one table after another: as bytes they are a quarter of their size
        binned["similarity"] = _binned(table[is_placed], chosen.opks.ravel()[is_placed], seed)
        binned["occluded"] = _binned(table[labelled], (v[labelled] == 1).astype(np.float64), seed)
        binned["labelled"] = _binned(table, labelled.astype(np.float64), seed)
        del table
        with ThreadPoolExecutor(THREADS) as pool:
            count = {name: POSE_TREES if name == "pose" else KEYPOINT_TREES for name in MODELS}
            grown = pool.map(lambda name: _grow(binned[name], count[name], seed), MODELS)
            return cls(pose_names, keypoint_names, dict(zip(MODELS, grown, strict=True)))

    def __call__(self, people: NormalisedPoses) -> Probabilities:
        """Predict for a few thousand people; the caller splits more into parts that fit into the processor's cache."""
        features = _pose_columns(people)
        columns = _keypoint_columns(people)
        if tuple(features) != self.pose_names or tuple(columns) != self.keypoint_names:
            raise InputError(
                "the calibrator was fitted with features that this version of trustpose does not compute; fit it again"
            )
        scores = [self.tables[name].raw_score(list(columns.values())) for name in MODELS[:3]]
        pose = sigmoid(self.tables["pose"].raw_score(list(features.values())))
        return Probabilities(*map(sigmoid, scores), pose=pose).without_missing(people.missing)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to save, by name."""
        names = {"pose_names": np.array(self.pose_names), "keypoint_names": np.array(self.keypoint_names)}
        parts = ("feature", "threshold", "answer")
        return names | {f"{name}.{part}": getattr(self.tables[name], part) for name in MODELS for part in parts}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Trees":
        """Build trees from `arrays`. Raises KeyError or ValueError for a missing or wrong array."""
        parts = [f"{name}.{part}" for name in MODELS for part in ("feature", "threshold", "answer")]
        check_names(arrays, ["pose_names", "keypoint_names", *parts])
        tables = {
            name: TreeTables(arrays[f"{name}.feature"], arrays[f"{name}.threshold"], arrays[f"{name}.answer"])
            for name in MODELS
        }
        names = [tuple(map(str, arrays[name].tolist())) for name in ("pose_names", "keypoint_names")]
        for name, table in tables.items():
            count = len(names[0] if name == "pose" else names[1])
            if table.feature.max(initial=-1) >= count:
                raise ValueError(f"{name}.feature: expected features below {count}")
        return cls(names[0], names[1], tables)


def _pose_columns(people: NormalisedPoses) -> dict[str, Float[np.ndarray, " N"]]:
    """Return the inputs of the pose's model (N,): its own features, and those of second opinions."""
    return pose_features(people) | pose_opinions(people.opinions, people.skeleton)


def _keypoint_columns(people: NormalisedPoses) -> dict[str, Float[np.ndarray, "*S"]]:
    """Return the inputs of the keypoints' models: (K, N) per keypoint, (1, N) for the whole pose and its scores."""
    scores = {f"score {name}": row for name, row in zip(people.skeleton.keypoints, people.score, strict=True)}
    whole = {f"pose: {name}": row[None] for name, row in (whole_features(people) | scores).items()}
    return keypoint_features(people) | whole | keypoint_opinions(people.opinions, people.skeleton)


def _sampled_rows(targets: Targets, max_rows: int, random: np.random.Generator) -> Targets:
    if len(targets.rows) <= max_rows:
        return targets
    return targets.of(np.sort(random.choice(len(targets.rows), max_rows, replace=False)))


def lightgbm() -> Any:
    """Import LightGBM, which takes a while and applying does not need. Raises InputError if it cannot be loaded."""
    try:
        import lightgbm as package
    except (ImportError, OSError) as error:
        raise InputError(f"trees need LightGBM, which cannot be loaded ({str(error).splitlines()[0]})") from None
    return package


def _options(seed: int) -> dict[str, Any]:
    return _SHARED | _SAMPLING | STEADY | {"objective": "cross_entropy", "seed": seed}


def _binned(table: Float[np.ndarray, "N F"], target: Float[np.ndarray, " N"], seed: int) -> Any:
    """Return LightGBM's data set of a table, a byte for each number, and a target in 0–1; the trees themselves, a
    constant, if the target has one value or there are no rows."""
    if not len(target) or target.min() == target.max():
        return _constant(float(target[0]) if len(target) else 0.0)
    return lightgbm().Dataset(table, target, params=_options(seed), free_raw_data=True).construct()


def _grow(binned: Any, trees: int, seed: int) -> TreeTables:
    """Grow trees for the target of a data set by cross-entropy."""
    if isinstance(binned, TreeTables):
        return binned
    return TreeTables.of(lightgbm().train(_options(seed), binned, trees).dump_model())


def _constant(chance: float) -> TreeTables:
    answer = np.full((1, 2**MAX_SPLITS), np.clip(chance, 1e-6, 1 - 1e-6))
    answer = np.log(answer / (1 - answer)).astype(np.float32)
    return TreeTables(np.full((1, MAX_SPLITS), -1, np.int16), np.zeros((1, MAX_SPLITS), np.float32), answer)
