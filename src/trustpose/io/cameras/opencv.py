"""OpenCV's YAML and XML (`cv2.FileStorage`), and OpenPose's camera XML, which is one.

Formats: `camera_matrix`, `distortion_coefficients`, `image_width`, `image_height`, `fisheye_model` as OpenCV's sample
calibration.cpp writes them, or `cameraMatrix`, `dist_coeffs`, `cameraResolution` of its interactive-calibration.
Either may hold `rotation` (3 × 3) and `translation` from the world to the camera, and its `unit`: ours do; OpenCV
fixes none. Several cameras are the sequence `cameras` of such maps, each with its `name`.

OpenPose's (doc/advanced/calibration_module.md): one file NAME.xml a camera with `CameraMatrix` (3 × 4: rotation and
translation from the world, metres), `Intrinsics` (3 × 3) and `Distortion` (8); no image size.

The YAML and XML that OpenCV's `cv2.FileStorage` writes, read without it: a matrix of −1 columns makes it free memory
twice, which ends the process. XML: maps of elements, sequences of `<_>`, or of tokens between white space. YAML: a
subset of 1.0, maps and sequences by indentation or in brackets, without anchors. Both: matrices (`opencv-matrix`)
with `rows`, `cols`, the letter of their numbers in `dt` and `data` (OpenCV's documentation of "XML/YAML/JSON file
storages").
"""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any
from xml.etree import ElementTree

import cv2
import numpy as np

from trustpose.files import InputError
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.geometry.expected_error import METRES
from trustpose.io.cameras.values import Matrix, Vector, Vector2, Vector3, brown, image_size
from trustpose.json_records import OpenRecord, Shape, naming, read_record

Line = tuple[int, int, str]  # its number in the file, its indentation, its text without it

_DEEPEST = 20  # maps and sequences within one another
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,9})?")
_NOT_FINITE = {".nan": np.nan, ".inf": np.inf, "+.inf": np.inf, "-.inf": -np.inf}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(r'"((?:[^"]|"(?=\S))*)"(?!\S)|(\S+)')  # of XML, whose escapes are entities
_NAME = re.compile(rf"{_QUOTED}(?=\s*:)|[^\s:\"\[\]{{}}][^:]*")
_FLOW = re.compile(rf"\s*({_QUOTED}|'(?:[^']|'')*'|[\[\]{{}},:]|[^\s\[\]{{}},:\"][^\[\]{{}},:]*)")
_COMMENT = re.compile(rf"(?:[^\"#]|{_QUOTED}|\"|(?<=\S)#)*")
_CHANNELS = re.compile(r"(\d{0,2})[a-z]")


def parse_xml(content: bytes) -> Any:
    """Return the value of a file's root. Raises ValueError with the reason if it is not read."""
    if b"<!ENTITY" in content:  # which can name other files, or grow without end
        raise ValueError("holds an XML entity")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, RecursionError) as error:
        raise ValueError(f"{error}") from None
    return _of_element(root, 0)


def _of_element(element: ElementTree.Element, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"<{element.tag}>: more than {_DEEPEST} elements within one another")
    if any(child.tag != "_" for child in element):
        return _of_map([(child.tag, _of_element(child, depth + 1)) for child in element])
    items: list[Any] = _tokens(element.text)
    for child in element:
        items += [_of_element(child, depth + 1), *_tokens(child.tail)]
    is_sequence = len(element) or len(items) > 1
    return items if is_sequence else items[0] if items else None


def _tokens(text: str | None) -> list[float | str]:
    return [token[1] if token[2] is None else _scalar(token[2]) for token in _TOKEN.finditer(text or "")]


def parse_yaml(content: bytes) -> Any:
    """Return the value of a file. Raises ValueError with the reason if it is not read."""
    lines = _lines(content.decode("utf-8-sig"))
    if not lines:
        return None
    value, line = _block(lines, 0, 0)
    if line < len(lines):
        raise ValueError(f"line {lines[line][0]}: expected another indentation")
    return value


