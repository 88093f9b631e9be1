"""Count the attempts at a block: an input that kills its worker process must not stop a run for ever.

A worker that is killed leaves no error, and Ray starts its block again. So a worker writes a file when it begins a
block, and removes it at the end. The next worker that finds the file knows that the process was killed.
"""

from dataclasses import dataclass, field

import orjson

from trustpose.files import InputError, json_bytes
from trustpose.scale.storage import StoragePath

TOGETHER = 3
"""Times that a block is predicted as a whole before its photos are predicted one by one."""
ALONE = 2
"""Times that a photo is tried alone."""
READS = 10
"""Times that a part of a file is read. More, as nothing smaller can be blamed, and healthy ones die of other causes."""


@dataclass
class Attempt:
    """One attempt at a block, or at reading a unit, with the earlier attempts that its file records.

    begun: the number of attempts, this one included. ended: how often the process was killed at each item that `note`
    recorded: a photo by its index in the block, a block by its index in the unit.
    """

    file: StoragePath
    begun: int = 1
    ended: dict[int, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, file: StoragePath) -> "Attempt":
        """Record the start of an attempt. Raises InputError, DiskError if the file cannot be written."""
        attempt = cls(file, *_earlier(file))
        attempt.begun += 1
        attempt._write(None)
        return attempt

    @property
    def is_alone(self) -> bool:
        """Whether the photos are to be predicted one by one: as a whole the block has ended its process too often."""
        return self.begun > TOGETHER

    def note(self, item: int | None) -> None:
        """Record the next item (None: no item that could be at fault). Raises InputError, DiskError."""
        self._write(item)

    def over(self) -> None:
        """Record that the process survived the attempt: removes the file."""
        self.file.remove()

    def _write(self, item: int | None) -> None:
        ended = {str(key): count for key, count in self.ended.items()}
        self.file.write(json_bytes({"begun": self.begun, "ended": ended, "at": item}))


def _earlier(file: StoragePath) -> tuple[int, dict[int, int]]:
    """Return the number of earlier attempts, and how often they were killed at each item."""
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
