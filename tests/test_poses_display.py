"""`Poses` for users: a short repr, joints by name, the photo they came from, tables, drawings, notebooks."""

import base64
import copy
import gc
import json
import pickle
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

import trustpose as tp
from tests.predict.tiny_people import write_people
from tests.tiny_onnx import photo_of_people
from trustpose.io.coco.results import read_results
from trustpose.poses import Keypoint, Poses, Truth
from trustpose.report.draw import draw_poses
from trustpose.skeletons import COCO_17


def filled(people: int = 3) -> Poses:
    """Poses with most fields filled."""
    random = np.random.default_rng(5)
    xy = random.uniform(5, 60, (people, 17, 2))
    return Poses(
        xy=xy,
        score=random.random((people, 17)),
        pose_score=random.random(people),
        quality=random.random((people, 17)),
        visibility=random.dirichlet(np.ones(3), (people, 17)),
        pose_quality=np.linspace(0.5, 0.9, people),
        box=np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1),
        image_id=np.arange(people) // 2,
        skeleton=COCO_17,
    )


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "7.png"
    cv2.imwrite(str(path), photo_of_people(2, seed=7)[0][..., ::-1])
    return path


@pytest.fixture
def predictor(tmp_path: Path) -> tp.Predictor:
    return tp.load(write_people(tmp_path / "people"))


def test_the_repr_is_one_line() -> None:
    line = repr(filled())
    assert line.startswith("Poses(3 people, 17 keypoints (coco17), 2 photos; filled: xy, score, ")
    assert len(repr(filled(2000))) < 200 and "track_id" not in line and "\n" not in line
    assert repr(Poses(xy=np.zeros((1, 1, 2)))) == "Poses(1 person, 1 keypoint (no skeleton); filled: xy)"
    truth = Truth(xy=np.zeros((2, 17, 2)), v=np.full((2, 17), 2), skeleton=COCO_17)
    assert repr(truth) == "Truth(2 people, 17 keypoints (coco17); filled: xy, v, iscrowd, num_keypoints)"


def test_a_joint_by_its_name() -> None:
    poses = filled()
    assert COCO_17.names == COCO_17.keypoints and COCO_17.names[9] == "left_wrist"
    wrist = poses["left_wrist"]
    assert isinstance(wrist, Keypoint) and (wrist.name, wrist.index, len(wrist)) == ("left_wrist", 9, 3)
    for name in ("xy", "score", "quality", "visibility"):
        column = getattr(poses, name)
        np.testing.assert_array_equal(getattr(wrist, name), column[:, 9])
        assert np.shares_memory(getattr(wrist, name), column)
    assert wrist.missing is None and wrist.visibility_label is None
    assert repr(wrist) == "Keypoint(left_wrist, number 9, of 3 poses; filled: xy, score, quality, visibility)"
    with pytest.raises(KeyError, match="'tail' is not a joint of coco17, which has nose, left_eye"):
        poses["tail"]
    with pytest.raises(ValueError, match="names are unknown"):
        replace(poses, skeleton=None)["nose"]


def test_people_by_a_condition() -> None:
    poses = filled()
    assert poses.pose_quality is not None
    good = poses[poses.pose_quality > 0.6]
    np.testing.assert_array_equal(good.xy, poses.xy[1:])
    np.testing.assert_array_equal(poses[[False, False, True]].xy, poses.xy[2:])
    assert len(poses[poses.pose_quality > 2]) == 0
    with pytest.raises(IndexError):
        poses[np.array([True, False])]


def test_the_photo_is_read_on_demand(predictor, photo) -> None:
    poses = predictor(photo)
    assert len(poses) == 2 and poses.photo().name == str(photo)
    pixels = cv2.imread(str(photo))[..., ::-1]
    np.testing.assert_array_equal(poses.image(), pixels)
    np.testing.assert_array_equal(poses[:1].image(), pixels)
    np.testing.assert_array_equal(predictor(str(photo))[1].image(), pixels)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(poses)).image(), pixels)
    both = predictor([photo, photo])
    np.testing.assert_array_equal(both.image(1), pixels)
    with pytest.raises(ValueError, match="the poses are on 2 photos, expected one of their ids"):
        both.image()
    photo.unlink()
    with pytest.raises(tp.InputError, match=r"7\.png: no such file"):
        poses.image()
    with pytest.raises(ValueError, match="the photo of these poses is not known; give it"):
        Poses(xy=poses.xy).draw()


def test_an_array_is_not_kept_alive(predictor) -> None:
    """Poses of all frames of a video must not hold the frames."""
    pixels = photo_of_people(2, seed=7)[0]
    poses = predictor(pixels)
    assert poses.image() is not None
    np.testing.assert_array_equal(poses.image(), pixels)
    copied = copy.deepcopy(poses)
    with pytest.raises(tp.InputError, match="no longer exists; give it"):
        copied.image()
    del pixels
    gc.collect()
    with pytest.raises(tp.InputError, match="the ndarray that the poses came from no longer exists"):
        poses.image()


def test_empty_poses_have_a_photo_too(predictor, tmp_path) -> None:
    path = tmp_path / "black.png"
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    nobody = predictor(path)[:0]
    assert len(nobody) == 0
    np.testing.assert_array_equal(nobody.draw(), np.zeros((64, 64, 3)))
    assert "<img" in nobody._repr_html_()


