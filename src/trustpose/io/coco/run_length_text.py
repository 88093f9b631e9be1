"""Run lengths of masks as the compressed text of COCO's files, and back.

Each length from the fourth on is written as its difference to the length two before it; numbers are written in groups
of five bits, the low ones first, as characters from "0" on: bit 6 says that another group follows, and the highest bit
of the last group is the sign. Source: the format of `counts` in the COCO API (`maskApi`), described there.
"""

from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.json_records import short
from trustpose.poses.run_lengths import RunLengths

_FIRST = 48  # the code of "0"
_BITS, _MORE, _SIGN = 5, 0x20, 0x10
_LONGEST = 13  # groups of a number of 64 bits
_LARGEST_SIDE = 1 << 15


def parse_runs(text: str) -> Int[np.ndarray, " R"]:
    """Return the run lengths that a text holds. Raises ValueError "counts: expected …" if it is none."""
    runs: list[int] = []
    number = shift = 0
    for character in text:
        group = ord(character) - _FIRST
        if not 0 <= group < 2 * _MORE or shift >= _BITS * _LONGEST:
            raise ValueError(f"counts: expected run lengths as COCO's text, got {short(text)}")
        number |= (group & (_MORE - 1)) << shift
        shift += _BITS
        if group & _MORE:
            continue
        if group & _SIGN:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    if shift or not runs or not all(0 <= run < 2**48 for run in runs):
        raise ValueError(f"counts: expected run lengths as COCO's text, got {short(text)}")
    return np.array(runs, np.int64)


def format_runs(runs: Int[np.ndarray, " R"]) -> str:
    """Return the text of run lengths."""
    characters: list[str] = []
    lengths = runs.tolist()
    for index, length in enumerate(lengths):
        number = length - lengths[index - 2] if index > 2 else length
        while True:
            group, number = number & (_MORE - 1), number >> _BITS
            is_last = number == (-1 if group & _SIGN else 0)
            characters.append(chr(_FIRST + group + (0 if is_last else _MORE)))
            if is_last:
                break
    return "".join(characters)


def read_run_lengths(value: Any) -> RunLengths:
    """Return the mask in a JSON value {"size": [height, width], "counts": a text or a list of run lengths}.

    Raises ValueError "size: expected …" or "counts: expected …".
    """
    size, counts = value.get("size"), value.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
        raise ValueError(f"size: expected height and width, got {short(size)}")
    if not all(0 < side <= _LARGEST_SIDE for side in size):
        raise ValueError(f"size: expected height and width up to {_LARGEST_SIDE}, got {short(size)}")
    if isinstance(counts, str):
        return RunLengths(size[0], size[1], parse_runs(counts))
    if not (isinstance(counts, list) and all(type(run) is int and 0 <= run < 2**48 for run in counts)):
        raise ValueError(f"counts: expected a text or run lengths, got {short(counts)}")
    return RunLengths(size[0], size[1], np.array(counts, np.int64))


def run_lengths_value(mask: RunLengths) -> dict[str, Any]:
    """Return the JSON value of a mask."""
    return {"size": [mask.height, mask.width], "counts": format_runs(mask.runs)}
