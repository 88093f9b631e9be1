"""The arrays behind the numbers of an audit: of all photos or, of very many, of those drawn by their ids."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.draws import Findings
from trustpose.images import draw_number
from trustpose.io.coco.results import ResultsFile, joined_files, of_photos
from trustpose.io.coco.truth import TruthFile
from trustpose.poses import Poses, Truth

MOST_PHOTOS = 5_000


@dataclass(frozen=True, eq=False)
class Draws:
    """Every number with an interval in each of B bootstrap draws: `values` by dotted name, each (B,).

    Audits over the same images `image_id` (I,) with the same `seed` have the same images in every draw.
    """

    values: dict[str, Float[np.ndarray, " B"]]
    image_id: Int[np.ndarray, " I"]
    seed: int


@dataclass(frozen=True, eq=False)
class Details:
    """Arrays behind the numbers, for plots, pictures and comparisons; not part of the JSON. Photos ascend by their ids.

    `pose_score` (N,) is what is compared with OKS; `person` (N,) is each pose's matched truth row or -1; `oks` (N,) its
    OKS with that person, NaN if unmatched or without labels. `measured` (n,) are the rows behind the trust numbers,
    with `keypoint_score`, `opks`, `labelled` (n, K). `precision_75` maps an occlusion benchmark to interpolated
    precision (101,) at OKS 0.75, ranked by score and by the true OKS.
    """

    poses: Poses
    truth: Truth
    pose_score: Float[np.ndarray, " N"]
    person: Int[np.ndarray, " N"]
    oks: Float[np.ndarray, " N"]
    measured: Int[np.ndarray, " n"]
    keypoint_score: Float[np.ndarray, "n K"]
    opks: Float[np.ndarray, "n K"]
    labelled: Bool[np.ndarray, "n K"]
    sigmas: Float[np.ndarray, " K"]
    keypoint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    file_names: dict[int, str]
    precision_75: dict[str, tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]]
    draws: Draws
    has_number_ids: bool = True  # of photos, whose ids are otherwise texts, numbered


@dataclass(frozen=True, eq=False)
class _Piece:
    """The photos of a batch that are kept."""

    truth: TruthFile
    results: ResultsFile
    pose_score: np.ndarray
    person: np.ndarray
    oks: np.ndarray
    measured: np.ndarray
    keypoint_score: np.ndarray
    opks: np.ndarray
    labelled: np.ndarray

    def of_photos(self, image_id: Int[np.ndarray, " i"]) -> "_Piece":
        """Return what belongs to these photos."""
        truth, results, people, poses = of_photos(self.truth, self.results, image_id)
        number = np.cumsum(people) - 1
        person = self.person[poses]
        rows, measured = poses[self.measured], np.cumsum(poses) - 1
        return replace(
            self,
            truth=truth,
            results=results,
            pose_score=self.pose_score[poses],
            person=np.where(person >= 0, number[person], -1),
            oks=self.oks[poses],
            measured=measured[self.measured[rows]],
            keypoint_score=self.keypoint_score[rows],
            opks=self.opks[rows],
            labelled=self.labelled[rows],
        )


class KeptPhotos:
    """Collects `Details` of at most `MOST_PHOTOS` photos: which, depends on their ids alone."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._photos, self._kept_photos, self._limit = 0, 0, np.uint64(2**64 - 1)
        self._batch: Batch | None = None

    def add(self, batch: Batch) -> None:
        """Keep a batch of whole photos."""
        self._batch = batch
        self._photos += len(batch.image_id)
        piece = _Piece(
            truth=batch.file,
            results=batch.results,
            pose_score=batch.pose_score,
            person=batch.person,
            oks=batch.oks,
            measured=batch.rows,
            keypoint_score=batch.keypoint_score,
            opks=batch.opks,
            labelled=batch.labelled,
        )
        self._pieces.append(self._drawn(piece))
        self._kept_photos += len(self._pieces[-1].truth.images)
        if self._kept_photos > 2 * MOST_PHOTOS:
            self._draw()

    def _drawn(self, piece: _Piece) -> _Piece:
        ids = piece.truth.images.id
        inside = draw_number(ids) < self._limit
        return piece if inside.all() else piece.of_photos(ids[inside])

    def _draw(self) -> None:
        """Leave out all photos but `MOST_PHOTOS`."""
        numbers = np.concatenate([draw_number(piece.truth.images.id) for piece in self._pieces])
        if len(numbers) > MOST_PHOTOS:
            self._limit = np.partition(numbers, MOST_PHOTOS)[MOST_PHOTOS]
            self._pieces = [self._drawn(piece) for piece in self._pieces]
            self._kept_photos = sum(len(piece.truth.images) for piece in self._pieces)

    def result(
        self, findings: Findings, precision_75: dict[str, tuple[np.ndarray, np.ndarray]], header: TruthFile
    ) -> Details:
        """Return the details, with a note if not all photos are kept."""
        self._draw()
        assert self._batch is not None
        if self._kept_photos < self._photos:
            findings.notes.append(
                f"plots and pictures show {self._kept_photos:,} of {self._photos:,} photos, sampled by their ids; all "
                "numbers are of all photos"
            )
        truth, results = joined_files([(piece.truth, piece.results) for piece in self._pieces])
        people = np.cumsum([0, *(len(piece.truth.truth) for piece in self._pieces[:-1])])
        poses = np.cumsum([0, *(len(piece.results.poses) for piece in self._pieces[:-1])])
        shifted = zip(self._pieces, people, poses, strict=True)
        person, measured = zip(
            *[(np.where(piece.person >= 0, piece.person + m, -1), piece.measured + n) for piece, m, n in shifted],
            strict=True,
        )
        columns = {
            name: np.concatenate([getattr(piece, name) for piece in self._pieces])
            for name in ("pose_score", "oks", "keypoint_score", "opks", "labelled")
        }
        resampling, skeleton = findings.resampling, header.skeleton
        return Details(
            poses=results.poses,
            truth=truth.truth,
            person=np.concatenate(person),
            measured=np.concatenate(measured),
            **columns,
            sigmas=self._batch.sigmas,
            keypoint_names=header.keypoint_names,
            edges=() if skeleton is None else skeleton.edges,
            flip_pairs=() if skeleton is None else skeleton.flip_pairs,
            file_names=truth.images.names(),
            precision_75=precision_75,
            draws=Draws(findings.draws, resampling.image_id, resampling.seed),
            has_number_ids=header.image_texts.are_numbers,
        )