def _lines(text: str) -> list[Line]:
    """Return lines without comments and blank ones; what is in brackets is one line."""
    lines: list[Line] = []
    opened = 0
    for number, whole in enumerate(text.splitlines(), 1):
        match = _COMMENT.match(whole)
        line = (whole if match is None else match[0]).rstrip()
        if not line.strip() or (not opened and line.startswith(("%", "---", "..."))):
            continue
        indent = len(line) - len(line.lstrip(" "))
        if opened:
            lines[-1] = (*lines[-1][:2], f"{lines[-1][2]} {line.strip()}")
        else:
            lines.append((number, indent, line.lstrip(" ")))
        brackets = re.sub(_QUOTED, "", line)
        opened += sum(map(brackets.count, "[{")) - sum(map(brackets.count, "]}"))
    return lines


def _block(lines: list[Line], line: int, depth: int) -> tuple[Any, int]:
    """Return the map, sequence or scalar that begins at a line, and the line after it."""
    number, indent, text = lines[line]
    if depth > _DEEPEST:
        raise ValueError(f"line {number}: more than {_DEEPEST} maps and sequences within one another")
    if text == "-" or text.startswith("- "):
        return _sequence(lines, line, depth)
    if _entry(text) is None:
        return _flow(text, number), line + 1
    pairs = []
    while line < len(lines) and lines[line][1] == indent:
        number, _, text = lines[line]
        entry = _entry(text)
        if entry is None:
            raise ValueError(f"line {number}: expected a name and a value, got {text[:40]!r}")
        name, rest = entry
        line += 1
        if rest:
            value = _flow(rest, number)
        elif line < len(lines) and (
            lines[line][1] > indent or (lines[line][1] == indent and lines[line][2][:1] == "-")
        ):
            value, line = _block(lines, line, depth + 1)
        else:
            value = None
        pairs.append((name, value))
    return _of_map(pairs), line


def _entry(text: str) -> tuple[str, str] | None:
    """Return a line's name and the value after the colon, without a tag; None if it has no name."""
    match = _NAME.match(text)
    if match is None or not match[0]:
        return None
    name, value = match[0].rstrip(), text[match.end() :].lstrip()
    if value[:1] != ":" or not (value[1:2].isspace() or value == ":"):
        return None
    return (str(_scalar(name)) if name[0] == '"' else name), _without_tag(value[1:].lstrip())


def _without_tag(text: str) -> str:
    return text.partition(" ")[2].lstrip() if text.startswith("!") else text


def _sequence(lines: list[Line], line: int, depth: int) -> tuple[list[Any], int]:
    indent, items = lines[line][1], []
    while line < len(lines) and lines[line][1] == indent and (lines[line][2] == "-" or lines[line][2].startswith("- ")):
        number, _, text = lines[line]
        rest = _without_tag(text[1:].lstrip())
        if rest:  # what follows the dash is the first line of the item
            lines[line] = (number, indent + len(text) - len(rest), rest)
        else:
            line += 1
            if line == len(lines) or lines[line][1] <= indent:
                items.append(None)
                continue
        value, line = _block(lines, line, depth + 1)
        items.append(value)
    return items, line


def _flow(text: str, number: int) -> Any:
    """Return a value on one line: a scalar, or a sequence or map in brackets."""
    if text[:1] not in "[{":
        return _scalar(text)
    tokens, end = [], 0
    while end < len(text):
        match = _FLOW.match(text, end)
        if match is None:
            raise ValueError(f"line {number}: cannot be read from {text[end : end + 40]!r} on")
        tokens.append(match[1].rstrip())
        end = match.end()
    try:
        value, end = _bracket(tokens, 0, 0)
    except IndexError:
        raise ValueError(f"line {number}: a bracket is not closed") from None
    if end < len(tokens):
        raise ValueError(f"line {number}: expected nothing after the bracket, got {tokens[end][:40]!r}")
    return value


