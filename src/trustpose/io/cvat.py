"""Read skeletons labelled in CVAT: "CVAT for images 1.1" and "CVAT for video 1.1" (XML).

Format: CVAT's documentation ("XML annotation format"; MIT). `image` has name, width, height and a `skeleton` for each
person; a video has a `track` with a `skeleton` for each frame. A skeleton holds `points` with one "x,y" each, named by
`label`; `outside` says that it is not in the photo, `occluded` that it is hidden. Skeletons may have their points in
any order. DTDs, with which a small file can expand to gigabytes, are refused.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

from trustpose.files import InputError
from trustpose.io.labelled import LabelledPeople, LabelledPerson, check_point, photo_name, side

_MOST_FRAMES = 10_000_000


def fits(content: bytes) -> bool:
    """Return whether a file is XML with CVAT's root."""
    start = content[:4096].lstrip(b"\xef\xbb\xbf \r\n\t")
    return start.startswith(b"<") and b"<annotations" in start


def read(content: bytes, path: str) -> LabelledPeople:
    """Return the people of a file. Raises InputError."""
    root = _root(content, path)
    people = [*_of_images(root, path), *_of_tracks(root, path)]
    if not people and root.find(".//points") is not None:
        raise InputError(f"{path}: has points outside of skeletons, expected skeletons, one a person")
    has_occluded = any(v == 1 for person in people for *_, v in person.points.values())
    return LabelledPeople(people, has_occluded)


def _root(content: bytes, path: str) -> ElementTree.Element:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not XML in UTF-8") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{path}: has a document type definition (DTD), which CVAT does not write")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: is not valid XML ({str(error)[:100]})") from None


def _of_images(root: ElementTree.Element, path: str) -> Iterator[LabelledPerson]:
    for number, image in enumerate(root.findall("image")):
        location = f"{path}: image {number}"
        name = photo_name(image.get("name", ""), f"{location}: 'name'")
        size = side(image.get("width"), location), side(image.get("height"), location)
        for skeleton in image.findall("skeleton"):
            yield LabelledPerson(name, size, _points(skeleton, location))


def _of_tracks(root: ElementTree.Element, path: str) -> Iterator[LabelledPerson]:
    original = root.find("meta//original_size")
    sides = [None if original is None else original.findtext(name) for name in ("width", "height")]
    size = side(sides[0], f"{path}: original_size"), side(sides[1], f"{path}: original_size")
    for number, track in enumerate(root.findall("track")):
        for skeleton in track.findall("skeleton"):
            location, frame = f"{path}: track {number}", skeleton.get("frame", "")
            if not (frame.isascii() and frame.isdecimal()) or len(frame) > 9 or int(frame) > _MOST_FRAMES:
                raise InputError(f"{location}: 'frame': expected the frame's number, got {frame[:20]!r}")
            if skeleton.get("outside") == "1":
                continue
            points = _points(skeleton, f"{location}, frame {frame}")
            yield LabelledPerson(f"frame_{int(frame):06d}", size, points)


def _points(skeleton: ElementTree.Element, location: str) -> dict[str, tuple[float, float, int]]:
    points: dict[str, tuple[float, float, int]] = {}
    for point in skeleton.findall("points"):
        name = point.get("label", "")
        if not name or name in points:
            raise InputError(f"{location}: expected each point of a skeleton once, by its label, got {name[:30]!r}")
        if point.get("outside") == "1":
            points[name] = (0.0, 0.0, 0)
            continue
        text = point.get("points", "")
        try:
            x, y = map(float, text.split(","))
        except ValueError:
            raise InputError(f"{location}: point {name[:30]!r}: expected one x,y, got {text[:30]!r}") from None
        points[name] = (
            *check_point(x, y, f"{location}: point {name[:30]!r}"),
            1 if point.get("occluded") == "1" else 2,
        )
    return points
