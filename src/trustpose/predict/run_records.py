"""The records of a run: the interface of its drawings, its steps and its result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from trustpose.poses import Poses
from trustpose.poses.rows import counted
from trustpose.predict.photos import Prediction


@runtime_checkable
class Drawings(Protocol):
    """Draws a run: `follow` is shown each prediction in order, `draw` then draws it, in threads, and `add` takes the
    drawings in order. Closed after the last one. `paths` are the files that it writes."""

    paths: Sequence[Path]

    def __enter__(self) -> Any: ...
    def __exit__(self, *_: Any) -> Any: ...
    def follow(self, prediction: Prediction) -> None: ...
    def draw(self, prediction: Prediction) -> Any: ...
    def add(self, drawn: Any) -> None: ...


@dataclass(frozen=True)
class Step:
    """One finished photo or frame: its number of people, the total number of photos or frames (None: unknown), and its
    problem, if any."""

    people: int
    total: int | None
    problem: str | None = None


@dataclass(eq=False, repr=False)
class Done:
    """The result of a run: poses by image id in the order of the photos; the number of people predicted and the time in
    seconds (without those from the journal); one line per kind of problem; the same for each video beside others, by
    its folder; what a run that replaced an earlier one did not write and left in the folder; the number of people left
    out below `min_presence` or as doubles (without those from the journal); and the name of the results file."""

    poses: dict[int, Poses]
    predicted: int
    seconds: float
    complaints: list[str]
    videos: "dict[str, Done]" = field(default_factory=dict)
    leftover_files: list[Path] = field(default_factory=list)
    left_out: int = 0
    file: str = ""

    def __repr__(self) -> str:
        """One line: how many people on how many photos, the time, and what went wrong."""
        people, photos = counted(self.people, "person", "people"), counted(len(self.poses), "photo")
        problems = "".join(f"; {line}" for line in self.complaints)
        videos = f" and {counted(len(self.videos), 'video')}" if self.videos else ""
        return f"Done({people} on {photos}{videos}, {self.seconds:.1f} s{problems})"

    @property
    def people(self) -> int:
        """How many."""
        return sum(map(len, self.poses.values()))


Tell = Callable[[Step], None]
