"""The OKS kernel against pycocotools, in numpy and torch, with gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from trustpose.geometry.boxes import xywh_to_xyxy
from trustpose.geometry.oks import oks, opks


def random_case(seed: int, n: int = 4, m: int = 3, k: int = 17):
    random = np.random.default_rng(seed)
    v = random.integers(0, 3, (m, k)) * (random.random(m) > 0.3)[:, None]
    truth = random.uniform(0, 100, (m, k, 2)) * (v > 0)[..., None]
    xy = random.uniform(0, 100, (n, k, 2))
    area = random.uniform(10, 10000, m)
    box = random.uniform(0, 100, (m, 4))
    return xy, truth, v, area, random.uniform(0.02, 0.2, k), box


def pycocotools_oks(xy, truth, v, area, sigmas, box) -> np.ndarray:
    evaluation = COCOeval(iouType="keypoints")
    evaluation.params.kpt_oks_sigmas = sigmas
    evaluation.params.maxDets = [len(xy)]
    people = [
        {"keypoints": np.c_[position, seen].ravel().tolist(), "bbox": b.tolist(), "area": float(a)}
        for position, seen, a, b in zip(truth, v, area, box, strict=True)
    ]
    poses = [{"keypoints": np.c_[position, np.ones(len(position))].ravel().tolist(), "score": 1.0} for position in xy]
    evaluation._gts[1, 1], evaluation._dts[1, 1] = people, poses
    return np.array(evaluation.computeOks(1, 1))


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 17, 25]))
def test_equals_pycocotools(seed: int, k: int) -> None:
    xy, truth, v, area, sigmas, box = random_case(seed, k=k)
    expected = pycocotools_oks(xy, truth, v, area, sigmas, box)
    pairs = (xy[:, None], truth[None], v[None], area[None], sigmas, xywh_to_xyxy(box)[None])  # every pose, every person
    np.testing.assert_allclose(oks(*pairs), expected, rtol=1e-12, atol=1e-300)
    in_torch = oks(*map(torch.tensor, pairs))
    np.testing.assert_allclose(in_torch.numpy(), expected, rtol=1e-12, atol=1e-300)


@given(st.integers(0, 2**32 - 1))
def test_opks_is_in_range_0_where_unlabelled_and_1_on_the_spot(seed: int) -> None:
    xy, truth, v, area, sigmas, _ = random_case(seed, n=3)
    similarity = opks(xy, truth, v, area, sigmas)
    assert ((similarity >= 0) & (similarity <= 1)).all()
    assert (similarity[v == 0] == 0).all()
    assert (opks(truth, truth, v, area, sigmas)[v > 0] == 1).all()
    labelled = (v > 0).any(axis=1)
    expected = similarity[labelled].sum(axis=1) / (v[labelled] > 0).sum(axis=1)
    np.testing.assert_allclose(oks(xy, truth, v, area, sigmas)[labelled], expected)
    assert np.isnan(oks(xy, truth, v, area, sigmas)[~labelled]).all()


def test_gradients_are_right_and_stay_finite_beside_people_without_labels() -> None:
    xy, truth, v, area, sigmas, _ = (torch.tensor(x) for x in random_case(3, n=3))
    v[0], v[1:, :5] = 0, 2
    xy = (
        truth + torch.randn(truth.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: opks(p, truth, v, area, sigmas), (xy,))
    assert torch.autograd.gradcheck(lambda p: oks(p[1:], truth[1:], v[1:], area[1:], sigmas), (xy,))
    torch.nansum(oks(xy, truth, v, area, sigmas)).backward()
    assert torch.isfinite(xy.grad).all()
    assert (xy.grad[0] == 0).all()


def test_half_precision_and_batches_broadcast() -> None:
    xy, truth, v, area, sigmas, _ = (torch.tensor(x) for x in random_case(1, n=3))
    both = opks(torch.stack([xy, truth]), truth, v, area, sigmas)  # (2, 3, K)
    torch.testing.assert_close(both[0], opks(xy, truth, v, area, sigmas))
    small = oks(xy.float(), truth.float(), v, area.float(), sigmas.float())
    assert small.dtype == torch.float32


def test_a_real_annotation_against_itself(data_dir) -> None:
    coco = COCO(str(data_dir / "coco" / "dev_gt.json"))
    person = next(a for a in coco.dataset["annotations"] if a["num_keypoints"] > 10)
    keypoints = np.reshape(person["keypoints"], (1, 17, 3)).astype(float)
    value = oks(
        keypoints[..., :2], keypoints[..., :2], keypoints[..., 2], np.array([person["area"]]), np.full(17, 0.05)
    )
    assert value == pytest.approx(1.0)
