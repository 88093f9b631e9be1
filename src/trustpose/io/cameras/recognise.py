"""One reader and one writer of camera files; the format is recognised from a file's content."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from trustpose.files import InputError, atomic_write, parse_json, read_bytes
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.geometry.expected_error import METRES, metres_of
from trustpose.io.cameras import opencv, panoptic, qualisys, shelf, toml_files, trustpose_json
from trustpose.names import expected_one_of

Format = Literal["trustpose", "pose2sim", "anipose", "freemocap", "qualisys", "opencv", "openpose", "panoptic", "shelf"]
FORMATS: Mapping[str, str] = {  # and the suffix of each one's files
    "trustpose": ".json",
    "pose2sim": ".toml",
    "anipose": ".toml",
    "freemocap": ".toml",
    "qualisys": ".txt",
    "opencv": ".yml",
    "openpose": ".xml",
    "panoptic": ".json",
    "shelf": ".json",
}
_JSON = {"trustpose": trustpose_json, "panoptic": panoptic, "shelf": shelf}


def read_cameras(
    path: str | Path | Sequence[str | Path], format: str | None = None, unit: str | None = None
) -> Cameras:
    """Read calibrated cameras, from a file of any known format.

    Args:
        path: a file, several files, or a folder with one file per camera.
        format: one of "trustpose", "pose2sim", "anipose", "freemocap", "qualisys", "opencv", "openpose", "panoptic" and
            "shelf"; by default recognised from the content.
        unit: of the file's translations (m, cm, mm, in, ft): needed for anipose's TOML and for OpenCV's files with a
            translation, which do not say it; overrides the format's for others.

    Returns:
        The cameras, in metres. A file with intrinsics alone gives a camera at the world's origin.

    Raises:
        InputError: naming the file, the camera and the field.

    Example:
        >>> tp.read_cameras("cameras.json").names
        ('cam0', 'cam1', 'cam2', 'cam3')
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"format: {expected_one_of(FORMATS, format)}")
    try:
        metres = None if unit is None else metres_of(unit)
    except ValueError as error:
        raise InputError(f"unit: {error}") from None
    paths = _files([path] if isinstance(path, (str, Path)) else path)
    cameras = [camera for file in paths for camera in _read(file, format, metres)]
    try:
        return Cameras(tuple(cameras))
    except ValueError as error:
        raise InputError(f"{paths[0]}: {error}") from None


def cameras_of(cameras: Cameras | str | Path | Sequence[str | Path], argument: str = "cameras") -> Cameras:
    """Return cameras as they are, or those of a file, of several or of a folder.

    Raises TypeError for anything else, naming what was expected and what came; InputError as `read_cameras`.
    """
    if isinstance(cameras, Cameras):
        return cameras
    is_list = isinstance(cameras, (list, tuple)) and all(isinstance(path, (str, Path)) for path in cameras)
    if isinstance(cameras, (str, Path)) or is_list:
        return read_cameras(cameras)
    raise TypeError(f"{argument}: expected Cameras or the path of their file, got {type(cameras).__name__}")


def _files(sources: Sequence[str | Path]) -> list[Path]:
    files: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = sorted(file for file in source.iterdir() if file.suffix.lower() in (".xml", ".yml", ".yaml"))
            if not inside:
                raise InputError(f"{source}: the folder holds no camera files (.xml, .yml, .yaml)")
            files += inside
        else:
            files.append(source)
    if not files:
        raise InputError("cameras: expected a file")
    return files


def _read(path: Path, expected: str | None, metres: float | None) -> list[Camera]:
    content = read_bytes(path, "cameras")
    kind, value = _recognise(content, path)
    if expected is not None and kind != expected:
        if {kind, expected} <= toml_files.METRES.keys():  # only these look alike
            kind = expected
        else:
            raise InputError(f"{path}: format: looks like {kind}'s, expected {expected}'s")
    name = str(path)
    if kind in _JSON:
        cameras = _JSON[kind].read(value, name, metres)
    elif kind in toml_files.METRES:
        metres_per_unit = metres or toml_files.METRES[kind]
        if metres_per_unit is None:
            units = ", ".join(METRES)
            raise InputError(
                f"{path}: unit: anipose's file does not state it; give that of the calibration board ({units})"
            )
        cameras = toml_files.read(value, name, metres_per_unit)
    elif kind == "qualisys":
        cameras = qualisys.read(value, name, metres)
    else:
        reader = opencv.read_openpose if kind == "openpose" else opencv.read
        cameras = reader(value, name, path.stem, metres)
    if not cameras:
        raise InputError(f"{path}: holds no camera")
    return cameras


