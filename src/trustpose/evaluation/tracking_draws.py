"""How far tracking numbers would vary over other clips: draws of clips with replacement.

Clips, not frames, are drawn, since a track is a whole. HOTA, IDF1 and CLEAR MOT are made of sums over clips, which
share no id, so that a draw costs one sum.
"""

import numpy as np
from jaxtyping import Float, Int

from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.clear_mot import clear_mot
from trustpose.metrics.hota import hota
from trustpose.metrics.identity import identity
from trustpose.metrics.tracks import TrackFrame

FEWEST = 5  # clips: an interval from fewer says more about the draws than about clips


def tracking_draws(
    frames: list[TrackFrame], clip: Int[np.ndarray, " F"], draws: int, seed: int
) -> dict[str, Float[np.ndarray, " B"]]:
    """Return HOTA, DetA, AssA, LocA, IDF1, IDP, IDR, MOTA and MOTP of B draws of clips; nothing for fewer than five
    clips. `clip` (F,) numbers each frame's."""
    clips = [[frames[row] for row in np.flatnonzero(clip == clip_number)] for clip_number in np.unique(clip)]
    if len(clips) < FEWEST or not draws:
        return {}
    drawn = resample_counts(len(clips), draws, seed).astype(np.float64)  # (B, C)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _hota(clips, drawn) | _identity(clips, drawn) | _clear_mot(clips, drawn)


def _hota(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    results = [hota(clip) for clip in clips]
    total = drawn @ np.array([sum(len(frame.truth_id) + len(frame.track_id) for frame in clip) for clip in clips])
    true = drawn @ np.array([result.true for result in results])  # (B, A)
    deta = true / (total[:, None] - true)
    assa = np.where(
        true > 0, drawn @ np.array([np.nan_to_num(result.assa) * result.true for result in results]) / true, 0.0
    )
    loca = drawn @ np.array([np.nan_to_num(result.loca) * result.true for result in results]) / true
    values = {"HOTA": np.sqrt(deta * assa), "DetA": deta, "AssA": assa, "LocA": loca}
    return {name: value.mean(axis=1) for name, value in values.items()}


def _identity(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    true, false, missed = (
        drawn @ np.array([(result.true, result.false, result.missed) for result in map(identity, clips)])
    ).T
    return {"IDF1": 2 * true / (2 * true + false + missed), "IDP": true / (true + false), "IDR": true / (true + missed)}


def _clear_mot(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    results = [clear_mot(clip) for clip in clips]
    counts = [
        (result.matches, result.misses, result.false_alarms, result.switches, result.similarity) for result in results
    ]
    matches, misses, false, switches, similarity = (drawn @ np.array(counts)).T
    mota = 1 - (misses + false + switches) / (matches + misses)
    return {"MOTA": mota, "MOTP": similarity / matches}
