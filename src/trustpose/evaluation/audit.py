"""Audit results against a ground truth: how good the poses are and how reliable their scores."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.datasets.ground_truth import TruthSource, open_ground_truth
from trustpose.evaluation.batch import RANKED_BY, Batch
from trustpose.evaluation.comparison import with_comparisons
from trustpose.evaluation.details import Draws, KeptPhotos
from trustpose.evaluation.draws import Findings, Resampling
from trustpose.evaluation.errors import KeypointErrors, PixelErrors, ScoreErrors
from trustpose.evaluation.localisation import (
    NEEDS_SIGMAS,
    JointLocalisation,
    JointsAudit,
    Metric,
    chosen_metrics,
    has_joints_only,
)
from trustpose.evaluation.options import AuditOptions
from trustpose.evaluation.precision import Crowding, KeypointsNotAbsent, Occlusion, Precision, parse_tables
from trustpose.evaluation.record import Audit, AuditNumbers
from trustpose.evaluation.tracking import PeopleTracks
from trustpose.evaluation.trust import KeypointScores, PoseScore, Presence
from trustpose.evaluation.visibility import VisibilityPrediction
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile, left_out_notes
from trustpose.io.coco.truth import TruthFile, area_convention
from trustpose.io.pose_stream import PoseStream, common_ids, held_stream, open_poses, paired_batches
from trustpose.io.read_poses import results_file_of
from trustpose.io.truth_stream import TruthBatches
from trustpose.metrics.bootstrap import DRAWS
from trustpose.metrics.matching import unpaired_on_people
from trustpose.metrics.spill import Spill
from trustpose.poses import Area, Poses, describe_counts
from trustpose.skeletons import COCO_17, Skeleton, difference, parse_sigmas
from trustpose.threads import worker_threads

UNPAIRED_ON_PEOPLE = 0.05  # share of the results above which the file's boxes or joints are suspect
_threads = worker_threads(2, "trustpose-sections")  # numpy leaves the other core free otherwise
_PAIRING = ("results", "unpaired", "on_people", "missing", "keypoints")


class Inputs:
    """Counts of people, results and photos."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._of_truth, self._of_results = Counter[str](), Counter[str]()  # left out
        self.area_sources = Counter[str]()  # of people
        self._categories: set[int] = set()
        self._has_categories = False
        self._notes: dict[str, None] = {}

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        people, poses, truth = batch.file.truth, batch.results.poses, batch.truth
        number, labelled = people.num_keypoints, np.count_nonzero(people.v > 0, axis=1)
        assert number is not None
        unpaired = batch.person < 0
        on_people = 0
        if unpaired.any() and truth.box is not None:
            on_people = int(unpaired_on_people(batch.poses, truth, batch.person).sum())
        self._counts.update(
            images=len(batch.image_id),
            people=len(people),
            people_with_keypoints=int((number > 0).sum()),
            contradicting=int((number != labelled).sum()),
            ignored=int(((number == 0) != (labelled == 0)).sum()),
            with_id_0=0 if people.annotation_id is None else int((people.annotation_id == 0).sum()),
            results=len(poses),
            unpaired=int(unpaired.sum()),
            on_people=on_people,
            missing=0 if poses.missing is None else int(poses.missing.sum()),
            keypoints=poses.xy[..., 0].size,
        )
        self.area_sources.update(batch.file.area_sources())
        self._notes |= dict.fromkeys(batch.results.notes)
        self._of_truth.update(batch.file.left_out)
        self._of_results.update(batch.results.left_out)
        if batch.file.categories is not None:
            self._has_categories = True
            self._categories.update(np.unique(batch.file.categories.of_row).tolist())

    def left_out_notes(self) -> list[str]:
        """Return notes on what was not read of the results, and on photos that only one of the files has."""
        return [
            *self._notes,
            *left_out_notes(self._of_truth, self._counts["images"], self._of_results, self._counts["results"]),
        ]

    def notes(self) -> list[str]:
        """Return notes on the people of the ground truth."""
        counts, notes = self._counts, []
        if self._has_categories:
            count = len(self._categories)
            notes.append(f"ap, oracle_ap, headroom: means over {count} categories; all other numbers pool them")
        notes += keypoint_number_notes(counts["people"], counts["contradicting"], counts["ignored"])
        return [*notes, *id_notes(counts["with_id_0"])]

    def pairing_notes(self) -> list[str]:
        """Return notes on the results matched to people."""
        return pairing_notes(*(self._counts[name] for name in _PAIRING))

    def result(self, truth: tuple[str, str], results: tuple[str, str]) -> dict[str, Any]:
        """Return `inputs` of the JSON; `truth` and `results` are the path and SHA-256 of each file."""
        counts = self._counts
        return {
            "ground_truth": {
                "file": truth[0],
                "sha256": truth[1],
                **{name: counts[name] for name in ("images", "people", "people_with_keypoints")},
                "left_out": dict(self._of_truth) or None,
            },
            "results": {
                "file": results[0],
                "sha256": results[1],
                "results": counts["results"],
                "paired": counts["results"] - counts["unpaired"],
                "left_out": dict(self._of_results) or None,
            },
        }


