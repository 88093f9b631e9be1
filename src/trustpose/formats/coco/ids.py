"""Ids of photos and people given as texts, "000785" or "cam1/0042"; records use integers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError
from trustpose.formats.columns import Rows
from trustpose.poses import MISSING_ID

_NUMERAL = re.compile("[0-9]{1,18}")  # fits 64 bits


@dataclass(frozen=True, eq=False)
class IdTexts:
    """The number of each text that a file uses as an id; empty if it uses numbers.

    With `are_numbers` the texts are numerals and stand for their numbers, so "000785" and 785 are the same id.
    """

    number_of: Mapping[str, int]
    are_numbers: bool = True

    def __len__(self) -> int:
        return len(self.number_of)

    def find(self, text: str) -> int | None:
        """Return the number for a text, whether or not it is among these; None if there is none."""
        number = self.number_of.get(text)
        if number is None and self.are_numbers and _NUMERAL.fullmatch(text):
            return int(text)
        return number

    @cached_property
    def text_of(self) -> dict[int, str]:
        """The text of each number."""
        return {number: text for text, number in self.number_of.items()}


NO_TEXTS = IdTexts({})


def number_texts(texts: Iterable[str]) -> IdTexts:
    """Assign numbers to distinct texts: their values if all are numerals with different values; else counted from 1 in
    their order by code point, in which pycocotools iterates over them too."""
    ordered = sorted(texts)
    if all(_NUMERAL.fullmatch(text) for text in ordered):
        numbers = {text: int(text) for text in ordered}
        if len(set(numbers.values())) == len(numbers):
            return IdTexts(numbers)
    return IdTexts({text: number for number, text in enumerate(ordered, 1)}, are_numbers=False)


def own_ids(rows: Rows, field: str) -> tuple[Int[np.ndarray, " N"], IdTexts]:
    """Return the ids (N,) that rows give themselves, each once, and their texts. Raises InputError."""
    column = IdColumn(field)
    indices = column.read(rows)
    assert indices is not None
    rows.unique(field, indices, dict(enumerate(column.texts)))
    texts = number_texts(column.texts)
    return column.numbers(indices, texts), texts


def ids_among(
    rows: Rows, field: str, known_ids: Int[np.ndarray, " L"], texts: IdTexts, source: str
) -> Int[np.ndarray, " N"]:
    """Return the ids (N,) of a field that refers to rows of another list, with numbers `known_ids` and texts `texts`.

    Raises InputError if one is not among them.
    """
    column = IdColumn(field)
    indices = column.read(rows)
    assert indices is not None
    ids, own_texts = column.resolve(rows.path, indices, known_ids, texts, source)
    rows.known(field, ids, known_ids, source, own_texts.text_of)
    return ids


class IdColumn:
    """A column of ids read block by block: its numbers, or indices into `texts` until `resolve` has all of them."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.texts: dict[str, int] = {}  # in order of appearance
        self._is_text: bool | None = None

    def read(self, rows: Rows, *, optional: bool = False) -> Int[np.ndarray, " N"] | None:
        """Return one block's ids (N,), or indices of their texts; -1 and None as in `Rows.integers`.

        Raises InputError if they are neither numbers nor texts, or a mixture.
        """
        field = self.field
        values = rows.values(field)
        first = next((value for value in values if value is not None), None)
        if first is None:
            return rows.integers(field, optional=optional)
        if self._is_text is None:
            self._is_text = type(first) is str
        if not self._is_text:
            return rows.integers(field, optional=optional)
        indices = np.full(len(values), MISSING_ID, dtype=np.int64)
        for row, value in enumerate(values):
            if type(value) is str:
                indices[row] = self.texts.setdefault(value, len(self.texts))
            elif value is not None or not optional:
                raise rows.fail(row, field, "a text, as other rows have", value)
        return indices

    def numbers(self, indices: Int[np.ndarray, " N"], texts: IdTexts) -> Int[np.ndarray, " N"]:
        """Convert indices of `texts`, which all given texts have, to numbers (N,); -1 and numbers are kept."""
        if not self.texts:
            return indices
        table = np.array([texts.number_of[text] for text in self.texts], dtype=np.int64)
        return np.where(indices == MISSING_ID, MISSING_ID, table[indices])

    def resolve(
        self, path: str, indices: Int[np.ndarray, " N"], known_ids: Int[np.ndarray, " L"], texts: IdTexts, source: str
    ) -> tuple[Int[np.ndarray, " N"], IdTexts]:
        """Return the ids (N,) for the indices that `read` gave, and their texts; `source`, named in errors, has the ids
        `known_ids` with the texts `texts`.

        Unknown texts get unused numbers. Raises InputError if these are numbers and `source` has texts that are not
        numerals.
        """
        if not self.texts:
            if not texts.are_numbers and (indices != MISSING_ID).any():
                named = next(iter(texts.number_of))
                raise InputError(
                    f"{path}: field '{self.field}': expected texts such as {named[:40]!r}, as in {source}, got numbers"
                )
            return indices, NO_TEXTS
        number_of = {text: texts.find(text) for text in self.texts}
        numbers = {text: number for text, number in number_of.items() if number is not None}
        if len(numbers) < len(number_of):
            used = {*known_ids.tolist(), *numbers.values()}
            free = (number for number in count(1) if number not in used)
            numbers |= {text: next(free) for text, number in number_of.items() if number is None}
        own_texts = IdTexts(numbers, texts.are_numbers)
        return self.numbers(indices, own_texts), own_texts
