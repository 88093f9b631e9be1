"""The flip test of networks that see whole photos: the maps of a mirrored photo, brought back, are the photo's own."""

import numpy as np
import pytest

from tests.predict.tiny_fields import CODEC, HEIGHT, WIDTH, boxes_of, made_up_people
from trustpose.codecs.centres import CentrePoseCodec
from trustpose.codecs.composite_fields import joint_sizes
from trustpose.files import InputError
from trustpose.models.outputs.boxed import BoxedOutput
from trustpose.models.outputs.centres import CentreOutput
from trustpose.models.outputs.composite_fields import CompositeOutput
from trustpose.models.outputs.disks import DiskOutput
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.outputs.tags import TagOutput
from trustpose.networks.openpose import BODY_MAPS
from trustpose.skeletons import COCO_17, SKELETONS

FLIP = COCO_17.flip_index
STRIDE = CODEC.stride
MIDDLE = {
    "offset": (STRIDE - 1) / 2,
    "sigma": 1.0,
}  # of a cell's pixels: mirrored maps need no shift, and no interpolation
BONES = (*COCO_17.edges, (15, 16))  # mirrored, the last points the other way


@pytest.fixture
def people():
    return made_up_people(3)


def mirrored(xy, labelled):
    return (np.array([WIDTH - 1, 0]) - xy * (1, -1))[:, FLIP], labelled[:, FLIP]


def field_maps(output, xy, labelled):
    width, height = CODEC.width, CODEC.height
    heatmaps = output.heatmap_codec(width, height).encode_people(xy, labelled)
    fields = output.field_codec(width, height).encode(xy, labelled, width, height)
    return [heatmaps[None], fields[None]]


def centre_maps(output, xy, labelled, box):
    maps, _ = CentrePoseCodec(output.codec(CODEC.width, CODEC.height).heatmaps).encode(box, xy, labelled)
    return [maps.centre[None, None], maps.sides[None], maps.joints[None], maps.heatmaps[None]]


