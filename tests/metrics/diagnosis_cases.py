"""One person of four joints, a neighbour, and random scenes of such people, for the tests of the error diagnosis."""

import numpy as np

from trustpose.poses import Poses, Truth

SIGMAS = np.array([0.05, 0.05, 0.1, 0.08])  # a joint on the midline, a left and right pair, one more
FLIP = np.array([0, 2, 1, 3])
AREA = 100.0**2
PERSON = np.array([[50.0, 10.0], [20.0, 60.0], [80.0, 60.0], [50.0, 110.0]])
NEIGHBOUR = PERSON + np.array([300.0, 0.0])


def people(*xy, v=None):
    xy = np.array(xy)
    v = np.full(xy.shape[:2], 2) if v is None else np.array(v)
    return Truth(
        xy=xy,
        v=v,
        area=np.full(len(xy), AREA),
        box=np.concatenate([xy.min(1), xy.max(1)], axis=1),
        image_id=np.ones(len(xy), dtype=int),
        annotation_id=np.arange(1, len(xy) + 1),
    )


def poses_of(*xy):
    return Poses(xy=np.array(xy), image_id=np.ones(len(xy), dtype=int))


def at_opks(target, keypoint):
    """Pixels from a joint at which OPKS is `target`."""
    return np.sqrt(-2 * AREA * (2 * SIGMAS[keypoint]) ** 2 * np.log(target))


def moved(keypoint, dx=0.0, dy=0.0, pose=PERSON):
    pose = pose.copy()
    pose[keypoint] += [dx, dy]
    return pose


def random_scene(seed):
    """People and poses of four joints in a few images: crowds, people without labels, duplicates, tied scores."""
    generator = np.random.default_rng(seed)
    count = generator.integers(1, 9)
    image_id = generator.integers(1, 4, count)
    size = generator.uniform(20, 200, count)
    xy = generator.uniform(0, 300, (count, 1, 2)) + generator.uniform(-0.5, 0.5, (count, 4, 2)) * size[:, None, None]
    v = generator.choice([0, 1, 2], (count, 4), p=[0.3, 0.2, 0.5])
    iscrowd = generator.random(count) < 0.1
    v[iscrowd | (generator.random(count) < 0.1)] = 0
    box = np.concatenate([xy.min(1), xy.max(1)], axis=1)
    truth = Truth(
        xy=xy,
        v=v,
        area=size**2 * 0.6,
        box=box,
        iscrowd=iscrowd,
        image_id=image_id,
        annotation_id=np.arange(1, count + 1),
    )
    source = generator.integers(0, count, generator.integers(1, 25))
    index = generator.integers(0, count, len(source))
    noise = generator.normal(size=(len(source), 4, 2)) * size[source, None, None]
    placed = xy[source] + noise * generator.choice([0, 0.02, 0.1, 0.5], (len(source), 1, 1))
    luck = generator.random((len(source), 4, 1))
    placed = np.where(luck < 0.2, placed[:, FLIP], np.where(luck > 0.85, xy[index], placed))
    poses = Poses(xy=placed, image_id=image_id[source])
    return poses, truth, np.round(generator.random(len(source)), 1)