def convention_notes(
    area: Area, requested_area: str, sources: Mapping[str, int], skeleton: Skeleton | None, *, has_sigmas: bool
) -> list[str]:
    """Return notes on the area and the sigmas for OKS; `sources` counts areas by source, `has_sigmas` that they were
    given."""
    notes = []
    if area == "file":
        notes.append(f"area: OKS uses the areas of the annotations, area_source {describe_counts(sources)}")
    elif requested_area == "auto" and area != "segment":
        notes.append(f"area: the annotations have none, so OKS uses {area} (--area)")
    if not has_sigmas and skeleton is not None and skeleton is not COCO_17 and skeleton.has_sigmas:
        notes.append(f"sigmas: {skeleton.sigmas_source}")
    return notes


def keypoint_number_notes(people: int, contradicting: int, ignored: int) -> list[str]:
    """Return a note if the `num_keypoints` of `contradicting` people are not the numbers of their labelled keypoints;
    for `ignored` of them only one of both is 0."""
    if not contradicting:
        return []
    note = (
        f"num_keypoints: contradicts the labelled keypoints of {contradicting} of {people} people, and is used as it "
        "stands, as by pycocotools: for the groups of occlusion.*"
    )
    if ignored:
        note += f", and in ap.*, where {ignored} people are ignored, or counted, against their labels"
    return [note]


def id_notes(with_id_0: int) -> list[str]:
    """Return a note if people have the annotation id 0."""
    if not with_id_0:
        return []
    return [
        "ap.*: an annotation has id 0; COCO's tools count a match with it as a miss, and so do these numbers "
        "(number annotations from 1)"
    ]


def pairing_notes(results: int, unpaired: int, on_people: int, missing: int, keypoints: int) -> list[str]:
    """Return notes on the results matched to no person, with a warning if those `on_people`
    (`metrics.matching.unpaired_on_people`) suggest a faulty file, and on the missing ones of all keypoints."""
    notes = []
    if unpaired:
        notes.append(f"{unpaired} of {results} results are matched to no labelled or boxed person")
        if on_people > UNPAIRED_ON_PEOPLE * results:
            notes.append(
                f"{on_people} of {results} results ({on_people / results:.0%}) are unmatched although most of "
                "their keypoints lie in the box of a labelled person without a result: pose.* and keypoint.* "
                "leave them out, a calibrator treats them as errors. Check that `bbox` is x, y, width, height in "
                "pixels, and that missing keypoints are 0, 0, 0"
            )
    if missing:
        notes.append(
            f"{missing} of {keypoints} keypoints are missing (not found by the estimator): "
            "matching ignores them; OKS, OPKS and AP use them at the written position, as pycocotools does"
        )
    return notes


Source = str | Path | Poses | ResultsFile
Tell = Callable[[Source, int, int], None]  # of results: how many are done, of how many


