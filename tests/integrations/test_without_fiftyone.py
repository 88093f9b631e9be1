"""Without FiftyOne its functions name the install line."""

import sys

import numpy as np
import pytest

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.integrations.fiftyone import fiftyone_samples, from_fiftyone, to_fiftyone
from trustpose.poses import Poses


def test_what_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    poses = Poses(xy=np.zeros((1, 3, 2)), image_id=np.array([1]))
    for call in (lambda: to_fiftyone(poses, []), lambda: fiftyone_samples(poses), lambda: from_fiftyone([])):
        with pytest.raises(InputError) as error:
            call()
        assert str(error.value) == not_installed("fiftyone", "fiftyone")
