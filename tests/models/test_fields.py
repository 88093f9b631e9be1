"""Specs of bottom-up networks: they read as they were written, and every broken field is named."""

import json

import pytest

from tests.predict.tiny_fields import (
    made_up_people,
    write_boxed,
    write_centres,
    write_composites,
    write_disks,
    write_fields,
    write_tags,
)
from trustpose.files import InputError
from trustpose.models.outputs.boxed import BoxedOutput
from trustpose.models.outputs.centres import CentreOutput
from trustpose.models.outputs.composite_fields import CompositeOutput
from trustpose.models.outputs.disks import DiskOutput
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.outputs.tags import TagOutput
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
    with pytest.raises(InputError, match=rf"fields.json: field 'output\.{field}['.]"):
        ModelSpec.read(path)


def test_tags_there_and_back(tmp_path):
    path = write_tags(tmp_path, *made_up_people(1))
    spec = ModelSpec.read(path)
    output = spec.expect(TagOutput)
    assert output_kind(path) == "tags" and spec.people == "photo" and output.describe() == "people of a photo, by tags"
    assert output.order[:8] == (0, 1, 2, 3, 4, 5, 6, 11) and output.tag_stride is None and not output.fill
    text = spec.to_json()
    text["output"] |= {"order": list(range(17)), "tag_stride": 8, "fill": True, "most": 7, "tag_threshold": 0.5}
    path.with_suffix(".json").write_text(json.dumps(text))
    other = ModelSpec.read(path)
    output = other.expect(TagOutput)
    grouping = output.grouping
    assert (grouping.order, grouping.max_people, grouping.tag_threshold) == (tuple(range(17)), 7, 0.5)
    path.with_suffix(".json").write_text(json.dumps(other.to_json()))
    assert ModelSpec.read(path) == other != spec


def test_centres_there_and_back(tmp_path):
    path = write_centres(tmp_path, *made_up_people(1))
    spec = ModelSpec.read(path)
    output = spec.expect(CentreOutput)
    assert output_kind(path) == "centres" and output.describe() == "people of a photo, by their centres, with boxes"
    text = spec.to_json()
    text["output"] |= {"reach": 0.1, "most": 7, "min_score": 0.4, "min_peak": 0.2, "offset": 1.5}
    path.with_suffix(".json").write_text(json.dumps(text))
    other = ModelSpec.read(path)
    codec = other.expect(CentreOutput).codec(64, 48)
    assert (codec.reach, codec.max_people, codec.min_score, codec.min_peak, codec.heatmaps.offset) == (
        0.1,
        7,
        0.4,
        0.2,
        1.5,
    )
    path.with_suffix(".json").write_text(json.dumps(other.to_json()))
    assert ModelSpec.read(path) == other != spec


def test_boxed_there_and_back(tmp_path):
    path = write_boxed(tmp_path, *made_up_people(1))
    spec = ModelSpec.read(path)
    output = spec.expect(BoxedOutput)
    assert output_kind(path) == "boxed" and output.describe() == "people of a photo, by boxes and keypoints"
    text = spec.to_json()
    text["output"] |= {"overlap": 0.5, "most": 7, "min_score": 0.4, "residual": "residual.onnx"}
    path.with_suffix(".json").write_text(json.dumps(text))
    other = ModelSpec.read(path)
    assert other.expect(BoxedOutput).describe().endswith("with a pose residual network")
    path.with_suffix(".json").write_text(json.dumps(other.to_json()))
    assert ModelSpec.read(path) == other != spec


def test_composite_fields_there_and_back(tmp_path):
    path = write_composites(tmp_path, *made_up_people(1))
    spec = ModelSpec.read(path)
    output = spec.expect(CompositeOutput)
    assert output_kind(path) == "composite-fields" and output.limbs == COCO_17.edges
    assert output.describe() == "people of a photo, by composite fields of 19 limbs"
    text = spec.to_json()
    text["output"] |= {"limbs": [[0, 1], [5, 7]], "min_link": 0.1, "suppression": 2, "reverse": False, "min_parts": 5}
    path.with_suffix(".json").write_text(json.dumps(text))
    changed = ModelSpec.read(path)
    grouping = changed.expect(CompositeOutput).grouping
    assert (grouping.limbs, grouping.min_link, grouping.suppression) == (((0, 1), (5, 7)), 0.1, 2.0)
    assert (grouping.reverse, grouping.min_parts, grouping.min_radius) == (False, 5, 4.0)
    path.with_suffix(".json").write_text(json.dumps(changed.to_json()))
    assert ModelSpec.read(path) == changed != spec


