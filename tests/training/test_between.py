import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trustpose.files import InputError
from trustpose.training.network_task import interpolate_weights
from trustpose.training.recipe import with_overrides
from trustpose.training.recipes import find_recipe
from trustpose.training.tasks import make_task


@given(st.floats(0, 1))
def test_weights_lie_between_and_counters_are_the_trained_ones(share: float) -> None:
    start = {"weight": torch.tensor([0.0, 2.0]), "num_batches_tracked": torch.tensor(1)}
    trained = {"weight": torch.tensor([1.0, -2.0]), "num_batches_tracked": torch.tensor(9)}
    mixed = interpolate_weights(start, trained, share)
    torch.testing.assert_close(mixed["weight"], torch.tensor([1 - share, -2 + 4 * share]), atol=1e-6, rtol=0)
    assert mixed["num_batches_tracked"] == 9


def test_none_of_the_start_needs_no_start() -> None:
    trained = {"weight": torch.ones(2)}
    assert interpolate_weights({}, trained, 0.0)["weight"] is trained["weight"]


def test_only_networks_that_train_keep_their_start(tmp_path) -> None:
    recipe = with_overrides(find_recipe("frozen-trust"), {"train.weight_interpolation": "0.5"})
    with pytest.raises(InputError, match="is for training networks, expected 0 with system frozen"):
        make_task(recipe, tmp_path, None, tmp_path)
