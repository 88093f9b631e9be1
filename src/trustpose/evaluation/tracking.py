"""The section of an audit on tracks, where both files have track ids."""

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.record import Tracking
from trustpose.evaluation.resampling import Findings
from trustpose.formats.coco.together import joined_files

MOST = 1_000_000  # poses


class PeopleTracks:
    """How well people are tracked. A track needs all frames of its clip, so that people and poses stay in memory, of at
    most `MOST` poses."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._poses, self._has_tracks = 0, True

    def add(self, batch: Batch) -> None:
        """Keep a batch of whole photos."""
        self._has_tracks &= batch.file.truth.track_id is not None and batch.results.poses.track_id is not None
        self._poses += len(batch.poses)
        if self._has_tracks and self._poses <= MOST:
            self._batches.append(batch)
        else:
            self._batches = []

    def result(self, findings: Findings) -> Tracking | None:
        """Return the numbers; None if one of the files has no track ids, or, with a note, if there are too many."""
        if self._has_tracks and self._poses > MOST:
            findings.notes.append(f"tracking: null, for at most {MOST:,} poses, got {self._poses:,}")
        if not self._batches:
            return None
        from trustpose.evaluation.track_quality import track_quality  # imports scipy, as long as a small audit takes

        batch, resampling = self._batches[0], findings.resampling
        truth, results = joined_files([(batch.file, batch.results) for batch in self._batches])
        options = {"draws": resampling.draws, "seed": resampling.seed}
        return track_quality(truth, results, batch.sigmas, batch.area, findings, **options)
