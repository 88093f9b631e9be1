"""How often a block was begun: what ends the process that reads or predicts it must not stop a run for ever.

A worker that is killed leaves no error, and Ray starts its block again. So a worker notes in a file when it begins a
block, and removes the file when it has come through. The next one that finds the file knows that the process ended.
"""

from dataclasses import dataclass, field

import orjson

from trustpose.files import InputError, json_bytes
from trustpose.scale.places import Place

TOGETHER = 3
"""Times that a block is predicted as a whole before its photos are predicted one by one."""
ALONE = 2
"""Times that a photo is tried alone."""
READS = 10
"""Times that a part of a file is read. More, as nothing smaller can be blamed, and healthy ones die of other causes."""


@dataclass
class Attempt:
    """One attempt at a block, or at reading a unit, and what its file tells of those before.

    begun: how many there were, this one included. ended: how often the process ended at each item that was noted by
    `at`: a photo by its place in the block, a block by its place in the unit.
    """

    file: Place
    begun: int = 1
    ended: dict[int, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, file: Place) -> "Attempt":
        """Note that one begins. Raises InputError, DiskError if the file cannot be written."""
        attempt = cls(file, *_earlier(file))
        attempt.begun += 1
        attempt._write(None)
        return attempt

    @property
    def is_alone(self) -> bool:
        """Whether the photos are to be predicted one by one: as a whole the block has ended its process too often."""
        return self.begun > TOGETHER

    def at(self, item: int | None) -> None:
        """Note the item that comes next (None: nothing that could be blamed). Raises InputError, DiskError."""
        self._write(item)

    def over(self) -> None:
        """Note that the process did not end, whatever else happened: removes the file."""
        self.file.remove()

    def _write(self, item: int | None) -> None:
        ended = {str(key): count for key, count in self.ended.items()}
        self.file.write(json_bytes({"begun": self.begun, "ended": ended, "at": item}))


def _earlier(file: Place) -> tuple[int, dict[int, int]]:
    """Return what an earlier attempt left: how many there were, and at which items they ended."""
    if not file.exists():
        return 0, {}
    try:
        noted = orjson.loads(file.read("JSON"))
        ended = {int(item): int(count) for item, count in noted["ended"].items()}
        if noted["at"] is not None:
            ended[int(noted["at"])] = ended.get(int(noted["at"]), 0) + 1
        return int(noted["begun"]), ended
    except (InputError, ValueError, KeyError, TypeError, AttributeError):  # gone by now, or not ours
        return 0, {}
