"""Recipes as data: JSON and back, changed by dotted names, strict about both."""

import json
from dataclasses import replace

import pytest

from trustpose.files import InputError
from trustpose.heads.stages import OKS_NET, Stage, Strategy
from trustpose.training.recipe import DataOptions, PaperResult, Recipe, TrainOptions, from_json, to_json, with_overrides
from trustpose.training.values import first_difference

RECIPE = Recipe(
    name="oks-net-xi-2",
    title="OKS-Net, table XI, strategy 2",
    strategy=OKS_NET[2],
    network="hrnet-w32",
    head="oks-net",
    head_options={"attention": "channel", "window": None},
    sources=(PaperResult("oks-net", "XI", "2", {"AP": 77.2, "n": 3}),),
)


def test_json_and_back_is_the_same_recipe():
    again = from_json(json.loads(json.dumps(to_json(RECIPE))))
    assert again == RECIPE
    assert isinstance(again.strategy.stages, tuple) and isinstance(again.sources[0].numbers["n"], float)
    metamodel = replace(RECIPE, head="metamodel", head_options={"bottleneck": (1024, 64)})
    assert from_json(json.loads(json.dumps(to_json(metamodel)))) == metamodel


def test_overrides_are_parsed_as_their_fields_want():
    changes = {
        "train.lr": ".0003",
        "train.batch_size": "64",
        "train.channels_last": "false",
        "train.precision": "bf16-mixed",
        "train.ema": "0",
        "head_options.attention": "spatial",
        "head_options.window": "none",
        "strategy.stages.1.heatmap_weight": "200",
        "network": "hourglass-2",
        "name": "12",
        "data.sigma": "1.5",
    }
    new = with_overrides(RECIPE, changes)
    assert new.train == TrainOptions(lr=3e-4, batch_size=64, channels_last=False, precision="bf16-mixed", ema=0.0)
    assert new.head_options == {"attention": "spatial", "window": None}
    assert new.strategy.stages == (Stage(200, 2000.0, 0.0), Stage(50, 200.0, 1.0))
    assert (new.network, new.name, new.data.sigma) == ("hourglass-2", "12", 1.5)
    assert RECIPE.train == TrainOptions()
    assert with_overrides(new, {"train.lr": "none"}).train.lr is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.learning_rate": "1"}, r"^train.learning_rate is unknown, expected one of lr, "),
        ({"trian.lr": "1"}, "^trian is unknown, expected one of name, title.*did you mean 'train'"),
        ({"train.lr": "fast"}, "^train.lr: expected a number, got 'fast'"),
        ({"train.lr": "-1"}, "^train.lr: expected 1e-30 to 1000, got -1.0"),
        ({"train.lr": "nan"}, "^train.lr: expected a finite number, got nan"),
        ({"train.clip": "inf"}, "^train.clip: expected a finite number, got inf"),
        ({"train.seed": "-1"}, "^train.seed: expected 0 to 2147483647, got -1"),
        ({"train.ema": "1"}, "^train.ema: expected 0 to 0.999999999, got 1.0"),
        ({"strategy.learning_rate": "-inf"}, "^strategy.learning_rate: expected a finite number, got -inf"),
        ({"strategy.learning_rate": "0"}, "^strategy.learning_rate: expected above 0, up to 1000, got 0.0"),
        ({"strategy.drops": "[-1]"}, "^strategy.drops: expected epochs from 0, got -1"),
        ({"strategy.stages": "[]"}, "^strategy.stages: expected one or more"),
        ({"strategy.stages.0.epochs": "0"}, "^strategy.stages.0.epochs: expected 1 to 1000000, got 0"),
        ({"strategy.stages.0.trust_weight": "-1"}, "^strategy.stages.0.trust_weight: expected 0 to 1e9, got -1.0"),
        ({"data.sigma": "nan"}, "^data.sigma: expected a finite number, got nan"),
        ({"data.sigma": "0"}, "^data.sigma: expected 0.1 to 1000, got 0.0"),
        ({"data.padding": "-1"}, "^data.padding: expected 0.1 to 10, got -1.0"),
        ({"data.codec": "jpeg"}, "^data.codec: expected one of argmax-quarter, .* got 'jpeg'"),
        ({"data.skeleton": "bones"}, "^data.skeleton: expected one of coco17, .* got 'bones'"),
        ({"height": "0"}, "^height: expected 16 to 4096, got 0"),
        ({"width": "1000000000"}, "^width: expected 16 to 4096, got 1000000000"),
        ({"deepen": "-1"}, "^deepen: expected 0 to 64, got -1"),
        ({"network": "resnet"}, "^network: expected one of simple-baseline-r50, .* got 'resnet'"),
        ({"frozen.views": "0"}, "^frozen.views: expected 1 to 1000, got 0"),
        ({"evaluation.suppression_threshold": "2"}, "^evaluation.suppression_threshold: expected 0 to 1, got 2.0"),
        ({"train.batch_size": "3.5"}, "^train.batch_size: expected a whole number, got 3.5"),
        ({"train.batch_size": "true"}, "^train.batch_size: expected a whole number, got True"),
        ({"train.precision": "fp8"}, "^train.precision: expected one of 32-true, bf16-mixed, 16-mixed, got 'fp8'"),
        ({"train.accumulate": "3"}, "^train.batch_size: expected a multiple of accumulate, 3, got 32"),
        ({"train.epochs": "1"}, "^train.epochs: expected 2 or more, one per stage, got 1"),
        ({"train.lr.x": "1"}, "^train.lr.x: there is no such field"),
        ({"strategy.stages.2.epochs": "1"}, "^strategy.stages.2: there are only 2"),
        ({"head_options.atention": "none"}, "^head_options.atention: oks-net has no such option, expected one of att"),
        ({"data.folds": "1"}, "^data.folds: expected 0, or 2 or more"),
        ({"data.fold": "5"}, "^data.fold: expected 0 to 4, got 5"),
    ],
)
def test_invalid_changes_are_reported(changes, message):
    with pytest.raises(InputError, match=message):
        with_overrides(RECIPE, changes)


