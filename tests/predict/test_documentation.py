"""The specs that docs/networks.md shows are those that are read."""

import json
import re
from dataclasses import replace

import pytest

from tests.conftest import REPOSITORY
from tests.predict.tiny_boxes import PICODET
from trustpose.models.outputs import kinds
from trustpose.models.outputs.centres import CentreOutput
from trustpose.models.outputs.composite_fields import CompositeOutput
from trustpose.models.outputs.disks import DiskOutput
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.outputs.tags import TagOutput
from trustpose.models.spec import BoxOutput, ModelSpec, SimCCOutput
from trustpose.skeletons import COCO_17

BLOCKS = re.findall(r"```json\n(.*?)```", (REPOSITORY / "docs" / "networks.md").read_text(), re.DOTALL)


PHOTO_MAPS = [kind.kind for kind in kinds.PHOTO_MAPS]
KIND = [json.loads(block)["output"]["kind"] for block in BLOCKS]


@pytest.mark.parametrize(
    "block",
    [
        block
        for block, kind in zip(BLOCKS, KIND, strict=True)
        if kind not in ("boxes", "box-list", "simcc", "surfaces", "volumes", *PHOTO_MAPS)
    ],
)
def test_documented_specs_are_read(tmp_path, data_dir, block):
    name = json.loads(block)["onnx"].removesuffix(".onnx")
    (tmp_path / f"{name}.json").write_text(block)
    shown, real = ModelSpec.read(tmp_path / f"{name}.json"), ModelSpec.read(data_dir / "networks" / f"{name}.json")
    assert (shown.input, shown.output, shown.skeleton) == (real.input, real.output, real.skeleton)


def test_every_kind_is_documented():
    assert sorted(KIND) == sorted(kinds.KINDS)


def test_the_documented_detector_is_what_training_makes(tmp_path):
    pytest.importorskip("torch", reason="the train extra is not installed")
    from trustpose.training.detector_task import detector_spec
    from trustpose.training.recipes import RECIPES

    block = BLOCKS[KIND.index("boxes")]
    (tmp_path / "mydetector.json").write_text(block)
    shown, made = ModelSpec.read(tmp_path / "mydetector.json"), detector_spec(RECIPES["movenet-detector"], tmp_path)
    assert shown.input == made.input and isinstance(made.output, BoxOutput)
    assert shown.output == replace(made.output, name=None)


def test_the_documented_picodet_is_the_one_tested():
    assert json.loads(BLOCKS[KIND.index("box-list")]) == PICODET


def test_the_documented_fields_are_openposes(tmp_path):
    (tmp_path / "fields.json").write_text(BLOCKS[KIND.index("fields")])
    output = ModelSpec.read(tmp_path / "fields.json").output
    assert isinstance(output, FieldOutput) and output.keypoints == 18
    assert len(output.limbs) == 19 and {output.limbs[at] for at in output.redundant} == {(2, 16), (5, 17)}


@pytest.mark.parametrize("kind", [TagOutput, CentreOutput])
def test_the_documented_tags_and_centres_have_the_documented_defaults(tmp_path, kind):
    block = BLOCKS[KIND.index(kind.kind)]
    (tmp_path / "network.json").write_text(block)
    output = ModelSpec.read(tmp_path / "network.json").expect(kind)
    same = replace(output, stride=4.0)
    if isinstance(same, TagOutput):
        same = replace(same, tag_stride=None, fill=False)
        assert output.shapes(512, 256) == [(1, 17, 128, 256), (1, 17, 64, 128)] and output.order == same.order
    assert same == (TagOutput(17, 4.0, same.order) if isinstance(same, TagOutput) else CentreOutput(17, 4.0))


def test_the_documented_composite_fields_have_the_documented_defaults(tmp_path):
    (tmp_path / "network.json").write_text(BLOCKS[KIND.index("composite-fields")])
    output = ModelSpec.read(tmp_path / "network.json").output
    assert output == CompositeOutput(17, 4.0, COCO_17.edges)


def test_the_documented_disks_have_the_documented_defaults(tmp_path):
    (tmp_path / "network.json").write_text(BLOCKS[KIND.index("disks")])
    output = ModelSpec.read(tmp_path / "network.json").output
    assert output == DiskOutput(17, 4.0, COCO_17.edges, tuple(COCO_17.sigmas.tolist()))


def test_the_documented_volumes_are_what_training_makes(tmp_path):
    pytest.importorskip("torch", reason="the train extra is not installed")
    from trustpose.training.recipes import RECIPES
    from trustpose.training.volume_task import volume_codec, volume_spec

    (tmp_path / "volumes.json").write_text(BLOCKS[KIND.index("volumes")])
    shown, recipe = ModelSpec.read(tmp_path / "volumes.json"), RECIPES["single-person/human36m/i1-stage-2"]
    made = volume_spec(recipe, volume_codec(recipe), tmp_path)
    assert (shown.input, shown.padding, shown.skeleton) == (made.input, made.padding, made.skeleton)
    assert shown.output == replace(made.output, name=None)


def test_the_documented_simcc_network_is_rtmpose(tmp_path):
    (tmp_path / "rtmpose.json").write_text(BLOCKS[KIND.index("simcc")])
    spec = ModelSpec.read(tmp_path / "rtmpose.json")
    assert spec.output == SimCCOutput(17, flip_shift=0)
    assert [one / 255 for one in spec.input.mean] == pytest.approx([0.485, 0.456, 0.406])
