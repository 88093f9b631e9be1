"""Tags: maps in which the keypoints of one person have one number, encoded from labels; and joints filled in by tag.

Source: Newell, Huang, Deng, Associative Embedding, NIPS 2017, section 3.2. A trained network chooses its numbers
itself; those of labels are the ideal that its loss aims at: equal within a person, well apart between people. The tags
at heatmaps' peaks are read by `HeatmapCodec.candidates`, and grouped in `grouping.associative_embedding`.
"""

import numpy as np
from jaxtyping import Bool, Float

from trustpose.codecs import DecodedKeypoints
from trustpose.codecs.peaks import quarter_offset
from trustpose.geometry.crops import Grid

APART = 2.0  # between one person's tag and the next one's, twice the grouping's threshold


def encode_tags(
    xy: Float[np.ndarray, "P K 2"],
    labelled: Bool[np.ndarray, "P K"],
    grid: Grid,
    width: int,
    height: int,
    reach: float = 2.0,
) -> Float[np.ndarray, "K h w"]:
    """Return tag maps (K, height, width) float32 of one photo's people, numbered 0, 2, 4, …; xy in input pixels.

    Every cell within `reach` map pixels of a labelled keypoint has its person's number, that of the nearest where
    several are; all others are 0.
    """
    nearest = np.full((xy.shape[1], height, width), reach**2)
    tags = np.zeros(nearest.shape, np.float32)
    cells = grid.cells(xy)
    side = 2 * int(np.ceil(reach)) + 1
    for person, joint in np.argwhere(labelled):
        centre = cells[person, joint]
        first = np.floor(centre + 0.5).astype(np.int64) - side // 2
        low = first.clip(0, (width, height))
        high = (first + side).clip(0, (width, height))
        window = (joint, slice(low[1], high[1]), slice(low[0], high[0]))
        y, x = np.ogrid[low[1] : high[1], low[0] : high[0]]
        distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
        is_nearer = distance <= nearest[window]
        nearest[window][is_nearer] = distance[is_nearer]
        tags[window][is_nearer] = APART * person
    return tags


def best_by_tag(
    heatmaps: Float[np.ndarray, "K h w"], tags: Float[np.ndarray, "K T h w"], person: Float[np.ndarray, "P T"]
) -> DecodedKeypoints:
    """Return for every joint of people with these mean tags the likeliest position, xy (P, K, 2) in map pixels.

    It is the pixel with the highest heatmap minus the distance between its tag and the person's, rounded, moved a
    quarter pixel towards the higher neighbour; the score is the heatmap's there. This fills in joints that have no
    candidate above the threshold, as HigherHRNet's evaluation does (Cheng et al., CVPR 2020). Maps have one size.
    """
    keypoints, width = len(heatmaps), heatmaps.shape[2]
    xy = np.zeros((len(person), keypoints, 2))
    score = np.zeros((len(person), keypoints))
    for row, tag in enumerate(person):  # one at a time: bounds memory for crowds
        distance = np.sqrt(((tags - tag[:, None, None]) ** 2).sum(axis=1))  # (K, h, w)
        best = (heatmaps - np.rint(distance)).reshape(keypoints, -1).argmax(axis=1)
        y, x = np.divmod(best, width)
        xy[row] = quarter_offset(heatmaps[None], np.stack([x, y], axis=1)[None])[0]
        score[row] = heatmaps[np.arange(keypoints), y, x]
    return DecodedKeypoints(xy, score)
