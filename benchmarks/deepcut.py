"""DeepCut's integer programme: equal to an exhaustive search, how large it may be, and how well it groups labels.

    python benchmarks/deepcut.py [--instances N] [--hard N] [--photos N] [--limit SECONDS] [--data FOLDER]

Tables, then one line of JSON:

  exhaustive  N random problems of 1 to 7 candidates and 1 to 3 classes, every fourth with a single person; costs beside
              the cheapest of all labels and partitions, by dynamic programming over sets of candidates
  random      problems of 8 to 14 candidates and 3 classes, with costs drawn alike: shares proven optimal within the
              limit, the largest gap, and the local search alone (`local_search`) beside the optimum
  photos      every labelled joint of photos of `dev` as a candidate, moved by 3 % of √(box's area), a third of them
              twice, and a fifth as many false ones: random joints near real ones. Pairwise terms are learnt on `train`,
              moved alike. Real candidates have p = 0.8, false ones 0.3. "greedy" has the same terms and joins the two
              groups that lower the cost most, until none does. Agreement: share of pairs of real candidates that are
              rightly together or apart; F1: of the pairs that are together

Processor seconds, of one thread. Needs TRUSTPOSE_DATA.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from trustpose.formats.coco import read_truth
from trustpose.grouping.deepcut import PartProblem, cost_of, local_search, solve
from trustpose.grouping.deepcut_terms import PairwiseTerms, fit_pairwise

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
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
        for other in (at for at in range(low + 1, count) if rest >> at & 1):
            both = (label[:, low] >= 0) & (label[:, other] >= 0)
            inside[members] += np.where(both, problem.beta[low, other, label[:, low], label[:, other]], 0)
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
        started = time.process_time()
        found = solve(problem, single=single)
        seconds += time.process_time() - started
        away = abs(found.cost - cheapest(problem, single))
        equal, proven, worst = equal + (away < SAME), proven + (found.gap == 0), max(worst, away)
    return {"instances": instances, "equal": equal, "proven": proven, "largest difference": worst, "seconds": seconds}


def hard(instances: int, limit: float) -> dict[str, dict[str, float]]:
    table = {}
    for count in (8, 10, 12, 14):
        generator, gaps, extra, seconds = np.random.default_rng(count), [], [], []
        for _ in range(instances):
            problem, nobody = random_problem(generator, count, 3), np.full(count, -1)
            started = time.process_time()
            found = solve(problem, time_limit=limit)
            seconds.append(time.process_time() - started)
            gaps.append(found.gap)
            local = local_search(problem, nobody, nobody)[0]
            extra.append((local - found.cost) / max(1, abs(found.cost)))
        table[f"{count} candidates"] = {
            "proven": float(np.mean(np.array(gaps) == 0)),
            "largest gap": max(gaps),
            "local search, dearer by": float(np.mean(extra)),
            "seconds": float(np.mean(seconds)),
        }
    return table


def candidates(data: Path, split: str, generator: np.random.Generator, photos: int | None = None):
    """Candidates of labelled joints: xy, scale, joint, person (−1: nobody), photo."""
    truth = read_truth(data / "coco" / f"{split}_gt.json").truth
    assert truth.box is not None and truth.image_id is not None
    rows = np.flatnonzero((truth.v > 0).sum(axis=1) >= 3)
    if photos is not None:
        ids = np.unique(truth.image_id[rows])
        rows = rows[np.isin(truth.image_id[rows], ids[np.linspace(0, len(ids) - 1, photos).astype(int)])]
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
    at = np.arange(len(part))
    beta = problem.beta[at[:, None], at, part[:, None], part]
    np.fill_diagonal(beta, 0)
    person = at.copy()
    while True:
        groups, group = np.unique(person, return_inverse=True)
        between = np.zeros((len(groups), len(groups)))
        np.add.at(between, (group[:, None], group), beta)
        between[np.tril_indices(len(groups))] = np.inf
        one, other = np.unravel_index(between.argmin(), between.shape)
        if between[one, other] >= 0:
            return group
        person[group == other] = groups[one]


def agreement(found: np.ndarray, person: np.ndarray) -> tuple[float, float, float]:
    """Right pairs, pairs rightly together, and pairs together in either, of real candidates."""
    real = np.flatnonzero(person >= 0)
    one, other = (real[at] for at in np.triu_indices(len(real), 1))
    together, truly = (found[one] == found[other]) & (found[one] >= 0), person[one] == person[other]
    both = float((together & truly).sum())
    return float((together == truly).mean()), both, float(together.sum() + truly.sum())


def on_photos(data: Path, photos: int, limit: float) -> dict[str, dict[str, float]]:
    xy, scale, joint, person, photo = candidates(data, "train", np.random.default_rng(1))
    real = np.flatnonzero((person >= 0) & (photo % 2 == 0))  # half of the photos are more than enough
    terms = fit_pairwise(xy[real], scale[real], joint[real], person[real], photo[real], 17)
    xy, scale, joint, person, photo = candidates(data, "dev", np.random.default_rng(2), photos)
    sizes = {"up to 30": (0, 30), "31 to 80": (31, 80), "more than 80": (81, 10**6)}
    table = {}
    for name, (low, high) in sizes.items():
        rows = [np.flatnonzero(photo == at) for at in np.unique(photo)]
        rows = [some for some in rows if low <= len(some) <= high]
        table |= {f"{name}, {way}": row for way, row in _of_size(rows, xy, scale, joint, person, terms, limit).items()}
    return table


def _of_size(rows, xy, scale, joint, person, terms: PairwiseTerms, limit: float) -> dict[str, dict[str, float]]:
    seen: dict[str, list[tuple[float, ...]]] = {"programme": [], "local search": [], "greedy": []}
    for some in rows:
        part = np.zeros((len(some), 17))
        part[np.arange(len(some)), joint[some]] = np.where(person[some] >= 0, REAL, OTHER)
        problem, nobody = PartProblem(part, terms.together(xy[some], scale[some])), np.full(len(some), -1)
        for way in seen:
            started, gap = time.process_time(), np.nan
            if way == "programme":
                solved = solve(problem, time_limit=limit)
                cost, found, gap = solved.cost, solved.person, solved.gap
            elif way == "local search":
                cost, _, found = local_search(problem, nobody, nobody)
            else:
                found = greedy(problem)
                cost = cost_of(problem, part.argmax(axis=1), found)
            seen[way].append((time.process_time() - started, gap, cost, *agreement(found, person[some])))
    table = {}
    for way, values in seen.items():
        seconds, gap, cost, right, both, either = np.array(values).T
        table[way] = {"photos": len(rows), "proven": float((gap == 0).mean()), "largest gap": float(gap.max())}
        table[way] |= {"cost": float(cost.mean()), "agreement": float(right.mean())}
        table[way] |= {"F1": float(2 * both.sum() / either.sum()), "seconds": float(seconds.mean())}
    return table


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    print(f"\n{title:28s}" + "".join(f"{name:>25s}" for name in next(iter(table.values()))))
    for name, row in table.items():
        print(f"{name:28s}" + "".join(f"{value:25.4g}" for value in row.values()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=600)
    parser.add_argument("--hard", type=int, default=10)
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--limit", type=float, default=30.0)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    printed: dict[str, object] = {}
    printed["exhaustive"] = exhaustive(arguments.instances)
    show("exhaustive", {"all": printed["exhaustive"]})  # type: ignore[dict-item]
    printed["photos"] = on_photos(arguments.data, arguments.photos, arguments.limit)
    show("photos", printed["photos"])  # type: ignore[arg-type]
    printed["random"] = hard(arguments.hard, arguments.limit)
    show("random", printed["random"])  # type: ignore[arg-type]
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
