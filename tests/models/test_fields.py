"""Specs of networks with part affinity fields: they read as they were written, and every broken field is named."""

import json

import pytest

from tests.predict.tiny_fields import made_up_people, write_fields
from trustpose.files import InputError
from trustpose.models.field_output import FieldOutput
from trustpose.models.spec import ModelSpec, output_kind
from trustpose.skeletons import COCO_17


@pytest.fixture
def path(tmp_path):
    return write_fields(tmp_path, *made_up_people(1))


def test_there_and_back(path):
    spec = ModelSpec.read(path)
    output = spec.expect(FieldOutput)
    assert output_kind(path) == "fields" and spec.people == "photo"
    assert output.limbs == COCO_17.edges and (output.min_parts, output.min_score) == (4, 0.4)
    text = spec.to_json()
    path.with_suffix(".json").write_text(json.dumps(text))
    assert ModelSpec.read(path) == spec
    own = {"limbs": [[0, 1], [5, 7]], "redundant": [1], "order": "scores", "matching": "optimal", "background": True}
    text["output"] |= own
    path.with_suffix(".json").write_text(json.dumps(text))
    output = ModelSpec.read(path).expect(FieldOutput)
    assert output.limbs == ((0, 1), (5, 7)) and output.grouping.redundant == {1} and output.background
    assert (output.grouping.order, output.grouping.matching) == ("scores", "optimal")
    assert output.describe() == "people of a photo, by part affinity fields of 2 limbs"


WRONG = [
    *(("limbs", value) for value in ([], [[0, 0]], [[0, 17]], [[0, 1], [1, 0]], [0, 1], "all", [[0, True]])),
    *(("redundant", value) for value in ([19], [-1], 3, [0.0])),
    *(("stride", value) for value in (7, 0, "8")),
    ("fields", "heatmaps"),
    ("keypoints", 16),
    ("decoding", "udp"),
    ("matching", "best"),
    ("order", "size"),
    ("background", 1),
    ("min_share", 1.0),
    ("min_parts", 0),
    ("min_peak", -1),
    ("paf", 1),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_fields_are_named(path, field, value):
    json_path = path.with_suffix(".json")
    text = json.loads(json_path.read_text())
    text["output"][field] = value
    json_path.write_text(json.dumps(text))
    with pytest.raises(InputError, match=f"fields.json: field 'output.{field}'"):
        ModelSpec.read(path)