def audit(
    ground_truth: TruthSource,
    results: Source,
    *,
    area: str = "auto",
    score: str | None = None,
    category: str | int | None = None,
    skeleton: Skeleton | str | Path | None = None,
    sigmas: Float[np.ndarray, " L"] | str | None = None,
    common: bool = False,
    metric: Sequence[str] | str = (),
    table: Sequence[str] | str = (),
    draws: int = DRAWS,
    seed: int = 0,
) -> Audit | JointsAudit:
    """Audit keypoint results against a ground truth.

    The numbers are the same whatever the layout of the files: JSON, CSV, one Parquet file, or a folder of its parts in
    any order. Parquet is read in batches of whole photos, so that it need not fit into memory.

    Args:
        ground_truth: COCO's JSON, the same as Parquet by `trustpose convert`, the layout of a data set
            (`datasets.ground_truth`), or labelled people in memory.
        results: COCO keypoint results as JSON, CSV or Parquet, a folder of Parquet parts, or poses in memory.
        area: Convention for OKS and the area ranges; "auto": see `TruthFile.area_convention`.
        score: Field by which results are ranked and which is compared with OKS. None: "score" ranks, and
            `pose_quality`, if the file has it, is compared.
        category: Name or id, if the ground truth has several; "all": each of them, and their means.
        skeleton: A Skeleton, name or file, which overrides the ground truth's.
        sigmas: (K,), or one for all keypoints, instead of the skeleton's.
        common: Use only photos that both files have; without it, results for other photos are an error.
        metric: Names of `localisation.METRICS`, each optionally with @FRACTION. Default: the data set's own.
        table: Names of `precision.TABLES`.
        draws: Bootstrap resamplings of the photos for the 95 % intervals; 0: no intervals.
        seed: Of the resampling.

    Returns:
        The record of all numbers; for the skeletons of MPII and FLIC, which have no published sigmas, without `sigmas`
        a `JointsAudit`, which has the data set's own metrics and no OKS.

    Raises:
        InputError: A file or field is invalid.

    Example:
        >>> record = tp.audit("gt.json", "results.json")
    """
    options = AuditOptions(
        area=area,
        score=score,
        category=category,
        skeleton=skeleton,
        sigmas=sigmas,
        common=common,
        metric=metric,
        table=table,
        draws=draws,
        seed=seed,
    )
    return audits(ground_truth, [results], options)[0]


def audits(
    ground_truth: TruthSource,
    results: Sequence[Source],
    options: AuditOptions,
    *,
    needs_oks: str | None = None,
    tell: Tell = lambda source, done, count: None,  # noqa: ARG005
) -> list[Audit] | list[JointsAudit]:
    """Audit several results files against one ground truth, and compare them on common draws of photos.

    Args:
        ground_truth: as for `audit`.
        results: each as for `audit`.
        options: as for `audit`; `common` keeps the photos that all files have.
        needs_oks: what else needs OKS, for the error if there are no sigmas for it.
        tell: called with a results file, how many of its results are done, and how many there are.

    Raises:
        InputError: A file, field or option is invalid.
    """
    tables = parse_tables(_texts(options.table))
    truth = open_ground_truth(ground_truth, options.category, options.skeleton)
    header = truth.header
    metrics = chosen_metrics(_texts(options.metric), header)
    sigmas = parse_sigmas(options.sigmas) if isinstance(options.sigmas, str) else options.sigmas
    joints_only = has_joints_only(header, metrics, sigmas)
    needs_oks = needs_oks or ("--table needs OKS" if tables else None)
    if joints_only and needs_oks:
        raise InputError(f"{header.path}: {needs_oks}: give --sigmas")
    setup = _Setup(
        options=options,
        area=area_convention(header.path, options.area, truth.areas, has_boxes=truth.has_boxes),
        sigmas=np.zeros(header.truth.keypoint_count) if joints_only else header.sigmas(sigmas),
        metrics=metrics,
        tables=tables,
    )
    streams = []
    for source in results:
        tell(source, 0, 0)
        streams.append(_open(source, truth, options.score or RANKED_BY, common=options.common))
    photos = common_ids(truth, streams) if options.common else None
    records: list[Any] = []
    for source, stream in zip(results, streams, strict=True):
        run = _run_joints if joints_only else _run
        records.append(run(truth, stream, setup, photos, lambda done, s=source, n=stream.count: tell(s, done, n)))
    return with_comparisons(records) if len(records) > 1 else records


