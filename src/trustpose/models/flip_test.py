"""The flip test of a model: its outputs for crops, averaged with those for mirrored crops."""

from jaxtyping import Int
from numpy import ndarray

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.models.spec import ModelSpec


def average_flipped(
    spec: ModelSpec, outputs: Outputs, mirrored: Outputs, flip_index: Int[ndarray, " K"], padding: float | None = None
) -> Outputs:
    """Average outputs for crops with those for mirrored crops, which have another `padding` than the spec's if that is
    given; as the model's codec does. Raises InputError for a model that is not for crops."""
    codec = spec.codec
    if padding is None or not isinstance(codec, HeatmapCodec):
        return codec.average_flipped(outputs, mirrored, flip_index)
    assert isinstance(spec.padding, float)  # the spec's reader refuses others
    return codec.average_flipped(outputs, mirrored, flip_index, padding / spec.padding)
