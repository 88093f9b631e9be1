"""`tp.agree`: how far measured readings are from a reference, and whether the intervals that they claim hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.io.reading_tables import ReadingColumn, ReadingTable, read_readings, unit_named
from trustpose.measures.agreement import Agreement, CurveAgreement, CycleAgreement, Estimate, MeasureAgreement
from trustpose.measures.cycles import Starts, cut, cycle_starts
from trustpose.measures.measurements import Measurements
from trustpose.measures.paired_readings import Alignment, PairedReadings, joined, pair_tables
from trustpose.metrics.agreement import (
    PERCENTILES,
    Coverage,
    agreement_of,
    coverage_sums,
    icc_intervals,
    moments,
    repeated_limits,
)
from trustpose.metrics.bootstrap import DRAWS, interval, replicate_sums, resample_counts, sums_by_group

ReadingsSource = str | Path | ReadingTable | Measurements
"""Readings: a file that `io.reading_tables.read_readings` reads, its table, or what `tp.measure` returns."""
LARGE_DEGREES = 10.0
"""From here on an angle's error counts as large, unless another is named."""
_FEW_CLUSTERS = 10
_NOTE_OFFSET = 0.5  # of the measured curve's step: a smaller offset is not worth a note


def agree(
    reference: ReadingsSource | Sequence[ReadingsSource],
    measured: ReadingsSource | Sequence[ReadingsSource],
    *,
    match: Mapping[str, str] | None = None,
    unit: str | None = None,
    reference_unit: str | None = None,
    measured_unit: str | None = None,
    people: Sequence[str] = (),
    large: float | None = None,
    offset: float = 0.0,
    align: bool = False,
    max_offset: float = 0.5,
    cycles: str | Sequence[float] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """Compare measured readings with a reference: joint angles of a video with motion capture or labels, say.

    Args:
        reference: taken as right: CSV or Parquet of `trustpose measure`, a table with a column `time`, .mot, .sto or
            .trc; or a sequence, a file a clip.
        measured: as many, in the same order.
        match: the measured name of reference names, where they differ; only these are compared.
        unit: to which angles or lengths are converted; None: both files must have the same.
        reference_unit: of the columns whose unit the reference does not say; units are never guessed.
        measured_unit: the same for the measured files.
        people: who is in each clip, for intervals that draw people; () draws tracks, or clips.
        large: the absolute error from which one counts as large, in the result's unit; None: 10° for angles.
        offset: seconds by which the measured times are late, and are moved back.
        align: whether the offset that is found, by cross-correlation, is applied as well.
        max_offset: the largest that is searched, seconds either way.
        cycles: "auto", a measure's name, or the seconds at which strides or repetitions begin (`measures.cycles`).
        draws: bootstrap draws of clusters for the 95 % intervals.
        seed: of the draws.

    Returns:
        The agreement of each measure, what claimed intervals hold, and notes.

    Raises:
        InputError: if a file cannot be read; where names, units, people or times do not meet, naming them.

    Example:
        >>> agreement = tp.agree("mocap.mot", "knee.csv", match={"knee_angle_l": "left_knee_flexion"})
        >>> agreement
        Agreement(1 measure, 500 pairs of readings)
        >>> knee = agreement["knee_angle_l"]
        >>> knee["bias"], knee["rmse"], knee.coverage[0].share
        (...)
    """
    tables = [
        [_table(source, default) for source in _sources(sources)]
        for sources, default in ((reference, reference_unit), (measured, measured_unit))
    ]
    references, measurements = tables
    if len(references) != len(measurements):
        raise InputError(
            f"measured: expected as many files as the reference has, {len(references)}, got {len(measurements)}"
        )
    if people and len(people) != len(references):
        raise InputError(f"people: expected a name for each of the {len(references)} clips, got {len(people)}")
    if large is not None and not large > 0:
        raise InputError(f"large: expected an error above 0, got {large}")
    parts: dict[str, list[PairedReadings]] = {}
    offsets, series = [], 0
    for clip, (reference_table, measured_table) in enumerate(zip(references, measurements, strict=True)):
        pairs, clock_offset = pair_tables(
            reference_table,
            measured_table,
            match=match,
            unit=None if unit is None else unit_named(unit),
            alignment=Alignment(offset, align, max_offset),
            person=people[clip] if people else None,
            first_series=series,
        )
        offsets.append(clock_offset)
        for item in pairs:
            parts.setdefault(item.name, []).append(item)
        series = 1 + max(int(item.series.max(initial=series)) for item in pairs)
    measures = {name: joined(items) for name, items in parts.items()}
    measures = {name: pairs for name, pairs in measures.items() if len(pairs)}
    if not measures:
        raise InputError(f"{measurements[0].path}: no value in both files")
    starts, words = ({}, "") if cycles is None else cycle_starts(list(measures.values()), cycles)
    clusters, clustered_by = _clusters(measures, starts, has_people=bool(people))
    unreadable = {
        name: sum(table.unreadable.get((match or {}).get(name, name), 0) for table in measurements) for name in measures
    }
    count = max((int(numbers.max()) + 1 for numbers in clusters.values()), default=0) if clustered_by else 0
    return Agreement(
        {
            name: _agreement(pairs, clusters.get(name), count, starts, large, unreadable[name], draws, seed)
            for name, pairs in measures.items()
        },
        count,
        clustered_by,
        tuple(offsets),
        words,
        tuple(
            (reference_table.path, measured_table.path)
            for reference_table, measured_table in zip(references, measurements, strict=True)
        ),
        tuple(_notes(references, measurements, measures, match, offsets, align, clustered_by, count)),
    )


def _sources(sources: ReadingsSource | Sequence[ReadingsSource]) -> Sequence[ReadingsSource]:
    return [sources] if isinstance(sources, (str, Path, ReadingTable, Measurements)) else sources


def _table(source: ReadingsSource, unit: str | None) -> ReadingTable:
    if isinstance(source, ReadingTable):
        return source
    if not isinstance(source, Measurements):
        return read_readings(source, unit)
    columns = {}
    for index, measure in enumerate(source.measures):
        shown = source.readable[:, index]
        low, high = (np.where(shown[:, None], ends[:, index], np.nan) for ends in (source.low, source.high))
        columns[measure.name] = ReadingColumn(np.where(shown, source.value[:, index], np.nan), low, high, measure.unit)
    ids = {name: getattr(source, name) for name in ("annotation_id", "image_id", "track_id")}
    texts = {name: numbers.astype(str) for name, numbers in ids.items() if numbers is not None and (numbers >= 0).all()}
    time = None if source.time is None or np.isnan(source.time).any() else source.time
    unreadable = dict(zip(columns, (~source.readable).sum(axis=0).tolist(), strict=True))
    return ReadingTable("measurements", columns, source.levels, time, texts, unreadable)


def _clusters(
    measures: Mapping[str, PairedReadings], starts: Starts, *, has_people: bool
) -> tuple[dict[str, np.ndarray], str]:
    """Return the cluster of each pair of each measure, 0..G−1, and what clusters are: people, tracks or clips where
    there are two, else cycles, else rows that pair by ids; "" where readings are of one recording without cycles."""
    names = np.unique(np.concatenate([pairs.person.astype(str) for pairs in measures.values()]))
    if "" in names:  # rows of people without a name pair by their ids, which are alike in all measures' files
        return {name: np.arange(len(pairs)) for name, pairs in measures.items()}, "row"
    if len(names) > 1:
        has_tracks = len(names) > len(np.unique(np.concatenate([pairs.series for pairs in measures.values()])))
        kind = "person" if has_people else "photo or track" if has_tracks else "clip or track"
        return {name: np.searchsorted(names, pairs.person.astype(str)) for name, pairs in measures.items()}, kind
    if not starts:
        return {}, ""
    clusters = {}
    for name, pairs in measures.items():
        cluster, first = np.zeros(len(pairs), int), 0
        for number in np.unique(pairs.series).tolist():
            rows, seconds = pairs.series == number, starts.get(number, np.zeros(0))
            cluster[rows] = first + np.searchsorted(seconds, pairs.time[rows], side="right")
            first += len(seconds) + 1
        clusters[name] = cluster
    return clusters, "cycle"


def _agreement(
    pairs: PairedReadings,
    cluster: np.ndarray | None,
    clusters: int,
    starts: Starts,
    large: float | None,
    unreadable: int,
    draws: int,
    seed: int,
) -> MeasureAgreement:
    if large is None:
        large = {"degrees": LARGE_DEGREES, "radians": float(np.deg2rad(LARGE_DEGREES))}.get(pairs.unit)
    centre = float(pairs.reference.mean())  # sums of squares lose digits where values are large against their spread
    rows = moments(pairs.reference - centre, pairs.measured - centre, large)
    values = agreement_of(rows.sum(axis=0))
    counts = drawn = None
    if cluster is not None and clusters > 1:
        counts = resample_counts(clusters, draws, seed)
        drawn = agreement_of(replicate_sums(counts, sums_by_group(rows, cluster, clusters)))
    numbers = {}
    for name, value in values.items():
        ends = (float("nan"),) * 2 if drawn is None else interval(drawn[name])
        numbers[name] = Estimate(float(value), *ends)
    shift = centre * (1 - numbers["slope"].value)  # the intercept at 0, not at the centre
    intercept = numbers["intercept"].value + shift
    ends = (float("nan"),) * 2 if drawn is None else interval(drawn["intercept"] + centre * (1 - drawn["slope"]))
    numbers["intercept"] = Estimate(float(intercept), *ends)
    if large is None:
        numbers["large_share"] = Estimate(float("nan"))
    difference = pairs.measured - pairs.reference
    low, high = np.percentile(difference, PERCENTILES)
    return MeasureAgreement(
        pairs,
        numbers,
        (float(low), float(high)),
        (float("nan"),) * 2
        if cluster is None
        else repeated_limits(difference, np.unique(cluster, return_inverse=True)[1]),
        icc_intervals(pairs.reference, pairs.measured),
        large,
        unreadable,
        _coverage(pairs, cluster, clusters, counts),
        _per_cycle(pairs, starts),
    )


def _coverage(
    pairs: PairedReadings, cluster: np.ndarray | None, clusters: int, counts: np.ndarray | None
) -> tuple[Coverage, ...]:
    rows_of_all = []
    for number, level in enumerate(pairs.levels):
        low, high = pairs.low[:, number], pairs.high[:, number]
        rows = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
        if not len(rows):
            continue
        groups = np.zeros(len(rows), int) if cluster is None else cluster[rows]
        sums = coverage_sums(low[rows], high[rows], pairs.reference[rows], level, groups, max(clusters, 1))
        n, inside, width, score = sums.sum(axis=0)
        ends = (float("nan"),) * 2
        if counts is not None:
            drawn = replicate_sums(counts, sums)
            with np.errstate(invalid="ignore"):
                ends = interval(drawn[:, 1] / drawn[:, 0])
        rows_of_all.append(Coverage(level, inside / n, *ends, int(n), width / n, score / n))
    return tuple(rows_of_all)


def _per_cycle(pairs: PairedReadings, starts: Starts) -> CurveAgreement | None:
    curves = cut(pairs, starts)
    if not len(curves):
        return None
    mean = curves.measured.mean(axis=0) - curves.reference.mean(axis=0)
    numbers = {}
    for name, of in (("maximum", np.max), ("minimum", np.min), ("range", np.ptp)):
        of_reference, of_measured = of(curves.reference, axis=1), of(curves.measured, axis=1)
        values = agreement_of(
            moments(of_reference - of_reference.mean(), of_measured - of_reference.mean()).sum(axis=0)
        )
        names = ("bias", "sd", "low_limit", "high_limit", "rmse", "icc_a1")
        numbers[name] = CycleAgreement(len(curves), *(float(values[key]) for key in names))
    return CurveAgreement(curves, float(np.sqrt((mean**2).mean())), numbers)


def _notes(
    references: Sequence[ReadingTable],
    measurements: Sequence[ReadingTable],
    measures: Mapping[str, PairedReadings],
    match: Mapping[str, str] | None,
    offsets: Sequence,
    align: bool,
    clustered_by: str,
    clusters: int,
) -> list[str]:
    notes = []
    if match is None:
        for side, tables in (("reference", references), ("measured file", measurements)):
            names = dict.fromkeys(name for table in tables for name in table.columns if name not in measures)
            if names:
                notes.append(f"without a counterpart in the other file, or without values: {', '.join(names)} ({side})")
    for table, clock_offset in zip(measurements, offsets, strict=True):
        if clock_offset is None or clock_offset.seconds is None or align:
            continue
        step = float(np.median(np.diff(table.time))) if table.time is not None and len(table.time) > 1 else 0.0
        if abs(clock_offset.seconds) > _NOTE_OFFSET * step:
            kind = "late" if clock_offset.seconds > 0 else "early"
            edge = "at least " if clock_offset.is_at_edge else ""
            unshifted = clock_offset.correlation_unshifted
            before = "" if unshifted is None else f", unshifted {unshifted:.3f}"
            notes.append(
                f"{table.path}: {edge}{abs(clock_offset.seconds):.3f} s {kind} by cross-correlation (r "
                f"{clock_offset.correlation:.3f}{before}); align (--align) moves it back"
            )
    if not clustered_by:
        notes.append(
            "one recording: no 95 % intervals, since its frames are not independent; cycles (--cycles) or several "
            "clips give some"
        )
    elif clusters < _FEW_CLUSTERS and clustered_by != "row":
        notes.append(f"95 % intervals draw only {clusters} clusters ({clustered_by}): they are too narrow")
    if any(np.isfinite(pairs.time).any() for pairs in measures.values()):
        notes.append("icc_independent takes the frames as independent, which they are not: it is too narrow")
    return notes