def _recognise(content: bytes, path: Path) -> tuple[str, Any]:
    """Return the format and the parsed value."""
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:200]
    if start.startswith((b"{", b"[\n", b"[ ")) or path.suffix.lower() == ".json":
        value = parse_json(content, path)
        kind = next((kind for kind, module in _JSON.items() if module.fits(value)), None)
    elif start.startswith(b"<") and b"<opencv_storage" not in content[:4096]:
        kind, value = "qualisys", _xml(content, path)
    elif start.startswith((b"<", b"%YAML")):
        value = opencv.parse(content, str(path))
        is_camera = value.keys() & {"cameras", "camera_matrix", "cameraMatrix"}
        kind = "openpose" if opencv.is_openpose(value) else "opencv" if is_camera else None
    else:
        value = _toml(content, path)
        kind = toml_files.kind_of(value)
    if kind is None:
        raise InputError(f"{path}: is not a known camera file; expected one of {', '.join(FORMATS)}")
    return kind, value


def _toml(content: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: is not a camera file in JSON, XML or YAML, and not valid TOML ({error})") from None


def _xml(content: bytes, path: Path) -> ElementTree.Element:
    if b"<!ENTITY" in content:  # which can name other files, or grow without end
        raise InputError(f"{path}: holds an XML entity, expected plain XML")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: is not valid XML ({error})") from None
    if root.find("cameras") is None:
        raise InputError(f"{path}: is not a known camera file; expected one of {', '.join(FORMATS)}")
    return root


def write_cameras(cameras: Cameras, path: str | Path, format: str | None = None, unit: str | None = None) -> list[Path]:
    """Write cameras to a file, and return the files written.

    `format` is one of `FORMATS`; None takes it from the suffix: .json ours, .toml Pose2Sim's, .yml, .yaml and .xml
    OpenCV's, .qca.txt Qualisys'. anipose's TOML needs the `unit` of its translations. OpenPose's is a folder with one
    file a camera, to which `path` leads. Raises InputError if the format is unknown, or cannot hold a camera.
    """
    path = Path(path)
    kind = format or _of_suffix(path)
    if kind not in FORMATS:
        raise InputError(f"format: {expected_one_of(FORMATS, kind)}")
    if unit is not None and kind != "anipose":
        raise InputError(f"{path}: unit: only anipose's format leaves it open; that of {kind} is fixed")
    if kind == "openpose":
        files = {path / f"{camera.name}.xml": opencv.write_openpose(camera) for camera in cameras}
        if any(file.parent != path for file in files):
            raise InputError(f"{path}: a camera's name holds a folder, which OpenPose's files cannot")
    else:
        files = {path: _content(cameras, kind, path, unit)}
    for camera_path, content in files.items():
        with atomic_write(camera_path) as file:
            file.write(content)
    return list(files)


def _content(cameras: Cameras, kind: str, path: Path, unit: str | None) -> bytes:
    if kind in _JSON:
        return _JSON[kind].write(cameras)
    if kind == "qualisys":
        return qualisys.write(cameras)
    if kind == "opencv":
        return opencv.write(cameras, ".xml" if path.suffix.lower() == ".xml" else ".yml")
    if kind == "anipose" and unit is None:
        raise InputError(f"{path}: unit: anipose's format does not define it; state one ({', '.join(METRES)})")
    metres = metres_of(unit) if unit is not None else toml_files.METRES[kind]
    assert metres is not None
    return toml_files.write(cameras, kind, metres)


def _of_suffix(path: Path) -> str:
    """Return the format that a file's name asks for. Raises InputError if it asks for none."""
    name = path.name.lower()
    kinds = {".json": "trustpose", ".toml": "pose2sim", ".yml": "opencv", ".yaml": "opencv", ".xml": "opencv"}
    kind = "qualisys" if name.endswith(".qca.txt") else kinds.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: format: cannot be inferred from the name; expected one of {', '.join(FORMATS)}")
    return kind