def test_json_that_is_no_recipe_is_reported():
    good = to_json(RECIPE)
    for bad, message in (
        ([], "^Recipe: expected an object"),
        ({**good, "hed": "x"}, "^hed is unknown, .*did you mean 'head'"),
        ({**good, "strategy": {"stages": []}}, "^strategy.learning_rate is missing, expected a number"),
        ({**good, "sources": [{**good["sources"][0], "numbers": 3}]}, "^sources.0.numbers: expected an object"),
    ):
        with pytest.raises(InputError, match=message):
            from_json(bad)


def test_epochs_scale_stages_and_drops():
    plan = replace(RECIPE, train=TrainOptions(epochs=25, lr=0.5)).plan
    assert [stage.epochs for stage in plan.stages] == [20, 5]
    assert (plan.drops, plan.learning_rate, plan.starts_from) == ((17, 22), 0.5, "scratch")
    short = replace(
        RECIPE, strategy=Strategy((Stage(100, 1.0, 0.0), Stage(1, 1.0, 1.0), Stage(1, 0.0, 1.0)), 1e-3, (), "scratch")
    )
    for epochs in (3, 4, 10, 102):
        lengths = [stage.epochs for stage in replace(short, train=TrainOptions(epochs=epochs)).plan.stages]
        assert sum(lengths) == epochs and min(lengths) == 1
    assert RECIPE.plan == OKS_NET[2]


def test_the_first_difference_is_named():
    content = to_json(RECIPE)
    assert first_difference(content, to_json(RECIPE)) is None
    assert first_difference(content, to_json(with_overrides(RECIPE, {"train.seed": 1}))) == "train.seed"
    changed = with_overrides(RECIPE, {"strategy.stages.1.epochs": 3})
    assert first_difference(content, to_json(changed)) == "strategy.stages.1.epochs"
    assert first_difference(content, to_json(replace(RECIPE, head_options={}))) == "head_options.attention"
    assert first_difference(content, to_json(replace(RECIPE, data=DataOptions(fold=1)))) == "data.fold"


def test_a_text_that_an_option_lists_is_not_read_as_none():
    changed = with_overrides(RECIPE, {"head_options.attention": "none", "head_options.window": "none"})
    assert dict(changed.head_options) == {**RECIPE.head_options, "attention": "none", "window": None}


def test_a_skeleton_of_ones_own(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine", "keypoints": ["nose", "left_eye", "right_eye"]}))
    recipe = with_overrides(RECIPE, {"data.skeleton": str(path)})
    assert recipe.data.joints.keypoints == ("nose", "left_eye", "right_eye")
    assert from_json(to_json(recipe)).data.joints.name == "mine"
    with pytest.raises(InputError, match=r"^data.skeleton: .*none\.json: no such file"):
        with_overrides(RECIPE, {"data.skeleton": str(tmp_path / "none.json")})