def test_joined_poses_keep_their_photos(predictor, photo, tmp_path) -> None:
    photo_path = tmp_path / "8.png"
    cv2.imwrite(str(photo_path), photo_of_people(2, seed=8)[0])
    both = predictor([photo, photo_path])
    joined = Poses.concatenate([both[:1], both[2:]])
    assert joined.photos is not None and [joined.photos[value].name for value in (0, 1)] == [
        str(photo),
        str(photo_path),
    ]
    assert Poses.concatenate([predictor(photo), predictor(photo_path)]).photos == {}, "image 0 is two photos"


def test_drawing(predictor, photo, tmp_path) -> None:
    poses = predictor(photo)
    expected = draw_poses(poses.image(), poses)
    np.testing.assert_array_equal(poses.draw(), expected)
    np.testing.assert_array_equal(poses.draw(photo), expected)
    np.testing.assert_array_equal(poses.draw(poses.image()), expected)
    np.testing.assert_array_equal(poses.draw(np.ascontiguousarray(poses.image()[..., ::-1]), channels="BGR"), expected)
    assert (poses.draw(legend=False) != expected).any()
    with pytest.raises(ValueError, match="channels: expected 'RGB' or 'BGR', got 'GBR'"):
        poses.draw(channels="GBR", image=photo)
    poses.save(tmp_path / "new" / "drawn.jpg")
    drawn = cv2.imread(str(tmp_path / "new" / "drawn.jpg"))[..., ::-1]
    assert np.abs(drawn.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_saved_poses_are_read_again(predictor, photo, tmp_path, suffix) -> None:
    poses, path = predictor(photo), tmp_path / f"out{suffix}"
    poses.save(path)
    reread_poses = read_results(path).poses
    np.testing.assert_array_equal(reread_poses.xy, poses.xy)
    np.testing.assert_array_equal(reread_poses.score, poses.score)
    poses[:0].save(path)
    if suffix == ".json":
        assert json.loads(path.read_text()) == []


def test_tables_name_photos_and_joints(predictor, photo, tmp_path) -> None:
    poses = predictor(photo)
    for tidy in (False, True):
        assert set(poses.to_pandas(tidy=tidy)["file_name"]) == {str(photo)}
        assert "file_name" in poses.to_arrow(tidy=tidy).column_names
    assert poses.to_pandas(tidy=True)["name"][:17].tolist() == list(poses.skeleton.names)
    poses.save(tmp_path / "tidy.csv", tidy=True)
    head, first, *_ = (tmp_path / "tidy.csv").read_text().splitlines()
    assert "name" in head.split(",") and "file_name" in head and "nose" in first.split(",") and str(photo) in first
    np.testing.assert_array_equal(Poses.from_pandas(poses.to_pandas()).xy, poses.xy)


def test_saving_is_refused(predictor, photo, tmp_path) -> None:
    poses = predictor(photo)
    with pytest.raises(tp.InputError, match=r"out\.xlsx: expected a name that ends in \.json, \.csv, \.parquet, \.jpg"):
        poses.save(tmp_path / "out.xlsx")
    with pytest.raises(ValueError, match="image: is for a drawing"):
        poses.save(tmp_path / "out.csv", poses.image())
    photo_path = tmp_path / "own.jpg"
    cv2.imwrite(str(photo_path), photo_of_people(2, seed=7)[0])
    before = photo_path.read_bytes()
    with pytest.raises(tp.InputError, match=r"own\.jpg: is the photo that the poses came from"):
        predictor(photo_path).save(photo_path)
    assert photo_path.read_bytes() == before


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its texts."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_a_notebook_shows_a_drawing_and_a_table(predictor, photo, tmp_path) -> None:
    hostile = tmp_path / "<script>alert(1)</script>'\".png".replace("/", "∕")
    hostile.write_bytes(photo.read_bytes())
    poses = predictor(hostile)
    page = Page(poses._repr_html_())
    tags = [tag for tag, _ in page.elements]
    assert "script" not in tags and tags.count("img") == 1 and tags.count("tr") == 3
    image = next(attributes for tag, attributes in page.elements if tag == "img")
    assert image["title"] == str(hostile) and set(image) == {"src", "alt", "title"}
    head, _, content = str(image["src"]).partition(",")
    assert head == "data:image/jpeg;base64"

    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert max(poses.image().shape) > max(drawn.shape) == 480
    assert repr(poses) in page.texts and str(hostile) in page.texts
    assert any(re.fullmatch(r"\w+ \(0\.\d\d\)", text) for text in page.texts), "a joint by its name"
    one = Page(poses[0]._repr_html_())
    assert set(COCO_17.names) <= set(one.texts)
    hostile.unlink()
    gone = Page(poses._repr_html_())
    assert "img" not in [tag for tag, _ in gone.elements] and any("no such file" in text for text in gone.texts)


def test_a_notebook_shows_many_people_and_large_photos_small(tmp_path) -> None:
    large = tmp_path / "large.jpg"
    cv2.imwrite(str(large), np.zeros((1000, 2000, 3), np.uint8))
    many = filled(30)
    assert Page(many._repr_html_()).elements.count(("table", {})) == 1, "no photo: a plain table"
    assert "… and 20 more" in Page(many._repr_html_()).texts
    from trustpose.predict.photos import PhotoFile

    changed_many = replace(many, photos={index: PhotoFile(large) for index in range(15)})
    shown = changed_many._repr_html_()
    assert shown.count("<img") == 3 and len(shown) < 100_000
    assert "<img" not in replace(changed_many, skeleton=None)._repr_html_()
