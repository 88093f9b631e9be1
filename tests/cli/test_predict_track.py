"""`trustpose predict --track`: ids in the results, resumed or not; what is refused."""

import json

import numpy as np
import pytest
import torch

from tests.cli.predict_cases import case as case  # a fixture
from tests.cli.predict_cases import common, refused, run, stop_after
from tests.cli.test_predict_video import video as video  # a fixture
from trustpose.cli.progress import Interrupted
from trustpose.io.coco.results import read_results


@pytest.mark.parametrize("flow", [(), ("--flow",)], ids=["", "flow"])
def test_people_have_the_same_id_in_every_frame_also_when_resumed(video, monkeypatch, flow):
    rows = json.loads((video / "frames.json").read_text())
    turned = [row for index in range(0, len(rows), 2) for row in (rows[index : index + 2])[:: -1 if index % 4 else 1]]
    (video / "turned.json").write_text(json.dumps(turned))
    arguments = (video / "film.mp4", "--boxes", video / "turned.json", "--model", video / "colours.onnx", "--track")
    run(*arguments, *flow, "--out", video / "whole", "--no-draw")
    poses = read_results(video / "whole" / "results.json").poses
    assert poses.image_id.tolist() == [0, 0, 1, 1, 2, 2, 4, 4] and set(poses.track_id.tolist()) == {1, 2}
    mask = poses.xy[..., 0].mean(axis=1) < poses.xy[..., 0].mean()
    assert len(np.unique(poses.track_id[mask])) == 1
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted, match="same command with --resume to continue"):
            run(*arguments, *flow, "--out", video / "out", "--no-draw")
    refused(
        "other settings: track was True, now False", *(arguments[:-1]), "--out", video / "out", "--no-draw", "--resume"
    )
    run(*arguments, *flow, "--out", video / "out", "--no-draw", "--resume")
    assert (video / "whole" / "results.json").read_bytes() == (video / "out" / "results.json").read_bytes()


def test_photos_have_no_order_and_flow_needs_tracks(video):
    refused("--track is for videos", video / "photos", "--gt", video / "gt.json", "--track", *common(video))
    refused(
        "--track is for videos", video / "film.mp4", video / "photos", "--detector", "whole", "--track", *common(video)
    )
    refused(
        "--flow: follows people from frame to frame, so it requires --track",
        video / "film.mp4",
        "--flow",
        *common(video),
    )
    film = (video / "film.mp4", "--track", *common(video))
    refused("--flow-method: is the method of --flow, so it requires --flow", *film, "--flow-method", "raft")
    refused(
        "--flow-method: expected dis, raft or raft:WEIGHTS.pth, got 'farneback'",
        *film,
        "--flow",
        "--flow-method=farneback",
    )
    refused("none.pth: ", *film, "--flow", "--flow-method", f"raft:{video / 'none.pth'}")
    assert not (video / "out" / "results.json").exists()


def test_raft_follows_people_too(video):
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    torch.save(raft_small(weights=None).state_dict(), video / "raft.pth")
    run(
        *(video / "film.mp4", "--boxes", video / "frames.json", "--model", video / "colours.onnx", "--track", "--flow"),
        *("--flow-method", f"raft:{video / 'raft.pth'}", "--frames", 2, "--out", video / "raft", "--no-draw"),
    )
    poses = read_results(video / "raft" / "results.json").poses
    assert poses.image_id.tolist() == [0, 0, 1, 1] and poses.track_id is not None