def _bracket(tokens: list[str], position: int, depth: int) -> tuple[Any, int]:
    if tokens[position] not in ("[", "{"):
        return _scalar(tokens[position]), position + 1
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} brackets within one another")
    is_map, closing = tokens[position] == "{", "}" if tokens[position] == "{" else "]"
    items: list[Any] = []
    position += 1
    while tokens[position] != closing:
        if tokens[position] in ("]", "}", ",", ":"):
            raise ValueError(f"expected a value or {closing!r}, got {tokens[position]!r}")
        value, position = _bracket(tokens, position, depth + 1)
        if is_map:
            if tokens[position] != ":":
                raise ValueError(f"expected ':', got {tokens[position][:40]!r}")
            key = value
            value, position = _bracket(tokens, position + 1, depth + 1)
            value = (str(key), value)
        items.append(value)
        if tokens[position] == ",":
            position += 1
        elif tokens[position] != closing:
            raise ValueError(f"expected ',' or {closing!r}, got {tokens[position][:40]!r}")
    return (_of_map(items) if is_map else items), position + 1


def _scalar(token: str) -> float | str:
    token = token.strip()
    if _NUMBER.fullmatch(token) and len(token) < 100:
        return float(token)
    if token.lower() in _NOT_FINITE:
        return _NOT_FINITE[token.lower()]
    if len(token) > 1 and token[0] == token[-1] and token[0] in "\"'":
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), token[1:-1], flags=re.DOTALL)
    return token


def _of_map(pairs: list[tuple[str, Any]]) -> Any:
    """Return a map, or the matrix that it describes. Raises ValueError if a name is there twice or sizes contradict the
    numbers."""
    value: dict[str, Any] = {}
    for name, item in pairs:
        if name in value:
            raise ValueError(f"field '{name[:40]}' is there twice")
        value[name] = item
    if not {"rows", "cols", "dt", "data"} <= value.keys():
        return value
    data = value["data"] if isinstance(value["data"], list) else [value["data"]]
    channels = _CHANNELS.fullmatch(str(value["dt"]))
    sides = [value["rows"], value["cols"], 1.0 if channels is None else float(channels[1] or 1)]
    if channels is None or not all(type(side) is float and side % 1 == 0 and side >= 0 for side in sides):
        raise ValueError(
            "a matrix: expected whole numbers of rows and cols, and a letter in dt, got "
            + ", ".join(f"{value[name]!r:.20}" for name in ("rows", "cols", "dt"))
        )
    if not all(type(number) is float for number in data) or len(data) != math.prod(sides):
        expected = " × ".join(f"{side:g}" for side in (sides if sides[2] > 1 else sides[:2]))
        raise ValueError(f"a matrix: expected {expected} numbers in data, got {len(data)} values")
    shape = [int(side) for side in (sides if sides[2] > 1 else sides[:2])]
    return np.array(data, dtype=np.float64).reshape(shape)


OPENPOSE_METRES = 1.0
_NAMES = {"cameraMatrix": "camera_matrix", "dist_coeffs": "distortion_coefficients"}


def parse(content: bytes, path: str) -> dict[str, Any]:
    """Return a file's content as plain Python. Raises InputError if it is no YAML or XML of OpenCV."""
    is_xml = content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
    try:
        value = parse_xml(content) if is_xml else parse_yaml(content)
    except ValueError as error:  # UnicodeDecodeError is one
        raise InputError(f"{path}: is not a YAML or XML file of OpenCV ({str(error)[:120]})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected OpenCV's YAML or XML with the names of its fields")
    return value


def is_openpose(value: dict[str, Any]) -> bool:
    """Return whether the fields are those of OpenPose's camera."""
    return {"CameraMatrix", "Intrinsics", "Distortion"} <= value.keys()


@dataclass(frozen=True, eq=False)
class _Camera(OpenRecord):
    """The fields of OpenCV's camera, by the names of its sample calibration.cpp."""

    camera_matrix: Matrix
    distortion_coefficients: Vector
    cameraResolution: Vector2 | None = None
    rotation: Matrix | None = None
    translation: Vector3 | None = None
    name: Any = None
    unit: Any = None
    fisheye_model: Any = None

    def __post_init__(self) -> None:
        if (self.rotation is None) != (self.translation is None):
            missing = "rotation" if self.rotation is None else "translation"
            raise ValueError(f"{missing}: is missing, expected rotation and translation, or neither")


