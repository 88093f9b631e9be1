"""Specs: the published ones read, and every broken field is named."""

# an output of another kind fails the test

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.tiny_onnx import write_network
from trustpose.codecs.coordinates import CoordinateCodec
from trustpose.codecs.heatmaps import DECODINGS, HeatmapCodec
from trustpose.files import InputError
from trustpose.models.spec import CoordinateOutput, HeatmapOutput, ModelSpec, PeopleOutput
from trustpose.skeletons import COCO_17, skeleton_value


def test_a_spec_beside_its_network(tmp_path):
    path = write_network(tmp_path)
    spec = ModelSpec.read(path)
    assert spec == ModelSpec.read(tmp_path / "colours.json")
    assert spec.onnx == path and spec.skeleton.name == "coco17" and spec.padding == 1.0
    assert spec.input.std == (100.0, 100.0, 100.0) and spec.output == HeatmapOutput(17, 64, 48, 4.0)


def test_specs_of_real_networks(data_dir):
    spec = ModelSpec.read(data_dir / "networks" / "simplepose.onnx")
    assert isinstance(spec.output, HeatmapOutput) and (spec.output.height, spec.output.width) == (64, 48)
    assert spec.input.scale == 1 / 255
    spec = ModelSpec.read(data_dir / "networks" / "movenet-thunder.onnx")
    assert spec.output == CoordinateOutput(17, ("y", "x", "score"), True) and spec.padding == 1.25
    spec = ModelSpec.read(data_dir / "networks" / "movenet-multipose.onnx")
    assert isinstance(spec.output, PeopleOutput) and spec.people == "photo" and spec.input.multiple == 32


WRONG = [
    *(("skeleton", value) for value in ("coco", 17, None, ["coco17"])),
    *(("input.height", value) for value in (0, -1, 64.5, "64", True, 1e9, None)),
    *(("input.layout", value) for value in ("CHW", 1, {})),
    *(("input.dtype", value) for value in ("float", 32)),
    *(("input.channels", value) for value in ("GRAY", [])),
    *(("input.scale", value) for value in (0, -1, 1e-300, "1/0", "1/", "a", "", "1e999", "nan", [1], True)),
    ("input.scale", "1e-400000000"),  # as an exact fraction it would take minutes and gigabytes
    *(("input.mean", value) for value in ([1, 2], [1, 2, "3"], 0, [[1], 2, 3], [0, 0, 1e300])),
    *(("input.std", value) for value in ([1, 1, 0], [1, -1, 1], [1, 1e-300, 1])),
    *(("input.name", value) for value in ("", 1)),
    ("input", 1),
    ("crop", []),
    ("output", "heatmaps"),
    *(("output.kind", value) for value in ("points", 1)),
    *(("output.keypoints", value) for value in (16, 17.5, "17")),
    *(("output.stride", value) for value in (0, 8, "4")),
    ("output.name", 3),
    *(("crop.padding", value) for value in (0, -1, 1e-300, "a", True)),
    *(("crop.aspect", value) for value in (1.0, "a")),
    *(("codec", value) for value in ("quarter", "coordinates", 1, None)),
    *(("output.sigma", value) for value in (0, -2, "2", 65)),
    *(("crop.padding", value) for value in ([1.2], [1.2, 0], [1, 1, 1], [1, "a"], {})),
    *(("output.smoothing", value) for value in (4, 0, 33, "5", 2.5)),
    *(("output.offset", value) for value in (4.5, -5, "2", None)),
    *(("output.score_scale", value) for value in (0, -1, "1/0", None)),
    *(("output.score_offset", value) for value in ("a", None)),
    *((field, 1) for field in ("pad", "input.size", "output.temperature", "crop.shift")),
]


@pytest.mark.parametrize(
    "name", ["../outside.onnx", "/etc/passwd", "..", ".", "a/colours.onnx", "..\\x.onnx", "C:x.onnx"]
)
def test_a_spec_names_only_a_file_beside_it(tmp_path, name):
    write_network(tmp_path)
    text = json.loads((tmp_path / "colours.json").read_text())
    (tmp_path / "colours.json").write_text(json.dumps(text | {"onnx": name}))
    with pytest.raises(InputError, match=r"colours.json: field 'onnx': expected the bare name of a file"):
        ModelSpec.read(tmp_path / "colours.json")