def _texts(names: Sequence[str] | str) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def audit_numbers(ground_truth: TruthFile, results: ResultsFile, *, area: str = "auto") -> AuditNumbers:
    """Compute an audit's first numbers alone, without intervals and notes: those of `audit` for the same arguments, in
    a fraction of the time. Raises InputError as it does."""
    truth, convention = open_ground_truth(ground_truth), ground_truth.area_convention(area)
    numbers = _Numbers(ground_truth)
    with np.errstate(over="ignore"):
        for truth_file, results_file in paired_batches(truth, held_stream(results)):
            numbers.add(Batch(truth_file, results_file, sigmas=ground_truth.sigmas(None), area=convention))
    return AuditNumbers(**numbers.result(Findings(Resampling(truth.image_ids(), 0, 0))))


@dataclass(frozen=True)
class _Setup:
    """What the options of an audit mean for this ground truth."""

    options: AuditOptions
    area: Area
    sigmas: Float[np.ndarray, " K"]
    metrics: Sequence[Metric]
    tables: dict[str, float | None]


def _open(source: Source, truth: TruthBatches, score_field: str, *, common: bool) -> PoseStream:
    if isinstance(source, (str, Path)):
        return open_poses(source, truth, score_field=score_field, common=common)
    held = truth.people
    if held is None:
        raise InputError(f"{truth.header.path}: results in memory expect a ground truth in memory, not Parquet")
    results = results_file_of(source, held, score_field=score_field, common=common)
    if differ := difference(results.poses.skeleton, held.truth.skeleton):
        raise InputError(f"{results.path} and {held.path} have different skeletons, {differ}")
    return held_stream(results)


class _Numbers:
    """The sections of `AuditNumbers`."""

    def __init__(self, header: TruthFile) -> None:
        self.precision, self.pose = Precision(), PoseScore()
        self.keypoint = KeypointScores(header.truth.keypoint_count)
        self.visibility = VisibilityPrediction(is_ternary=header.has_visibility)

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        for section in (self.precision, self.pose, self.keypoint, self.visibility):
            section.add(batch)

    def result(self, findings: Findings) -> dict[str, Any]:
        """Return the fields of `AuditNumbers`."""
        ap, oracle_ap, headroom, _ = self.precision.result(findings)
        numbers = {"ap": ap, "oracle_ap": oracle_ap, "headroom": headroom}
        numbers |= {name: getattr(self, name).result(findings) for name in ("pose", "keypoint", "visibility")}
        return numbers


def _batches(
    truth: TruthBatches, results: PoseStream, setup: _Setup, photos: np.ndarray | None, tick: Callable[[int], None]
):
    """Yield the batches of a stream of pairs."""
    first, done = 0, 0
    for truth_file, results_file in paired_batches(truth, results, photos):
        batch = Batch(
            truth_file, results_file, sigmas=setup.sigmas, area=setup.area, score_field=setup.options.score, first=first
        )
        yield batch
        first, done = first + len(batch.image_id), done + len(results_file.score)
        tick(done)


