"""The losses of disks and offsets: what teaches, in which units, and refinement that gradients pass."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.codecs.disks import DiskCodec, DiskFields, Votes, directed
from trustpose.geometry.crops import Grid
from trustpose.training.disks import disk_counts, disk_losses, refine

LIMBS = ((0, 1), (1, 2))
K, SIZE, STRIDE, RADIUS = 3, 12, 4, 10.0
CODEC = DiskCodec(LIMBS, Grid((4.0, 4.0)), RADIUS)


def batch_of(seed: int) -> dict[str, torch.Tensor]:
    """Two views with two people each; one half of the second view does not count."""
    random = np.random.default_rng(seed)
    targets = [
        CODEC.encode(random.uniform(2, 42, (2, K, 2)), random.random((2, K)) < 0.8, SIZE, SIZE)._asdict()
        for _ in range(2)
    ]
    batch = {name: torch.from_numpy(np.stack([view[name] for view in targets])) for name in targets[0]}
    batch = {name: array if name == "taught" else array.double() for name, array in batch.items()}
    batch["counted"] = torch.ones(2, SIZE, SIZE, dtype=torch.bool)
    batch["counted"][1, :, 6:] = False
    return batch


def losses(maps: dict[str, torch.Tensor], batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return disk_losses(maps, batch, disk_counts(batch), LIMBS, RADIUS, STRIDE)


def random_maps(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    counts = {"disks": 3, "short": 6, "middle": 8}
    return {name: 5 * torch.randn(2, count, SIZE, SIZE).double() for name, count in counts.items()}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_offsets_are_refined_as_in_prediction(seed: int) -> None:
    random = np.random.default_rng(seed)
    middle = random.uniform(-20, 20, (8, SIZE, SIZE)).astype(np.float32)
    short = random.uniform(-6, 6, (6, SIZE, SIZE)).astype(np.float32)
    fields = DiskFields(CODEC, short[:3], short, middle, Votes(*[np.zeros(0)] * 3))
    number, cells = random.integers(0, 4, 40), random.integers(0, SIZE, (40, 2))
    expected = fields.across(number, cells * 4.0) / 4
    ends = torch.tensor([directed(LIMBS)[limb][1] for limb in number])
    vector = middle.reshape(4, 2, SIZE, SIZE)[number, :, cells[:, 1], cells[:, 0]]
    begin = torch.from_numpy(cells + vector / 4)
    offsets = torch.from_numpy(short / 4).reshape(1, 3, 2, SIZE, SIZE).double()
    refined = refine(begin, offsets, torch.zeros(40, dtype=torch.int64), ends)
    np.testing.assert_allclose(refined, expected, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_each_term_is_a_mean_over_what_teaches_it(seed: int) -> None:
    batch, maps = batch_of(seed), random_maps(seed)
    maps["short"] = torch.zeros_like(maps["short"])  # nothing is refined
    terms = losses(maps, batch)
    is_disk, counted = batch["disks"] > 0, batch["counted"][:, None]
    probability = maps["disks"].sigmoid()
    entropy = -torch.where(is_disk, probability, 1 - probability).log()
    torch.testing.assert_close(terms["disks"], entropy[is_disk | counted].mean())
    error = batch["short"].unflatten(1, (K, 2)).abs().sum(2)
    torch.testing.assert_close(terms["short"], (error[is_disk] / RADIUS).mean())
    error = (maps["middle"] - batch["middle"]).unflatten(1, (-1, 2)).abs().sum(2)
    torch.testing.assert_close(terms["middle"], (error[batch["taught"]] / RADIUS).mean())


def test_gradients_are_those_of_finite_differences_and_pass_the_refinement() -> None:
    batch, maps = batch_of(0), random_maps(0)
    for tensor in maps.values():
        tensor.requires_grad_(True)
    names, tensors = list(maps), list(maps.values())

    def total(*changed: torch.Tensor) -> torch.Tensor:
        return torch.stack(list(losses(dict(zip(names, changed, strict=True)), batch).values())).sum()

    assert torch.autograd.gradcheck(total, tensors, eps=1e-7, atol=1e-4, fast_mode=True)
    (to_short,) = torch.autograd.grad(losses(maps, batch)["middle"], maps["short"])
    assert (to_short != 0).any()


def test_a_view_without_people_teaches_disks_alone() -> None:
    batch = batch_of(0)
    for name in ("disks", "short", "middle", "taught"):
        batch[name] = torch.zeros_like(batch[name])
    counts = {name: count.clamp(min=1) for name, count in disk_counts(batch).items()}
    assert counts == {"disks": 3 * (144 + 72), "short": 1, "middle": 1}
    terms = disk_losses(random_maps(0), batch, counts, LIMBS, RADIUS, STRIDE)
    assert terms["disks"] > 0 and terms["short"] == terms["middle"] == 0
