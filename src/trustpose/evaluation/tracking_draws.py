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
    frames: list[TrackFrame], clip: Int[np.ndarray, " F"], replicates: int, seed: int
) -> dict[str, Float[np.ndarray, " B"]]:
    """Return HOTA, DetA, AssA, LocA, IDF1, IDP, IDR, MOTA and MOTP of B draws of clips; nothing for fewer than five
    clips. `clip` (F,) numbers each frame's."""
    clips = [[frames[at] for at in np.flatnonzero(clip == one)] for one in np.unique(clip)]
    if len(clips) < FEWEST or not replicates:
        return {}
    drawn = resample_counts(len(clips), replicates, seed).astype(np.float64)  # (B, C)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _hota(clips, drawn) | _identity(clips, drawn) | _clear_mot(clips, drawn)


def _hota(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    each = [hota(clip) for clip in clips]
    total = drawn @ np.array([sum(len(frame.truth_id) + len(frame.track_id) for frame in clip) for clip in clips])
    true = drawn @ np.array([one.true for one in each])  # (B, A)
    deta = true / (total[:, None] - true)
    assa = np.where(true > 0, drawn @ np.array([np.nan_to_num(one.assa) * one.true for one in each]) / true, 0.0)
    loca = drawn @ np.array([np.nan_to_num(one.loca) * one.true for one in each]) / true
    values = {"HOTA": np.sqrt(deta * assa), "DetA": deta, "AssA": assa, "LocA": loca}
    return {name: value.mean(axis=1) for name, value in values.items()}


def _identity(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    true, false, missed = (drawn @ np.array([(one.true, one.false, one.missed) for one in map(identity, clips)])).T
    return {"IDF1": 2 * true / (2 * true + false + missed), "IDP": true / (true + false), "IDR": true / (true + missed)}


def _clear_mot(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    each = [clear_mot(clip) for clip in clips]
    counts = [(one.matches, one.misses, one.false_alarms, one.switches, one.similarity) for one in each]
    matches, misses, false, switches, similarity = (drawn @ np.array(counts)).T
    mota = 1 - (misses + false + switches) / (matches + misses)
    return {"MOTA": mota, "MOTP": similarity / matches}
