"""Boosted trees as tables: a tree with at most eight splits is a table of 256 values.

LightGBM grows the trees; this module only evaluates them. Descending a tree branches at every split, which a processor
can hardly predict: LightGBM itself takes about 30 ns per tree and row. Here all splits of a tree are evaluated for
thousands of rows at once, the results are the bits of an index, and the table's entry is the leaf: about 1.5 ns. The
sum over trees is LightGBM's raw score (tests compare the two).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.arrays import expect_numbers

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
        expect_numbers(self.feature, "feature", (trees, MAX_SPLITS), kinds="iu", minimum=-1.0, maximum=32767.0)
        expect_numbers(self.threshold, "threshold", (trees, MAX_SPLITS), maximum=float(np.finfo(np.float32).max))
        expect_numbers(self.answer, "answer", (trees, 2**MAX_SPLITS), maximum=1e6)

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
