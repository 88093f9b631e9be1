"""DeepCut's integer programme: equal to an exhaustive search, how large it may be, and how well it groups labels.

    python benchmarks/deepcut.py [--instances N] [--hard N] [--photos N] [--limit SECONDS]

  exhaustive  N random problems of 1 to 7 candidates and 1 to 3 classes, every fourth with a single person; costs beside
              the cheapest of all labels and partitions, by dynamic programming over sets of candidates
  random      problems of 8 to 14 candidates and 3 classes, with costs drawn alike: shares proven optimal within the
              limit, the largest gap, and the local search alone (`local_search`) beside the optimum
  photos      every labelled joint of photos of `dev` as a candidate, moved by 3 % of √(box's area), a third of them
              twice, and a fifth as many false ones: random joints near real ones. Pairwise terms are learnt on `train`,
              moved alike. Real candidates have p = 0.8, false ones 0.3. "greedy" has the same terms and joins the two
              groups that lower the cost most, until none does. Agreement: share of pairs of real candidates that are
              rightly together or apart; F1: of the pairs that are together

Processor seconds, of one thread.
"""

from pathlib import Path

import numpy as np
from coco_photos import ground_truth, spread
from harness import parser, run, table, timed

from trustpose.grouping.deepcut import PartProblem, cost_of, local_search, solve
from trustpose.grouping.deepcut_terms import PairwiseTerms, fit_pairwise

NOISE, TWICE, FALSE = 0.03, 1 / 3, 1 / 5
REAL, OTHER = 0.8, 0.3
SAME = 1e-6


def random_problem(generator: np.random.Generator, count: int, classes: int) -> PartProblem:
    part = generator.uniform(0.02, 0.98, (count, classes)) * (generator.random((count, classes)) < 0.8)
    together = 1 / (1 + np.exp(generator.normal(0, 2, (count, count, classes, classes))))
    for d, e in zip(*np.tril_indices(count, -1), strict=True):
        together[d, e] = together[e, d].T
    return PartProblem(part, together)


def cheapest(problem: PartProblem, single: bool) -> float:
    """The least cost over all labels (L, D), each with its cheapest partition."""
    count, classes = problem.part.shape
    label = np.stack(np.meshgrid(*[np.arange(-1, classes)] * count, indexing="ij"), axis=-1).reshape(-1, count)
    possible = np.concatenate([problem.part, np.ones((count, 1))], axis=1)  # −1 reads the last column
    label = label[(possible[np.arange(count), label] > 0).all(axis=1)]
    alpha = np.where(label >= 0, np.where(problem.part > 0, problem.alpha, 0)[np.arange(count), label], 0).sum(axis=1)
    inside = np.zeros((1 << count, len(label)))  # pairs' costs of each set of candidates
    for members in range(1, 1 << count):
        low, rest = (members & -members).bit_length() - 1, members & (members - 1)
        inside[members] = inside[rest]
        for partner in (member for member in range(low + 1, count) if rest >> member & 1):
            both = (label[:, low] >= 0) & (label[:, partner] >= 0)
            inside[members] += np.where(both, problem.beta[low, partner, label[:, low], label[:, partner]], 0)
    if single:
        return float((alpha + inside[-1]).min())
    best = np.zeros_like(inside)
    for members in range(1, 1 << count):
        first, rest = members & -members, members & (members - 1)
        best[members], part = np.inf, rest
        while True:  # over all sets that hold the first member
            best[members] = np.minimum(best[members], inside[first | part] + best[rest ^ part])
            if not part:
                break
            part = (part - 1) & rest
    return float((alpha + best[-1]).min())


def exhaustive(instances: int) -> dict[str, float]:
    generator, equal, proven, seconds, worst = np.random.default_rng(0), 0, 0, 0.0, 0.0
    for number in range(instances):
        problem = random_problem(generator, int(generator.integers(1, 8)), int(generator.integers(1, 4)))
        single = number % 4 == 3
        timing = timed(lambda: solve(problem, single=single))  # noqa: B023
        seconds += timing.cpu_seconds
        away = abs(timing.result.cost - cheapest(problem, single))
        equal, proven, worst = equal + (away < SAME), proven + (timing.result.gap == 0), max(worst, away)
    return {"instances": instances, "equal": equal, "proven": proven, "largest difference": worst, "seconds": seconds}


def hard(instances: int, limit: float) -> dict[str, dict[str, float]]:
    numbers = {}
    for count in (8, 10, 12, 14):
        generator, gaps, extra, seconds = np.random.default_rng(count), [], [], []
        for _ in range(instances):
            problem, nobody = random_problem(generator, count, 3), np.full(count, -1)
            timing = timed(lambda: solve(problem, time_limit=limit))  # noqa: B023
            cost = timing.result.cost
            seconds.append(timing.cpu_seconds)
            gaps.append(timing.result.gap)
            extra.append((local_search(problem, nobody, nobody)[0] - cost) / max(1, abs(cost)))
        numbers[f"{count} candidates"] = {
            "proven": float(np.mean(np.array(gaps) == 0)),
            "largest gap": max(gaps),
            "local search, dearer by": float(np.mean(extra)),
            "seconds": float(np.mean(seconds)),
        }
    return numbers


