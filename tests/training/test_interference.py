"""CrowdPose's targets T + μ C, of two people in one photo: in crops, mirrored or not, and in a task's batches."""

from dataclasses import replace

import numpy as np
import pytest

from tests.people_cases import listed_people, person
from tests.training.tiny import tiny_recipe, tiny_task
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.codecs.joint_candidates import OtherJoints, joint_candidate_targets
from trustpose.datasets.augment import NOTHING, TrainingCrops
from trustpose.datasets.dataset_ops import join
from trustpose.files import InputError
from trustpose.skeletons import COCO_17
from trustpose.training.interference import OtherPeople


@pytest.fixture(scope="module")
def people():
    """Two people on photo 1, one on photo 2; a few joints unlabelled."""
    generator = np.random.default_rng(0)
    samples = []
    for number, photo in enumerate((1, 1, 2)):
        v = generator.choice([0, 1, 2], 17, p=[0.3, 0.2, 0.5])
        xy = generator.uniform(12, 58, (17, 2)) * (v > 0)[:, None]
        made = person(np.zeros((80, 80, 3), np.uint8), xy, v=v, box=[10.0, 10.0, 60.0, 70.0], number=number + 1)
        samples.append(replace(made, image_id=photo))
    return listed_people(samples, COCO_17)


def test_targets_are_t_plus_mu_c():
    """Two others, one joint of whom is not labelled; where both have one, the highest counts."""
    codec = HeatmapCodec(12, 16, 4.0, sigma=1.0)
    own, xy = np.array([[[8.0, 8.0], [30.0, 30.0]]]), np.array([[[20.0, 8.0], [4, 4]], [[22.0, 8.0], [40.0, 50.0]]])
    other_joints = OtherJoints(xy, np.array([[True, False], [True, True]]))
    found = joint_candidate_targets(codec, codec.encode(own), [other_joints], 0.5)
    y, x = np.mgrid[:16, :12] * 4.0

    def bump(position):
        return np.exp(-((x - position[0]) ** 2 + (y - position[1]) ** 2) / 2 / 16)

    expected = bump(own[0, 0]) + 0.5 * np.maximum(bump(xy[0, 0]), bump(xy[1, 0]))
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(found[0, 1], bump(own[0, 1]) + 0.5 * bump(xy[1, 1]), atol=1e-6)
    alone = joint_candidate_targets(codec, codec.encode(own), [other_joints], 0.0)
    np.testing.assert_array_equal(alone, codec.encode(own))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_others_are_in_the_crops_pixels_and_order(people, flip):
    crops = TrainingCrops(people, augmentation=replace(NOTHING, flip=flip))
    other_people = OtherPeople(people)
    own = [crops[row] for row in range(3)]
    found = other_people.of(own[0])  # the second person, whose box and so whose crop is the first's
    assert found.xy.shape == (1, 17, 2) and found.labelled[0].tolist() == (own[1].v > 0).tolist()
    np.testing.assert_allclose(found.xy[0][own[1].v > 0], own[1].xy[own[1].v > 0], atol=1e-9)
    assert len(other_people.of(own[2]).xy) == 0


def test_a_tasks_heatmaps_have_the_others(people):
    recipe = tiny_recipe()
    recipe = replace(recipe, data=replace(recipe.data, interference=0.5, augmentation="nothing", folds=0))
    task, plain = (tiny_task(replace(recipe, data=replace(recipe.data, interference=mu)), people) for mu in (0.5, 0.0))
    samples = [task.samples(0)[row] for row in range(3)]
    mixed, alone = task.collate(samples)["heatmaps"].numpy(), plain.collate(samples)["heatmaps"].numpy()
    extra = task.codec.encode(samples[1].xy[None], samples[1].v[None] > 0)[0]
    np.testing.assert_allclose(mixed[0] - alone[0], 0.5 * extra, atol=1e-6)
    np.testing.assert_array_equal(mixed[2], alone[2])
    assert extra.max() > 0.9


def test_people_of_two_data_sets_with_one_id_are_refused(people):
    twice = OtherPeople(join([people, people]))
    with pytest.raises(InputError, match="ids of their own"):
        twice.of(TrainingCrops(people)[0])