def test_disks_there_and_back(tmp_path):
    path = write_disks(tmp_path, *made_up_people(1))
    spec = ModelSpec.read(path)
    output = spec.expect(DiskOutput)
    assert output_kind(path) == "disks" and output.limbs == COCO_17.edges
    assert output.sigmas == tuple(COCO_17.sigmas.tolist()) and list(output.tensors) == ["disks", "short", "middle"]
    assert output.describe() == "people of a photo, by disks and offsets along 19 limbs"
    text = spec.to_json()
    text["output"] |= {"limbs": [[0, 1], [5, 7]], "sigmas": [0.1] * 17, "radius": 8, "nms_radius": 5, "min_vote": 0.2}
    text["output"] |= {"person": "people", "long": "way"}
    path.with_suffix(".json").write_text(json.dumps(text))
    changed = ModelSpec.read(path)
    output = changed.expect(DiskOutput)
    assert (output.codec.limbs, output.codec.radius) == (((0, 1), (5, 7)), 8)
    assert (output.grouping.nms_radius, output.grouping.sigmas) == (5, (0.1,) * 17)
    assert output.shapes(64, 32) == [(1, count, 8, 16) for count in (17, 34, 8, 1, 34)]
    assert output.describe().endswith("along 2 limbs, with masks")
    path.with_suffix(".json").write_text(json.dumps(changed.to_json()))
    assert ModelSpec.read(path) == changed != spec


WRONG_OTHERS = [
    *((write_disks, "limbs", value) for value in ([], [[0, 17]], [[0, 1], [1, 0]])),
    *((write_disks, "sigmas", value) for value in ([0.1] * 16, [0.1] * 16 + [0], "coco")),
    (write_disks, "min_vote", 1.5),
    (write_disks, "short", "disks"),
    (write_disks, "radius", 0),
    (write_disks, "min_seed", 0),
    (write_disks, "nms_radius", -1),
    *((write_composites, "limbs", value) for value in ([], [[0, 0]], [[0, 17]], [[0, 1], [1, 0]])),
    (write_composites, "association", "intensity"),
    (write_composites, "min_confidence", 1.5),
    (write_composites, "min_parts", 0),
    (write_composites, "reverse", 1),
    *((write_boxed, "residual", value) for value in ("../residual.onnx", 1)),
    (write_boxed, "stride", 7.5),
    (write_boxed, "joints", "joints"),
    *((write_tags, "order", value) for value in ([], [0], list(range(1, 18)), "coco", [*range(16), 16.0])),
    (write_tags, "tag_stride", 7),
    (write_tags, "tags", "heatmaps"),
    (write_tags, "fill", "yes"),
    (write_tags, "tag_threshold", -1),
    (write_tags, "most", 0),
    (write_tags, "limbs", [[0, 1]]),
    (write_centres, "stride", 1.5),
    (write_centres, "heatmaps", "centre"),
    (write_centres, "reach", -0.1),
    (write_centres, "min_score", -1),
    (write_centres, "most", 0),
]


@pytest.mark.parametrize("field", ["person", "long"])
def test_masks_need_both_of_their_maps(tmp_path, field):
    path = write_disks(tmp_path, *made_up_people(1), **{field: field})
    missing = {"person": "long", "long": "person"}[field]
    with pytest.raises(InputError, match=rf"disks.json: field 'output.{missing}': expected both person and long"):
        ModelSpec.read(path)


@pytest.mark.parametrize(("write", "field", "value"), WRONG_OTHERS)
def test_wrong_fields_of_tags_and_centres_are_named(tmp_path, write, field, value):
    path = write(tmp_path, *made_up_people(1), **{field: value})
    with pytest.raises(InputError, match=rf"{path.stem}\.json: field 'output\.{field}['.]"):
        ModelSpec.read(path)
