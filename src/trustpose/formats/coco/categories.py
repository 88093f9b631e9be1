"""Select the categories of a ground truth to read: one, or with "all" each of them, evaluated separately."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError
from trustpose.formats.coco.visibility import LABELLED, TERNARY
from trustpose.formats.columns import Rows
from trustpose.poses import MISSING_ID

ALL = "all"


@dataclass(frozen=True, eq=False)
class Categories:
    """Names by id of the categories that were read, in the order of the file, and the category id of each of M people.

    A name that occurs twice has its id appended.
    """

    names: dict[int, str]
    of_row: Int[np.ndarray, " M"]


@dataclass(frozen=True)
class Chosen:
    """The categories to read, among all ids (C,) of the file; `is_all` if "all" was requested."""

    rows: tuple[dict[str, Any], ...]
    ids: Int[np.ndarray, " C"]
    is_all: bool

    @property
    def category_id(self) -> int:
        """The category's id; -1 for several."""
        return MISSING_ID if self.is_all else self.rows[0]["id"]

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Their common keypoint names; empty if they have none."""
        return tuple(self.rows[0].get("keypoints", ()))

    @property
    def visibility(self) -> str | None:
        """What their v means (`coco.visibility`), None if the file does not say or they differ."""
        stated = {str(row.get("visibility")) for row in self.rows}
        return stated.pop() if len(stated) == 1 and stated <= {TERNARY, LABELLED} else None

    def of(self, category_id: Int[np.ndarray, " N"]) -> np.ndarray:
        """Return which of N rows have these categories."""
        return np.isin(category_id, [row["id"] for row in self.rows])

    def apart(self, category_id: Int[np.ndarray, " M"]) -> Categories | None:
        """Return the categories of M people; None for a single requested category."""
        if not self.is_all:
            return None
        plain = [str(row.get("name", row["id"])) for row in self.rows]
        names = {
            row["id"]: name if plain.count(name) == 1 else f"{name} ({row['id']})"
            for row, name in zip(self.rows, plain, strict=True)
        }
        return Categories(names, category_id)


def choose_categories(rows: Rows, category: str | int | None, used: Int[np.ndarray, " N"] | None = None) -> Chosen:
    """Select the category of that name or id; without, the only one with keypoints, or of several the only one that
    annotations have, whose categories are `used`; "all": all with keypoints. Raises InputError."""
    ids = rows.integers("id", numerals=True)
    if ids is None or not len(ids):
        raise InputError(f"{rows.path}: field 'categories': expected at least one category, got an empty list")
    rows.unique("id", ids)
    rows = Rows(
        rows.path,
        rows.noun,
        [row | {"id": category_id} for row, category_id in zip(rows.rows, ids.tolist(), strict=True)],
    )
    for index, row in enumerate(rows.rows):
        names = row.get("keypoints", [])
        if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
            raise rows.fail(index, "keypoints", "a list of names", names)
        twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if twice is not None:
            raise InputError(f"{rows.path}: category {index}: field 'keypoints': {twice[:40]!r} occurs twice")
    with_keypoints = [row for row in rows.rows if row.get("keypoints")] or rows.rows
    matches = [row for row in rows.rows if category in (row["id"], row.get("name"), str(row["id"]))]
    if category == ALL and not matches:
        _check_same_keypoints(rows, with_keypoints)
        return Chosen(tuple(with_keypoints), ids, is_all=True)
    if category is None:
        with_people = [] if used is None else [row for row in with_keypoints if (used == row["id"]).any()]
        matches = with_people if len(with_people) == 1 else with_keypoints
    if len(matches) != 1:
        named = ", ".join(str(row.get("name", row["id"])) for row in rows.rows[:5])
        named += ", …" if len(rows) > 5 else ""
        problem = f"no category {category!r}" if not matches else "several categories"
        problem += f" are {category!r}" if matches and category is not None else ""
        raise InputError(
            f"{rows.path}: field 'categories': {problem} ({named}), expected one, chosen by its name or id, or {ALL}"
        )
    return Chosen((matches[0],), ids, is_all=False)


def _check_same_keypoints(rows: Rows, chosen: list[dict[str, Any]]) -> None:
    first = chosen[0]
    different = next((row for row in chosen if row.get("keypoints") != first.get("keypoints")), None)
    if different is not None:
        names = " and ".join(repr(str(row.get("name", row["id"]))) for row in (first, different))
        raise InputError(f"{rows.path}: field 'categories': {names} have different keypoints, {ALL} expects the same")
