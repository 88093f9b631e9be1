"""Audit results that do not fit into memory: the numbers of `build.audit`, as far as counts, exact sums and a merge of
sorted poses give them, which are equal to the last digit."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.evaluation.batch_precision import BatchPrecision
from trustpose.evaluation.benchmarks import occlusion_groups
from trustpose.evaluation.joined_batches import Joined
from trustpose.evaluation.notes import convention_notes, id_notes, keypoint_number_notes, pairing_notes
from trustpose.evaluation.paired_results import PairedResults, measure
from trustpose.evaluation.presence import PresenceSums
from trustpose.evaluation.record import AuditRecord, Errors, OcclusionBenchmark, VisibilityTrust
from trustpose.evaluation.sections import keypoint_number_counts, pairing_counts
from trustpose.evaluation.sums import RANKED_BY, KeypointSums, PoseSums, audited_pose_score, keypoint_source
from trustpose.evaluation.visibility import no_occluded, no_ternary, nothing
from trustpose.evaluation.visibility_sums import NOT_TERNARY, VisibilitySums
from trustpose.formats.coco import ResultsFile, TruthFile
from trustpose.formats.coco.results_in_batches import ResultsParts, open_results
from trustpose.formats.coco.truth import area_convention
from trustpose.formats.coco.truth_in_batches import TruthBatches, open_truth
from trustpose.formats.parquet_sorting import sort_by_photo
from trustpose.metrics.diagnosis import DIAGNOSED, diagnose
from trustpose.metrics.diagnosis_impact import STAGES
from trustpose.metrics.pixel_error import pixel_trust
from trustpose.poses import Area
from trustpose.skeletons import Skeleton

LEFT_OUT = (
    "in batches, left out: all intervals, and numbers that need all values at once: pose.spearman, "
    "pose.ece_equal_mass, keypoint.ece_equal_mass, presence.auroc, visibility.occluded, visibility.labelled by a raw "
    "score, pixels, errors.ap_gain, crowd, localisation, tracking"
)


@dataclass
class _Totals:
    """What is summed over batches beside the trust numbers."""

    images: int = 0
    people: int = 0
    with_keypoints: int = 0
    pairing: np.ndarray = field(default_factory=lambda: np.zeros(5, np.int64))  # as `sections.pairing_counts`
    keypoint_numbers: np.ndarray = field(default_factory=lambda: np.zeros(3, np.int64))
    with_id_0: int = 0
    in_benchmark: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=lambda: {kind.name.lower(): 0 for kind in DIAGNOSED})


def audit_in_batches(
    ground_truth: str | Path,
    results: str | Path,
    *,
    area: str = "auto",
    score: str | None = None,
    category: str | int | None = None,
    skeleton: Skeleton | None = None,
    sigmas: Float[np.ndarray, " L"] | None = None,
    tick: Any = lambda _: None,
) -> AuditRecord:
    """Audit Parquet results, one file or a folder of parts, against a ground truth in COCO's JSON, which is read at
    once, or in Parquet (`formats.coco.truth_in_batches`).

    Options are as for `audit`. Rows that are not in ascending order of their photos are sorted in temporary files
    first, twice the size of the results. `notes` names what is left out. `tick` is called with a number of results
    done. Raises InputError, and DiskError if there is no space for temporary files.
    """
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trustpose-"))) for _ in range(2)]
        truth = open_truth(ground_truth, category, skeleton, folders[0])
        convention = area_convention(truth.header.path, area, truth.areas, has_boxes=truth.has_boxes)
        used = truth.header.sigmas(sigmas)
        read = open_results(
            results, keypoint_count=len(truth.header.keypoint_names), score_field=score or RANKED_BY, is_ordered=False
        )
        read = replace(read, parts=sort_by_photo(read.parts, folders[1]))
        sums = _Sums(truth, convention, used, score, stack)
        for people, poses in Joined(truth, read):
            sums.add(people, poses)
            tick(len(poses.poses))
        return sums.record(read, area, sigmas)


class _Sums:
    """Everything that batches add to, and the record that follows."""

    def __init__(
        self, truth: TruthBatches, area: Area, sigmas: np.ndarray, score: str | None, stack: ExitStack
    ) -> None:
        self._truth, self._area, self._sigmas, self._score, self._pose_field = truth, area, sigmas, score, ""
        self._presence = PresenceSums()
        self._by_score, self._by_oks = (stack.enter_context(BatchPrecision()) for _ in range(2))
        self._pose, self._keypoint, self._visibility = PoseSums(), KeypointSums(len(sigmas)), VisibilitySums()
        self._totals, self._source = _Totals(), ""

    def add(self, truth: TruthFile, results: ResultsFile) -> None:
        """Count a batch of whole photos with all their people and results."""
        pose_score, self._pose_field = audited_pose_score(results, self._score)
        self._presence.add(truth, results.poses)
        with np.errstate(over="ignore"):  # a keypoint at 1e300 overflows to infinity, and its OKS is 0
            measured = measure(
                *(results.poses, truth.truth, results.score, truth.images.id),
                pose_score=pose_score,
                sigmas=self._sigmas,
                area=self._area,
                replicates=0,
                seed=0,
            )
            self._by_score.count(measured, measured.score)
            self._by_oks.count(measured, measured.oracle_score())
            for one in (self._pose, self._keypoint, self._visibility):
                one.add(measured)
            self._count(truth, measured)

    def _count(self, truth: TruthFile, measured: PairedResults) -> None:
        totals, people, poses = self._totals, truth.truth, measured.poses
        assert people.num_keypoints is not None and people.iscrowd is not None and people.annotation_id is not None
        totals.images += len(truth.images)
        totals.people += len(people)
        totals.with_keypoints += int((people.num_keypoints > 0).sum())
        totals.pairing += np.array(pairing_counts(measured))
        totals.keypoint_numbers += np.array(keypoint_number_counts(people))
        totals.with_id_0 += int((people.annotation_id == 0).sum())
        for name, inside in occlusion_groups(people).items():
            totals.in_benchmark[name] = totals.in_benchmark.get(name, 0) + int((inside & ~people.iscrowd).sum())
        skeleton = self._truth.header.skeleton
        flip_index = np.arange(people.keypoint_count) if skeleton is None else skeleton.flip_index
        diagnosis = diagnose(
            *(poses, people, measured.score),
            sigmas=self._sigmas,
            flip_index=flip_index,
            area=self._area,
            pairs=measured.pairs,
        )
        for name, count in diagnosis.counts().items():
            totals.errors[name] += count
        self._source = keypoint_source(measured)

    def record(self, read: ResultsParts, asked: str, sigmas: np.ndarray | None) -> AuditRecord:
        """Return the audit."""
        notes = [*self._notes(asked, sigmas), LEFT_OUT]
        (ap, groups), (oracle_ap, oracle_groups) = self._by_score.summary(), self._by_oks.summary()
        totals, header = self._totals, self._truth.header
        return AuditRecord(
            ap=ap,
            oracle_ap=oracle_ap,
            headroom=None if ap.AP == -1 else oracle_ap.AP - ap.AP,
            pose=self._pose.trust(self._pose_field, notes),
            keypoint=self._keypoint.trust(self._source, notes),
            visibility=self._visibility_trust(notes),
            presence=self._presence.trust(notes),
            pixels=pixel_trust(np.zeros(0), np.zeros(0)),
            errors=Errors(**totals.errors, ap_gain=dict.fromkeys(STAGES)),
            occlusion={
                name: OcclusionBenchmark(_or_none(groups[name]), _or_none(oracle_groups[name]), count)
                for name, count in totals.in_benchmark.items()
            },
            crowd={},
            categories={},
            keypoint_types=self._keypoint.types(header.keypoint_names),
            intervals={},
            area=self._area,
            score_field=self._score or RANKED_BY,
            pose_field=self._pose_field,
            inputs={
                "ground_truth": {
                    "file": header.path,
                    "sha256": header.sha256 or None,
                    "images": totals.images,
                    "people": totals.people,
                    "people_with_keypoints": totals.with_keypoints,
                    "left_out": None,
                },
                "results": {
                    "file": read.path,
                    "sha256": None,
                    "results": int(totals.pairing[0]),
                    "paired": int(totals.pairing[0] - totals.pairing[1]),
                    "left_out": None,
                },
            },
            notes=tuple(notes),
        )

    def _visibility_trust(self, notes: list[str]) -> VisibilityTrust:
        source = self._visibility.source(notes)
        if source is None or source == "score":
            return nothing()
        if not self._truth.header.has_visibility:
            notes.append(NOT_TERNARY)
            return VisibilityTrust(self._visibility.labelled(source), no_ternary(), no_occluded())
        return VisibilityTrust(self._visibility.labelled(source), self._visibility.ternary(source), no_occluded())

    def _notes(self, asked: str, sigmas: np.ndarray | None) -> list[str]:
        header, totals, notes = self._truth.header, self._totals, list(self._truth.header.notes)
        notes += convention_notes(self._area, asked, self._truth.areas, header.skeleton, has_sigmas=sigmas is not None)
        notes += keypoint_number_notes(*totals.keypoint_numbers.tolist())
        return [*notes, *id_notes(totals.with_id_0), *pairing_notes(*totals.pairing.tolist())]


def _or_none(value: float) -> float | None:
    return None if value == -1 else value
