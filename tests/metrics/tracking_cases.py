"""Made-up sequences for the tracking metrics: people who come and go, switches, misses, false alarms, empty frames."""

import numpy as np

from trustpose.metrics.tracking import TrackFrame


def sequence(seed: int, frames: int = 12, people: int = 4) -> list[TrackFrame]:
    """Frames of one clip; ids of two seeds differ."""
    random = np.random.RandomState(seed)  # its numbers never change
    track, fresh, made = np.arange(people), people, []
    for _ in range(frames):
        rows = np.flatnonzero(random.rand(people) < 0.9)
        for index in range(people):
            if random.rand() < 0.1:
                second = random.randint(people)
                track[index], track[second] = track[second], track[index]
            elif random.rand() < 0.1:
                track[index], fresh = fresh, fresh + 1
        seen = rows[random.rand(len(rows)) > 0.15]
        ids = track[seen]
        similarity = random.uniform(0, 0.6, (len(rows), len(seen))).round(3)
        similarity[np.searchsorted(rows, seen), np.arange(len(seen))] = random.uniform(0.3, 1, len(seen)).round(3)
        if random.rand() < 0.2:
            ids, fresh = np.append(ids, fresh), fresh + 1
            similarity = np.c_[similarity, random.uniform(0, 0.7, len(rows)).round(3)]
        is_blind, is_empty = random.rand(2) < 0.08
        ids, similarity = (ids[:0], similarity[:, :0]) if is_blind else (ids, similarity)
        rows, similarity = (rows[:0], similarity[:0]) if is_empty else (rows, similarity)
        order = random.permutation(len(ids))
        made.append(TrackFrame(rows + 1000 * seed, ids[order] + 1000 * seed, similarity[:, order]))
    return made
