"""The joints of other people in training crops, for CrowdPose's targets (`codecs.joint_candidates`)."""

from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from trustpose.codecs.joint_candidates import OtherJoints
from trustpose.datasets.augment import TrainingCrop
from trustpose.datasets.people import People
from trustpose.files import InputError
from trustpose.geometry.crops import transform


class OtherPeople:
    """Looks up who else is on a crop's photo, among the people of the training data."""

    def __init__(self, people: People):
        self.people = people
        self.flip_index = people.skeleton.flip_index

    @cached_property
    def _photo(self) -> Int[np.ndarray, " N"]:
        """The number of each person's photo; image ids of different sources are different photos."""
        both = np.stack([self.people.source, self.people.image_id], axis=1)
        return np.unique(both, axis=0, return_inverse=True)[1].ravel()

    @cached_property
    def _rows(self) -> dict[int, Int[np.ndarray, " P"]]:
        order = np.argsort(self._photo, kind="stable")
        starts = np.flatnonzero(np.diff(self._photo[order], prepend=-1))
        return dict(enumerate(np.split(order, starts[1:])))

    @cached_property
    def _row_of_person(self) -> dict[tuple[int, int], int]:
        """The row of a person by its ids. Raises InputError if two data sets have the same ids."""
        ids = list(zip(self.people.image_id.tolist(), self.people.annotation_id.tolist(), strict=True))
        rows = {ids_of_person: row for row, ids_of_person in enumerate(ids)}
        if len(rows) < len(ids):
            raise InputError("data.interference: expected people with ids of their own, two have the same")
        return rows

    def of(self, crop: TrainingCrop, affine: Float[np.ndarray, "2 3"] | None = None) -> OtherJoints:
        """Return the labelled joints of everybody else on a crop's photo, in the crop's pixels and joint order.

        `affine`: of another crop of that person, mirrored alike, in whose pixels they are instead.
        """
        affine = crop.affine if affine is None else affine
        row = self._row_of_person[crop.image_id, crop.annotation_id]
        rows = self._rows[int(self._photo[row])]
        rows = rows[rows != row]
        order = np.arange(crop.xy.shape[0])
        if np.linalg.det(affine[:, :2]) < 0:  # a mirrored crop: left joints are right ones
            order = self.flip_index
        labels = self.people.labels
        xy = transform(affine, labels.xy[rows].reshape(-1, 2)).reshape(len(rows), len(order), 2)
        return OtherJoints(xy[:, order], (labels.v[rows] > 0)[:, order])
