"""Losses of surfaces: maps at points as torch samples them, terms by hand, and parts that sum to the whole batch.

They equal Detectron2's `DensePoseChartLoss`, with their gradients: docs/parity.md.
"""

import math

import torch
import torch.nn.functional as F

from trustpose.training.surface_losses import SurfacePoints, expected_quality_target, read_at_points, surface_losses
from trustpose.training.surface_options import SurfaceOptions


def _points(seed: int = 0, count: int = 30, people: int = 3) -> SurfacePoints:
    random = torch.Generator().manual_seed(seed)
    return SurfacePoints(
        torch.arange(people).repeat_interleave(count // people),
        torch.rand(count, 2, generator=random),
        torch.randint(0, 25, (count,), generator=random),
        torch.rand(count, 2, generator=random),
    )


def _maps(seed: int = 0, people: int = 3) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    channels = {"mask": 2, "parts": 25, "u": 25, "v": 25, "quality": 1}
    return {name: torch.randn(people, count, 14, 10, generator=random) for name, count in channels.items()}


def test_maps_are_read_as_torch_samples_them() -> None:
    points, maps = _points(), _maps()
    for person in range(3):
        grid = points.xy[points.person == person] * 2 - 1
        sampled = F.grid_sample(
            maps["parts"][person : person + 1], grid[None, None], align_corners=False, padding_mode="border"
        )
        torch.testing.assert_close(read_at_points(maps["parts"], points)[points.person == person], sampled[0, :, 0].T)


def test_terms_by_hand() -> None:
    maps = {name: torch.zeros_like(value) for name, value in _maps().items()}
    points = SurfacePoints(torch.tensor([0, 1]), torch.rand(2, 2), torch.tensor([3, 0]), torch.tensor([[0.5, 2.0]] * 2))
    mask = torch.full((3, 14, 10), -1)
    mask[0] = 4
    totals = {"points": torch.tensor(2), "people": torch.tensor(3), "masked": torch.tensor(1)}
    terms = surface_losses(maps, points, mask, SurfaceOptions(), totals, torch.tensor([0.3, torch.nan]))
    assert terms["parts"].item() == torch.tensor(25.0).log()
    assert terms["u"].item() == torch.tensor(0.01 * 0.5 * 0.5**2)  # of the first point only, below 1: squares
    assert terms["v"].item() == torch.tensor(0.01 * 1.5)
    torch.testing.assert_close(terms["mask"].item(), 5 * math.log(2), rtol=1e-5, atol=0)
    torch.testing.assert_close(terms["quality"].item(), math.log(2) / 2, rtol=1e-5, atol=0)


def test_parts_of_a_batch_sum_to_the_whole() -> None:
    maps, points, options = _maps(), _points(), SurfaceOptions(per_person=True)
    mask = torch.randint(0, 15, (3, 14, 10), generator=torch.Generator().manual_seed(1))
    totals = {"points": torch.tensor(30), "people": torch.tensor(3), "masked": torch.tensor(3)}
    quality = torch.rand(30)
    whole = surface_losses(maps, points, mask, options, totals, quality)
    summed = dict.fromkeys(whole, 0.0)
    for people in (slice(0, 1), slice(1, 3)):
        chosen = (points.person >= people.start) & (points.person < people.stop)
        part = SurfacePoints(
            points.person[chosen] - people.start, points.xy[chosen], points.part[chosen], points.uv[chosen]
        )
        some_maps = {name: value[people] for name, value in maps.items()}
        terms = surface_losses(some_maps, part, mask[people], options, totals, quality[chosen])
        summed = {name: summed[name] + term for name, term in terms.items()}
    for name, term in whole.items():
        torch.testing.assert_close(summed[name], term)


def test_estimates_at_points() -> None:
    maps = _maps()
    maps["mask"][0, 0] += 100  # background
    points = _points()
    part, uv = expected_quality_target(maps, points, 0.5)
    assert not part[points.person == 0].any() and part[points.person > 0].any()
    assert uv.min() >= 0 and uv.max() <= 1