def test_fields(people):
    output = FieldOutput(17, STRIDE, BONES, **MIDDLE)
    one, other = field_maps(output, *people), field_maps(output, *mirrored(*people))
    for found, expected in zip(output.average_flipped(one, other, FLIP), one, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(one[1]).max() > 0.9 and np.abs(other[1] - one[1]).max() > 0.9


def test_fields_in_the_order_of_their_file_and_with_a_background(people):
    order = tuple(np.random.default_rng(0).permutation(len(BONES)).tolist())
    usual = FieldOutput(17, STRIDE, BONES, **MIDDLE)
    output = FieldOutput(17, STRIDE, BONES, **MIDDLE, background=True, field_order=order)

    def of_file(heatmaps, fields):
        pairs, stored = fields.reshape(len(BONES), 2, *fields.shape[2:]), np.zeros_like(fields)
        stored.reshape(pairs.shape)[list(order)] = pairs  # limb i is the file's pair order[i]
        return [np.concatenate([heatmaps, 1 - heatmaps.max(axis=1, keepdims=True)], axis=1), stored]

    one, other = (of_file(*field_maps(usual, *some)) for some in (people, mirrored(*people)))
    np.testing.assert_array_equal(output.outputs(one)["fields"], field_maps(usual, *people)[1])
    for found, expected in zip(output.average_flipped(one, other, FLIP), one, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("network", sorted(BODY_MAPS))
def test_imported_networks_have_all_mirror_images(network):
    """Mirrored twice, the maps are what they were."""
    body = BODY_MAPS[network]
    skeleton = SKELETONS[body.skeleton]
    output = FieldOutput(len(skeleton), 8.0, body.limbs, background=True, offset=3.5, field_order=body.maps)
    maps = [np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in output.shapes(64, 48)]
    nothing = [np.zeros_like(one) for one in maps]
    once = [2 * one for one in output.average_flipped(nothing, maps, skeleton.flip_index)]
    twice = [2 * one for one in output.average_flipped(nothing, once, skeleton.flip_index)]
    for one, other, changed in zip(maps, twice, once, strict=True):
        np.testing.assert_array_equal(one, other)
        assert (one != changed).any()


@pytest.mark.parametrize("offset", [0.0, (STRIDE - 1) / 2])
def test_composite_fields(people, offset):
    """A mirrored photo's fields lead to the same joints, whatever the cells' offset; ends may change places."""
    output = CompositeOutput(17, STRIDE, BONES, offset=offset)

    def maps(xy, labelled):
        size = joint_sizes(np.full(len(xy), 90.0**2), COCO_17.sigmas)
        fields = output.codec.encode(xy, labelled, size, CODEC.width, CODEC.height)
        return [field.reshape(1, -1, *field.shape[2:]) for field in fields]

    photo, mirror = maps(*people), maps(*mirrored(*people))
    averaged = output.average_flipped([np.zeros_like(field) for field in photo], mirror, FLIP)
    alone = output.decode(photo, WIDTH, HEIGHT)
    assert len(alone.xy) == 3 and not alone.missing[:2].any()
    back = output.decode(averaged, WIDTH, HEIGHT)
    order, mirrored_order = (np.argsort(found.xy[:, 0, 0]) for found in (alone, back))
    np.testing.assert_array_equal(back.missing[mirrored_order], alone.missing[order])
    np.testing.assert_allclose(back.xy[mirrored_order], alone.xy[order], atol=1e-3)
    few = CompositeOutput(17, STRIDE, ((5, 7), (6, 8), (7, 9)))
    with pytest.raises(InputError, match=r"expected the mirror image of \[7, 9\]"):
        few.average_flipped(*([field[:, :21] if number else field for number, field in enumerate(photo)],) * 2, FLIP)


@pytest.mark.parametrize("offset", [0.0, (STRIDE - 1) / 2])
def test_disks(people, offset):
    """A mirrored photo's offsets lead to the same keypoints and masks, whatever the cells' offset."""
    sigmas = tuple(COCO_17.sigmas.tolist())
    output = DiskOutput(17, STRIDE, BONES, sigmas, person="person", long="long", offset=offset, radius=16.0)

    def maps(xy, labelled):
        disks, short, middle, _ = output.codec.encode(xy, labelled, CODEC.width, CODEC.height)
        masks = np.zeros((len(xy), CODEC.height, CODEC.width), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, np.rint(boxes_of(xy, labelled) / STRIDE).astype(int), strict=True):
            mask[y0:y1, x0:x1] = True
        person, long, _ = output.codec.encode_people(xy, labelled, masks)
        return [array[None] for array in (disks, short, middle, person, long)]

    photo, mirror = maps(*people), maps(*mirrored(*people))
    averaged = output.average_flipped([np.zeros_like(array) for array in photo], mirror, FLIP)
    assert [array.shape for array in averaged] == output.shapes(WIDTH, HEIGHT)
    averaged[3] *= 2  # the mean with zeros
    (alone, masks), (back, back_masks) = (output.decode_masks(view, WIDTH, HEIGHT) for view in (photo, averaged))
    order, mirrored_order = (np.argsort(decoded.xy[:, 0, 0])[:3] for decoded in (alone, back))
    joints = [joint for joint in range(17) if joint != COCO_17.index("left_wrist")]
    np.testing.assert_allclose(back.xy[mirrored_order][:, joints], alone.xy[order][:, joints], atol=1e-3)
    np.testing.assert_allclose(alone.xy[order][:, joints], people[0][:, joints], atol=1e-3)
    shared = (back_masks[mirrored_order] & masks[order]).sum(axis=(1, 2))
    assert (shared > 0.85 * (back_masks[mirrored_order] | masks[order]).sum(axis=(1, 2))).all()
    few = DiskOutput(17, STRIDE, ((5, 7), (6, 8), (7, 9)), sigmas)
    with pytest.raises(InputError, match=r"expected the mirror image of \[7, 9\]"):
        few.average_flipped(*([photo[0], photo[1], photo[2][:, :12]],) * 2, FLIP)


def test_a_limb_without_its_mirror_image_is_named(people):
    output = FieldOutput(17, STRIDE, ((5, 7), (6, 8), (7, 9)), **MIDDLE)
    maps = field_maps(output, *people)
    with pytest.raises(InputError, match=r"expected the mirror image of \[7, 9\]"):
        output.average_flipped(maps, maps, FLIP)


def test_tags_are_the_photos_own(people):
    output = TagOutput(17, STRIDE, tuple(range(17)), **MIDDLE)
    codec = output.codec(CODEC.width, CODEC.height)
    one, other = (codec.encode_people(*some)[None] for some in (people, mirrored(*people)))
    tags = np.random.default_rng(0).normal(size=one.shape).astype(np.float32)
    heatmaps, of_photo = output.average_flipped([one, tags], [other, -tags], FLIP)
    np.testing.assert_allclose(heatmaps, one, atol=1e-5)
    np.testing.assert_array_equal(of_photo, tags)


def test_centres(people):
    """Boxes are between pixels, so that a mirrored one ends at the width minus its beginning."""
    xy, labelled = people
    output, box = CentreOutput(17, STRIDE, **MIDDLE), boxes_of(xy, labelled)
    across = np.stack([WIDTH - box[:, 2], box[:, 1], WIDTH - box[:, 0], box[:, 3]], axis=1)
    one = centre_maps(output, xy, labelled, box)
    other = centre_maps(output, *mirrored(xy, labelled), across)
    found = output.average_flipped(one, other, FLIP)
    np.testing.assert_allclose(found[3], one[3], atol=1e-5)
    whole, alone = (output.decode(maps, WIDTH, HEIGHT) for maps in (found, one))
    assert len(whole.xy) == len(alone.xy) == 3
    order, own = (np.argsort(people.xy[:, 0, 0]) for people in (whole, alone))
    at = np.argsort(xy[:, 0, 0])
    np.testing.assert_allclose(whole.xy[order][labelled[at]], alone.xy[own][labelled[at]], atol=1e-3)
    np.testing.assert_allclose(whole.box[order], alone.box[own], atol=1e-3)

    boxed = BoxedOutput(17, STRIDE, **MIDDLE)
    without_joints = [[maps[0], maps[1], maps[3]] for maps in (one, other, found)]
    for flipped, expected in zip(boxed.average_flipped(*without_joints[:2], FLIP), without_joints[2], strict=True):
        np.testing.assert_array_equal(flipped, expected)