def test_a_skeleton_of_ones_own_stands_beside_the_spec_or_in_it(tmp_path):
    write_network(tmp_path)
    mine = replace(COCO_17, name="mine", keypoints=("tip", *COCO_17.keypoints[1:]))
    (tmp_path / "mine.json").write_text(json.dumps(skeleton_value(mine)))
    text = json.loads((tmp_path / "colours.json").read_text())
    (tmp_path / "colours.json").write_text(json.dumps(text | {"skeleton": "mine.json"}))
    spec = ModelSpec.read(tmp_path / "colours.onnx")
    assert (spec.skeleton.name, spec.skeleton.keypoints) == ("mine", mine.keypoints)
    (tmp_path / "colours.json").write_text(json.dumps(spec.to_json()))  # what a folder's JSON says needs no other file
    (tmp_path / "mine.json").unlink()
    assert ModelSpec.read(tmp_path / "colours.onnx").skeleton == spec.skeleton
    for wrong, message in (
        ("../mine.json", r"colours\.json: field 'skeleton': expected the bare name of a file next to this one"),
        ("none.json", r"none\.json: no such file"),
        ({"name": "mine"}, r"colours\.json: field 'skeleton.keypoints' is missing, expected a list of names"),
    ):
        (tmp_path / "colours.json").write_text(json.dumps(text | {"skeleton": wrong}))
        with pytest.raises(InputError, match=message):
            ModelSpec.read(tmp_path / "colours.onnx")


def test_a_value_as_deep_as_the_stack_is_shown_short(tmp_path):
    write_network(tmp_path)
    text = (tmp_path / "colours.json").read_text()
    deep = "[" * 900 + "]" * 900
    (tmp_path / "colours.json").write_text(text.replace('"coco17"', deep))
    with pytest.raises(InputError, match=r"field 'skeleton': expected one of .* got \[+\.\.\.\]+$"):
        ModelSpec.read(tmp_path / "colours.json")


def test_a_temperature_out_of_range(tmp_path):
    write_network(tmp_path)
    text = json.loads((tmp_path / "colours.json").read_text()) | {"codec": "integral"}
    for value in (1e-300, 0, 1e9):
        text["output"]["temperature"] = value
        (tmp_path / "colours.json").write_text(json.dumps(text))
        with pytest.raises(InputError, match=r"field 'output.temperature': expected a number from 0.001 to 1000"):
            ModelSpec.read(tmp_path / "colours.onnx")


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_fields_are_named(tmp_path, field, value):
    write_network(tmp_path)
    text = json.loads((tmp_path / "colours.json").read_text())
    *parents, last = field.split(".")
    part: Any = text
    for parent in parents:
        part = part[parent]
    part[last] = value
    (tmp_path / "colours.json").write_text(json.dumps(text))
    with pytest.raises(InputError) as error:
        ModelSpec.read(tmp_path / "colours.onnx")
    assert f"colours.json: field '{field}'" in str(error.value) and "\n" not in str(error.value)


def test_missing_fields_are_named(tmp_path):
    write_network(tmp_path)
    whole = json.loads((tmp_path / "colours.json").read_text())
    needed = [("input",), ("output",), ("skeleton",), ("crop",), ("crop", "padding")]
    needed += [("input", field) for field in whole["input"]] + [("output", field) for field in whole["output"]]
    for *parents, last in needed:
        text = copy.deepcopy(whole)
        del (text[parents[0]] if parents else text)[last]
        (tmp_path / "colours.json").write_text(json.dumps(text))
        with pytest.raises(InputError, match=f"field '{'.'.join([*parents, last])}' is missing"):
            ModelSpec.read(tmp_path / "colours.onnx")


def test_coordinates_need_their_order(tmp_path):
    for order in (["y", "x"], ["y", "x", "x"], "yxs", None, [1, 2, 3]):
        output = {"kind": "coordinates", "keypoints": 17, "order": order, "normalised": True}
        with pytest.raises(InputError, match=r"field 'output.order'"):
            ModelSpec.read(write_network(tmp_path, output=output))


