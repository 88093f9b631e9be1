"""The loss of detectors that list boxes: who is assigned to whom, and that boxes and scores are learnt."""

import pytest
import torch

from trustpose.networks.picodet import ListedBoxes
from trustpose.training.listed_boxes import assign, listed_losses


def cells(side: int = 8, stride: int = 8, photos: int = 1, spread: float = 0.0) -> ListedBoxes:
    """A map of side × side cells whose boxes reach 1.5 strides to each side; scores 0.3, spread by so much."""
    at = (torch.arange(side) + 0.5) * stride
    middle = torch.stack([at.repeat(side), at.repeat_interleave(side)], dim=1)
    random = torch.Generator().manual_seed(0)
    sides = torch.zeros(photos, side**2, 4, 8)
    boxes = torch.cat([middle - 1.5 * stride, middle + 1.5 * stride], dim=1).repeat(photos, 1, 1)
    boxes += spread * stride * torch.randn(boxes.shape, generator=random)
    scores = 0.3 + spread * 0.2 * torch.rand(photos, side**2, generator=random)
    return ListedBoxes(scores, boxes, sides, middle, torch.full((side**2,), float(stride)))


def iou(one, other) -> float:
    across, down = (min(one[at + 2], other[at + 2]) - max(one[at], other[at]) for at in (0, 1))
    common = max(float(across), 0) * max(float(down), 0)
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return common / (sum(areas) - common)


def test_cells_are_assigned_one_by_one():
    found = cells(spread=0.3)
    people = torch.tensor([[[2.0, 4, 40, 50], [20, 20, 61, 63], [50, 2, 51, 3], [0, 0, 64, 64]]])
    is_real = torch.tensor([[True, True, True, False]])
    person, quality, is_any = assign(found, people, is_real)
    claims: dict[int, list[tuple[float, int]]] = {}
    aligned = torch.zeros(3, 64)
    for who, box in enumerate(people[0, :3]):
        inside = [n for n, (x, y) in enumerate(found.middle) if box[0] < x < box[2] and box[1] < y < box[3]]
        for n in inside:
            aligned[who, n] = found.scores[0, n] * iou(box, found.boxes[0, n]) ** 6
        for n in sorted(inside, key=lambda n: -float(aligned[who, n]))[:13]:
            claims.setdefault(n, []).append((iou(box, found.boxes[0, n]), who))
    owner = {n: max(claim)[1] for n, claim in claims.items()}
    assert 20 < len(owner) <= 26 and any(len(claim) > 1 for claim in claims.values())
    assert is_any[0].nonzero()[:, 0].tolist() == sorted(owner)
    assert all(int(person[0, n]) == who for n, who in owner.items())
    for who in (0, 1):
        own = [n for n in owner if owner[n] == who]
        best = max(iou(people[0, who], found.boxes[0, n]) for n in own)
        highest = max(float(aligned[who, n]) for n in own)
        expected = torch.tensor([float(aligned[who, n]) / highest * best for n in own])
        torch.testing.assert_close(quality[0, own], expected, atol=1e-4, rtol=1e-3)
    assert (quality[0, ~is_any[0]] == 0).all() and 2 not in owner.values()  # too small for any cell's middle


@pytest.mark.parametrize("people", [[[10.0, 12, 34, 44], [30, 22, 62, 60]], [[8.0, 8, 56, 56]]])
def test_boxes_and_scores_are_learnt(people):
    """Numbers that any network could give become the boxes that they are to be."""
    found, wanted = cells(), torch.tensor([people])
    logits = torch.full((1, 64), -1.0, requires_grad=True)
    sides = torch.zeros(1, 64, 4, 8, requires_grad=True)
    optimiser = torch.optim.Adam([logits, sides], lr=0.1)
    is_real, counted = torch.ones(wanted.shape[:2], dtype=torch.bool), torch.ones(1, 64, dtype=torch.bool)
    totals = []
    for _ in range(120):
        away = sides.softmax(dim=-1) @ torch.arange(8.0) * 8
        boxes = torch.cat([found.middle - away[..., :2], found.middle + away[..., 2:]], dim=-1)
        listed = found._replace(scores=logits.sigmoid(), boxes=boxes, sides=sides)
        losses = listed_losses(listed, wanted, is_real, counted)
        totals.append(float(losses["scores"] + losses["boxes"] + losses["bins"]))
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    assert totals[-1] < totals[0] / 2
    for who, box in enumerate(wanted[0]):
        person, _, is_any = assign(listed, wanted, is_real)
        own = (is_any & (person == who))[0].nonzero()[:, 0]
        best = own[listed.scores[0, own].argmax()]
        assert iou(box, boxes[0, best].detach()) > 0.9 and listed.scores[0, best] > 0.6
    assert listed.scores[0, ~is_any[0]].max() < 0.2


def test_nobody_and_what_is_ignored():
    found, nobody = cells(photos=2), torch.zeros(2, 1, 4)
    is_real, counted = torch.zeros(2, 1, dtype=torch.bool), torch.ones(2, 64, dtype=torch.bool)
    losses = listed_losses(found, nobody, is_real, counted)
    assert float(losses["scores"]) > 0 and float(losses["boxes"]) == float(losses["bins"]) == 0
    counted[0] = False
    half = listed_losses(found, nobody, is_real, counted)["scores"]
    torch.testing.assert_close(half, losses["scores"] / 2)