def _run(
    truth: TruthBatches, results: PoseStream, setup: _Setup, photos: np.ndarray | None, tick: Callable[[int], None]
) -> Audit:
    """Audit one stream: every section counts every batch, then states its numbers."""
    header, tables = truth.header, setup.tables
    inputs, details, tracks = Inputs(), KeptPhotos(), PeopleTracks()
    precision, occlusion, crowding, errors = Precision(), Occlusion(), Crowding(), KeypointErrors()
    pose, keypoint, presence = PoseScore(), KeypointScores(header.truth.keypoint_count), Presence()
    visibility, pixels = VisibilityPrediction(is_ternary=header.has_visibility), PixelErrors()
    localisation = JointLocalisation(setup.metrics, header.path)
    score_errors = ScoreErrors() if "scoring-errors" in tables else None
    not_absent = KeypointsNotAbsent(tables["non-0"], header.truth.keypoint_count) if "non-0" in tables else None
    sections = [inputs, errors, precision, occlusion, crowding, pose, keypoint, visibility, presence, pixels]
    sections += [localisation, tracks, details, *filter(None, (score_errors, not_absent))]
    ids = Spill(np.int64)
    with np.errstate(over="ignore"):  # a keypoint at 1e300 overflows to infinity, and its OKS is 0
        counting: list[Future[None]] = []
        for batch in _batches(truth, results, setup, photos, tick):
            _wait(counting)  # while the next batch was read
            counting = [_threads().submit(_add, section, batch) for section in sections]
            ids.append(batch.image_id)
        _wait(counting)
        findings = Findings(Resampling(ids[:], setup.options.draws, setup.options.seed))
        findings.notes += _notes(truth, inputs, setup)
        further: dict[str, Any] = {"thresholds": precision.thresholds()} if "thresholds" in tables else {}
        further |= {} if score_errors is None else {"scoring-errors": score_errors.result()}
        further |= {} if not_absent is None else {"non-0": not_absent.result(header, findings)}
        ap, oracle_ap, headroom, categories = precision.result(findings)
        benchmarks, precision_75 = occlusion.result()
        fields: dict[str, Any] = {
            "crowd": crowding.result(findings),
            "tracking": tracks.result(findings),
            "localisation": localisation.result(findings),
            "pose": pose.result(findings),
            "keypoint": keypoint.result(findings),
            "visibility": visibility.result(findings),
            "presence": presence.result(findings),
            "pixels": pixels.result(findings),
            "errors": errors.result(),
            "details": details.result(findings, precision_75, header),
        }
    return Audit(
        ap=ap,
        oracle_ap=oracle_ap,
        headroom=headroom,
        occlusion=benchmarks,
        categories=categories,
        keypoint_types=keypoint.types(header.keypoint_names),
        intervals=findings.intervals,
        area=setup.area,
        score_field=setup.options.score or RANKED_BY,
        pose_field=batch.pose_field,
        inputs=inputs.result((header.path, header.sha256), (results.path, results.sha256)),
        notes=tuple(findings.notes),
        tables=further,
        **fields,
    )


def _add(section: Any, batch: Batch) -> None:
    """Count a batch in one section."""
    with np.errstate(over="ignore"):
        section.add(batch)


def _wait(counting: list[Future[None]]) -> None:
    """Wait until all sections have counted a batch. Raises what the first of them raised."""
    wait(counting)
    for section in counting:
        section.result()


def _run_joints(
    truth: TruthBatches, results: PoseStream, setup: _Setup, photos: np.ndarray | None, tick: Callable[[int], None]
) -> JointsAudit:
    """Audit the joints of one stream without OKS."""
    header, inputs = truth.header, Inputs()
    localisation = JointLocalisation(setup.metrics, header.path)
    ids = Spill(np.int64)
    for batch in _batches(truth, results, setup, photos, tick):
        inputs.add(batch)
        localisation.add(batch)
        ids.append(batch.image_id)
    findings = Findings(Resampling(ids[:], setup.options.draws, setup.options.seed))
    findings.notes += [*header.notes, *inputs.left_out_notes()]
    numbers = localisation.result(findings)
    assert header.skeleton is not None
    return JointsAudit(
        localisation=numbers,
        intervals=findings.intervals,
        inputs=inputs.result((header.path, header.sha256), (results.path, results.sha256)),
        notes=(*findings.notes, NEEDS_SIGMAS.format(name=header.skeleton.name)),
        score_field=setup.options.score or RANKED_BY,
        draws=Draws(findings.draws, findings.resampling.image_id, setup.options.seed),
    )


def _notes(truth: TruthBatches, inputs: Inputs, setup: _Setup) -> list[str]:
    """Return notes on assumptions about the files, rows left out, and differences from COCO."""
    header = truth.header
    notes = [*header.notes, *inputs.left_out_notes()]
    notes += convention_notes(
        setup.area,
        setup.options.area,
        inputs.area_sources,
        header.skeleton,
        has_sigmas=setup.options.sigmas is not None,
    )
    return [*notes, *inputs.notes(), *inputs.pairing_notes()]