def test_the_codec_and_how_it_was_trained(tmp_path):
    write_network(tmp_path)
    output = json.loads((tmp_path / "colours.json").read_text())["output"]

    def codec(fields=(), **top):
        return ModelSpec.read(write_network(tmp_path, output=output | dict(fields), **top)).codec

    assert codec() == HeatmapCodec(48, 64, 4.0, 2.0, "argmax-quarter", "ordinary")
    assert codec({"sigma": 3}, codec="dark") == HeatmapCodec(48, 64, 4.0, 3.0, "dark", "ordinary")
    assert codec(codec="udp") == HeatmapCodec(48, 64, 4.0, 2.0, "udp", "unbiased")
    logits = codec({"temperature": 1}, codec="integral")
    assert logits == HeatmapCodec(48, 64, 4.0, 2.0, "integral", "ordinary", temperature=1.0)
    with pytest.raises(InputError, match=r"field 'output.temperature'"):
        codec({"temperature": 0}, codec="integral")
    with pytest.raises(InputError, match=r"field 'output.temperature' is unknown"):
        codec({"temperature": 1}, codec="udp")


def test_where_map_pixels_stand_and_what_scores_are(tmp_path):
    write_network(tmp_path)
    whole = json.loads((tmp_path / "colours.json").read_text())
    options = {"smoothing": 5, "offset": 2, "score_scale": "1/255", "score_offset": 0.5}
    fields = {"output": whole["output"] | options, "crop": {"padding": [1.09, 1.135]}, "codec": "second-highest"}
    spec = ModelSpec.read(write_network(tmp_path, **fields))
    expected = HeatmapCodec(48, 64, 4.0, 2.0, "second-highest", "ordinary", None, 5, 2.0, 1 / 255, 0.5)
    assert spec.codec == expected and spec.padding == (1.09, 1.135)
    (tmp_path / "colours.json").write_text(json.dumps(spec.to_json()))
    assert ModelSpec.read(tmp_path / "colours.onnx") == spec
    plain = ModelSpec.read(write_network(tmp_path)).to_json()
    assert plain["crop"]["padding"] == 1.0 and not options.keys() & plain["output"].keys()
    with pytest.raises(InputError, match=r"field 'output.offset' is unknown"):
        ModelSpec.read(write_network(tmp_path, output=whole["output"] | {"offset": 1}, codec="udp"))


@pytest.mark.parametrize("output", [{"stride": 4.01}, {"width": 1, "stride": 130, "height": 2}])
def test_udp_needs_maps_that_divide_the_input(tmp_path, output):
    write_network(tmp_path)
    whole = json.loads((tmp_path / "colours.json").read_text())
    with pytest.raises(InputError, match=r"field 'output.(stride|width)': expected .* with codec udp"):
        ModelSpec.read(write_network(tmp_path, output=whole["output"] | output, codec="udp"))


def test_coordinates_have_one_codec(tmp_path):
    output = {"kind": "coordinates", "keypoints": 17, "order": ["y", "x", "score"], "normalised": True}
    expected = CoordinateCodec(192, 256, ("y", "x", "score"))
    spec = ModelSpec.read(write_network(tmp_path, output=output))
    assert spec.codec == expected
    assert ModelSpec.read(write_network(tmp_path, output=output, codec="coordinates")) == spec
    with pytest.raises(InputError, match="gives coordinates, expected heatmaps"):
        spec.with_decoding("dark")
    with pytest.raises(InputError, match="field 'codec': expected one of coordinates"):
        ModelSpec.read(write_network(tmp_path, output=output, codec="dark"))


def test_another_decoding_keeps_the_convention(tmp_path):
    ordinary = ModelSpec.read(write_network(tmp_path, codec="argmax-quarter"))
    unbiased = ModelSpec.read(write_network(tmp_path, codec="udp"))
    for decoding in DECODINGS:
        assert ordinary.with_decoding(decoding).codec == HeatmapCodec(48, 64, 4.0, 2.0, decoding, "ordinary")
        assert unbiased.with_decoding(decoding).codec == HeatmapCodec(48, 64, 4.0, 2.0, decoding, "unbiased")
    with pytest.raises(
        InputError, match="decoding: expected one of argmax-quarter, second-highest, dark, udp, integral, got 'msra'"
    ):
        ordinary.with_decoding("msra")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_no_spec_at_all(tmp_path, content):
    path = write_network(tmp_path)
    (tmp_path / "colours.json").write_bytes(content)
    with pytest.raises(InputError, match=r"colours\.json"):
        ModelSpec.read(path)


def test_missing_files(tmp_path):
    path = write_network(tmp_path)
    (tmp_path / "colours.json").unlink()
    with pytest.raises(InputError, match=r"colours\.json: no such file; a network needs its spec beside it"):
        ModelSpec.read(path)
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        ModelSpec.read(tmp_path / "none.onnx")
    with pytest.raises(InputError, match="expected a model folder"):
        ModelSpec.read(tmp_path)