def candidates(data: Path, split: str, generator: np.random.Generator, photos: int | None = None):
    """Candidates of labelled joints: xy, scale, joint, person (−1: nobody), photo."""
    truth = ground_truth(data, split).truth
    rows = np.flatnonzero((truth.v > 0).sum(axis=1) >= 3)
    rows = rows[np.isin(truth.image_id[rows], spread(np.unique(truth.image_id[rows]), photos))]
    size = np.sqrt((truth.box[rows, 2:] - truth.box[rows, :2]).prod(axis=1))
    person, joint = np.nonzero(truth.v[rows] > 0)
    again = generator.random(len(person)) < TWICE
    person, joint = np.concatenate([person, person[again]]), np.concatenate([joint, joint[again]])
    xy = truth.xy[rows][person, joint] + generator.normal(0, NOISE, (len(person), 2)) * size[person, None]
    near = generator.choice(len(person), round(FALSE * len(person)), replace=False)  # false ones near real ones
    xy = np.concatenate([xy, xy[near] + generator.normal(0, 0.5, (len(near), 2)) * size[person[near], None]])
    joint = np.concatenate([joint, generator.integers(0, 17, len(near))])
    scale, photo = size[np.append(person, person[near])], truth.image_id[rows][np.append(person, person[near])]
    return xy, scale, joint, np.append(person, np.full(len(near), -1)), photo


def greedy(problem: PartProblem) -> np.ndarray:
    """People (D,) by linking the likeliest pair of groups first while that lowers the cost; each candidate's class is
    its likeliest."""
    part = problem.part.argmax(axis=1)
    row = np.arange(len(part))
    beta = problem.beta[row[:, None], row, part[:, None], part]
    np.fill_diagonal(beta, 0)
    person = row.copy()
    while True:
        groups, group = np.unique(person, return_inverse=True)
        costs = np.zeros((len(groups), len(groups)))
        np.add.at(costs, (group[:, None], group), beta)
        costs[np.tril_indices(len(groups))] = np.inf
        first, second = np.unravel_index(costs.argmin(), costs.shape)
        if costs[first, second] >= 0:
            return group
        person[group == second] = groups[first]


def agreement(grouped: np.ndarray, person: np.ndarray) -> tuple[float, float, float]:
    """Right pairs, pairs rightly together, and pairs together in either, of real candidates."""
    real = np.flatnonzero(person >= 0)
    first, second = (real[ends] for ends in np.triu_indices(len(real), 1))
    together, truly = (grouped[first] == grouped[second]) & (grouped[first] >= 0), person[first] == person[second]
    both = float((together & truly).sum())
    return float((together == truly).mean()), both, float(together.sum() + truly.sum())


def on_photos(data: Path, photos: int, limit: float) -> dict[str, dict[str, float]]:
    xy, scale, joint, person, photo = candidates(data, "train", np.random.default_rng(1))
    real = np.flatnonzero((person >= 0) & (photo % 2 == 0))  # half of the photos are more than enough
    terms = fit_pairwise(xy[real], scale[real], joint[real], person[real], photo[real], 17)
    xy, scale, joint, person, photo = candidates(data, "dev", np.random.default_rng(2), photos)
    sizes = {"up to 30": (0, 30), "31 to 80": (31, 80), "more than 80": (81, 10**6)}
    numbers = {}
    for name, (low, high) in sizes.items():
        photos_rows = [np.flatnonzero(photo == image) for image in np.unique(photo)]
        photos_rows = [rows for rows in photos_rows if low <= len(rows) <= high]
        if not photos_rows:
            continue
        ways = _of_size(photos_rows, xy, scale, joint, person, terms, limit)
        numbers |= {f"{name}, {way}": row for way, row in ways.items()}
    return numbers


def _of_size(photos_rows, xy, scale, joint, person, terms: PairwiseTerms, limit: float) -> dict[str, dict[str, float]]:
    seen: dict[str, list[tuple[float, ...]]] = {"programme": [], "local search": [], "greedy": []}
    for rows in photos_rows:
        part = np.zeros((len(rows), 17))
        part[np.arange(len(rows)), joint[rows]] = np.where(person[rows] >= 0, REAL, OTHER)
        problem, nobody = PartProblem(part, terms.together(xy[rows], scale[rows])), np.full(len(rows), -1)
        programme = timed(lambda: solve(problem, time_limit=limit))  # noqa: B023
        local = timed(lambda: local_search(problem, nobody, nobody))  # noqa: B023
        quick = timed(lambda: greedy(problem))  # noqa: B023
        greedy_cost = cost_of(problem, part.argmax(axis=1), quick.result)
        solutions = {
            "programme": (programme, programme.result.gap, programme.result.cost, programme.result.person),
            "local search": (local, np.nan, local.result[0], local.result[2]),
            "greedy": (quick, np.nan, greedy_cost, quick.result),
        }
        for way, (timing, gap, cost, grouped) in solutions.items():
            seen[way].append((timing.cpu_seconds, gap, cost, *agreement(grouped, person[rows])))
    numbers = {}
    for way, values in seen.items():
        seconds, gap, cost, right, both, either = np.array(values).T
        numbers[way] = {"photos": len(photos_rows), "proven": float((gap == 0).mean()), "largest gap": float(gap.max())}
        numbers[way] |= {"cost": float(cost.mean()), "agreement": float(right.mean())}
        numbers[way] |= {"F1": float(2 * both.sum() / either.sum()), "seconds": float(seconds.mean())}
    return numbers


def main(options):
    result: dict[str, object] = {"exhaustive": exhaustive(options.instances)}
    table("exhaustive", {"all": result["exhaustive"]}, ".4g")
    for name, numbers in (
        ("photos", on_photos(options.data, options.photos, options.limit)),
        ("random", hard(options.hard, options.limit)),
    ):
        result[name] = numbers
        table(name, numbers, ".4g")
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    add = options_parser.add_argument
    add("--instances", type=int, default=600, help="problems that are also searched exhaustively")
    add("--hard", type=int, default=10, help="problems of each size")
    add("--photos", type=int, default=120, help="photos of dev")
    add("--limit", type=float, default=30.0, help="seconds a problem")
    run(main, options_parser)
