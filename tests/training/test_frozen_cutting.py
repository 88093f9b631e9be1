"""Trust heads are trained on affine crops, so networks that are fed others are refused."""

import pytest

from tests.people_cases import write_training_folder
from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.training.frozen_task import frozen_task
from trustpose.training.recipes import find_recipe


def test_a_network_of_whole_pixels_gets_no_head(tmp_path):
    data = write_training_folder(tmp_path / "data", photos=2)
    model = write_network(tmp_path / "network", crop={"padding": 1.0, "cutting": "whole-pixels"})
    with pytest.raises(InputError, match=r"its crop.cutting is whole-pixels; heads are trained on affine crops only"):
        frozen_task(find_recipe("simplepose-trust"), data, model, tmp_path / "out")