@dataclass(frozen=True, eq=False)
class _OpenPoseCamera(OpenRecord):
    CameraMatrix: Annotated[np.ndarray, Shape(3, 4)]
    Intrinsics: Matrix
    Distortion: Vector


def read(value: dict[str, Any], path: str, name: str, metres: float | None) -> list[Camera]:
    """Return the cameras; a single one without a name is called `name`. Raises InputError."""
    listed = value.get("cameras")
    if isinstance(listed, list):
        return [_camera(item, path, f"cameras.{number}", f"{number}", metres) for number, item in enumerate(listed)]
    return [_camera(value, path, "", name, metres)]


def _camera(value: Any, path: str, field: str, name: str, metres: float | None) -> Camera:
    if isinstance(value, dict):
        value = {_NAMES.get(key, key): item for key, item in value.items()}
        if "image_width" in value and "image_height" in value:
            value["cameraResolution"] = [value["image_width"], value["image_height"]]
    camera = read_record(_Camera, value, path, field)
    rotation, translation = np.eye(3), np.zeros(3)
    with naming(path, field):
        if camera.rotation is not None and camera.translation is not None:
            rotation, translation = camera.rotation, camera.translation
            metres = metres or METRES.get(str(camera.unit))
            if metres is None and translation.any():
                raise ValueError(f"its unit of length is unknown; state it ({', '.join(METRES)})")
        matrix, distortion = camera.camera_matrix, camera.distortion_coefficients
        lens, size = (
            "fisheye" if camera.fisheye_model else "pinhole",
            image_size(camera.cameraResolution, "cameraResolution"),
        )
        return Camera(str(camera.name or name), matrix, distortion, rotation, translation * (metres or 1), size, lens)


def read_openpose(value: dict[str, Any], path: str, name: str, metres: float | None) -> list[Camera]:
    """Return OpenPose's camera, named after its file. Raises InputError."""
    camera = read_record(_OpenPoseCamera, value, path)
    rotation, translation = camera.CameraMatrix[:, :3], camera.CameraMatrix[:, 3] * (metres or OPENPOSE_METRES)
    with naming(path):
        return [Camera(name, camera.Intrinsics, camera.Distortion, rotation, translation)]


def write(cameras: Cameras, suffix: str) -> bytes:
    """Return the content of a `.xml` or `.yml` file with the cameras, metres."""
    storage = cv2.FileStorage(suffix, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    storage.startWriteStruct("cameras", cv2.FILE_NODE_SEQ)
    for camera in cameras:
        storage.startWriteStruct("", cv2.FILE_NODE_MAP)
        storage.write("name", camera.name)
        if camera.size is not None:
            storage.write("image_width", camera.size[0])
            storage.write("image_height", camera.size[1])
        storage.write("fisheye_model", int(camera.lens == "fisheye"))
        storage.write("camera_matrix", camera.matrix)
        storage.write(
            "distortion_coefficients", camera.distortion[:, None] if len(camera.distortion) else np.zeros((5, 1))
        )
        storage.write("rotation", camera.rotation)
        storage.write("translation", camera.translation[:, None])
        storage.write("unit", "m")
        storage.endWriteStruct()
    storage.endWriteStruct()
    return storage.releaseAndGetString().encode()


def write_openpose(camera: Camera) -> bytes:
    """Return the content of one camera's XML. Raises InputError if it has more than eight coefficients."""
    storage = cv2.FileStorage(".xml", cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    storage.write("CameraMatrix", np.concatenate([camera.rotation, camera.translation[:, None]], axis=1))
    storage.write("Intrinsics", camera.matrix)
    storage.write("Distortion", brown(camera, 8, "OpenPose's file")[:, None])
    return storage.releaseAndGetString().encode()
