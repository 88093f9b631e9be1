"""Reading photos against Pillow, in every colour form and orientation."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from trustpose.files import InputError
from trustpose.io.photos import image_size, read_image
from trustpose.predict.photos import as_rgb, read_pixels
from trustpose.predict.sources import find_photos


def _colours(height=60, width=80):
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def _pillow(path):
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def _compare(path, atol=1):
    ours = read_image(path)
    assert ours.dtype == np.uint8
    np.testing.assert_allclose(ours.astype(int), _pillow(path), atol=atol)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_orientation(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(_colours()).save(path, exif=exif, quality=95)
    assert read_image(path).shape[:2] == ((60, 80) if orientation < 5 else (80, 60))
    _compare(path)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *(("RGB", suffix) for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp", ".ppm", ".gif")),
        *(("L", suffix) for suffix in (".jpg", ".png", ".tif", ".pgm")),
        *(("CMYK", suffix) for suffix in (".jpg", ".tif")),
        *((mode, ".png") for mode in ("LA", "RGBA", "P", "1")),
        ("RGBA", ".webp"),
        ("RGBA", ".tif"),
    ],
)
def test_colour_forms(tmp_path, mode, suffix):
    path = tmp_path / f"photo{suffix}"
    image = Image.fromarray(_colours())
    if "A" in mode:
        image.putalpha(Image.fromarray(_colours()[..., 0]))
    options = {"lossless": True} if suffix == ".webp" else {}
    image.convert(mode).save(path, **options)
    # Pillow leaves a TIFF's colours as stored, OpenCV's TIFF reader multiplies alpha in
    if (mode, suffix) == ("RGBA", ".tif"):
        assert read_image(path).shape == (60, 80, 3)
    else:
        _compare(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_become_8(tmp_path, suffix, channels):
    colours = _colours()[..., :channels].astype(np.uint16)
    path = tmp_path / f"photo{suffix}"
    cv2.imwrite(str(path), colours[..., ::-1] * 256 + 77)
    # libtiff divides by 257, the others drop the low byte
    np.testing.assert_allclose(read_image(path).astype(int), np.broadcast_to(colours, (60, 80, 3)), atol=1)
    np.testing.assert_array_equal(as_rgb(colours * 256 + 77), np.broadcast_to(colours, (60, 80, 3)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_files_cut_short_are_errors_that_name_the_file(tmp_path, suffix, share):
    whole = io.BytesIO()
    Image.fromarray(_colours(600, 800)).save(whole, {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper()))
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * share)])
    with pytest.raises(InputError, match=r"photo\.\w+: cannot be decoded"):
        read_image(path)


def test_no_image_at_all(tmp_path):
    (tmp_path / "text.jpg").write_text("this is no photo")
    (tmp_path / "empty.jpg").touch()
    for name, message in (("text.jpg", "decoded"), ("empty.jpg", "empty"), ("none.jpg", "no such"), ("", "directory")):
        with pytest.raises(InputError, match=message):
            read_image(tmp_path / name)


def _png(width, height):
    """A whole PNG of one grey level: 32,000 × 32,000 pixels are 1 MB."""
    rows = zlib.compress(bytes(width + 1) * 1000) if height == 1000 else b""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return content


def test_too_many_pixels_are_refused_by_the_header(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(_png(32_000, 32_000))
    with pytest.raises(InputError, match=r"large.png: has 32000 × 32000 pixels, more than the limit of 250000000"):
        read_image(path)
    path.write_bytes(_png(1000, 1000))
    assert read_image(path).shape == (1000, 1000, 3)
    with pytest.raises(InputError, match=r"more than the limit of 999999 \(predict: --max-pixels\)"):
        read_image(path, max_pixels=999_999)


COLOUR = (".png", ".jpg", ".webp", ".tiff", ".bmp", ".gif", ".jp2", ".avif", ".ppm", ".pam", ".ras", ".hdr", ".pfm")


@pytest.mark.parametrize("suffix", [*COLOUR, ".pgm", ".pbm"])
@pytest.mark.parametrize("size", [(64, 48), (131, 200)])
def test_sizes_in_headers_are_those_that_opencv_decodes(suffix, size):
    shape = (*size, 3) if suffix in COLOUR else size
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    _, content = cv2.imencode(suffix, pixels.astype(np.float32) if suffix in (".hdr", ".pfm") else pixels)
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR)
    assert image_size(content.tobytes()) == decoded.shape[1::-1]


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}, {"exif": b"Exif\0\0"}])
def test_sizes_of_webp_files(options):
    file = io.BytesIO()
    Image.fromarray(_colours(60, 80)).save(file, "WEBP", **options)
    assert image_size(file.getvalue()) == (80, 60)


@pytest.mark.parametrize("options", [{"progressive": True}, {"big_tiff": True}, {}])
def test_sizes_of_what_pillow_writes(options):
    file = io.BytesIO()
    Image.fromarray(_colours(60, 80)).save(file, "JPEG" if "progressive" in options else "TIFF", **options)
    assert image_size(file.getvalue()) == (80, 60)


BROKEN = (b"", b"BM", b"\xff\xd8\xff", b"\xff\xd8\xff\xda", b"P6", b"II*\0" + b"\xff" * 4, b"RIFF", b"#?x", b"text")


@pytest.mark.parametrize("content", BROKEN)
def test_unknown_sizes(content):
    assert image_size(content) is None


def test_a_name_beyond_ascii(tmp_path):
    path = tmp_path / "Übung № 1.png"
    Image.fromarray(_colours()).save(path)
    _compare(path)


def test_arrays():
    colours = _colours()
    np.testing.assert_array_equal(as_rgb(np.dstack([colours, colours[..., 0]])), colours)
    for grey in (colours[..., 0], colours[..., :1]):
        np.testing.assert_array_equal(as_rgb(grey), np.repeat(colours[..., :1], 3, axis=2))
    for wrong in (colours[..., :2], colours.astype(float), colours[:0], np.zeros(3, np.uint8)):
        with pytest.raises(ValueError, match="image: expected"):
            as_rgb(wrong)


def test_finding_photos(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.PNG", "note.txt", ".hidden.jpg", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    a, b, c = tmp_path / "a.PNG", tmp_path / "b.jpg", tmp_path / "sub" / "c.jpg"
    assert find_photos([tmp_path]) == [a, b]
    assert find_photos([str(tmp_path / "*.jpg"), tmp_path]) == [b, a]
    assert find_photos([b, b, c]) == [b, c]
    assert find_photos([str(tmp_path / "**" / "*.jpg")]) == [b, c]
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in find_photos(["*.jpg"])] == ["b.jpg"]
    (tmp_path / "[1].jpg").touch()  # a file whose name looks like a pattern
    assert [path.name for path in find_photos(["[1].jpg"])] == ["[1].jpg"]
    (tmp_path / "none").mkdir()
    for source, message in (("none", "holds no photos"), ("x.jpg", "no such"), ("*.bmp", "no photo fits")):
        with pytest.raises(InputError, match=message):
            find_photos([source])


def test_heic(tmp_path):
    """A photo that is stored turned by a quarter, one with 10 bits and a grey one, as pillow-heif writes them."""
    heif = pytest.importorskip("pillow_heif", reason="extra heic: pillow-heif is not installed")
    pillow = pytest.importorskip("PIL.Image")
    colours = np.full((40, 64, 3), 240, np.uint8)
    colours[10:, :32] = (200, 30, 30)
    exif = pillow.Exif()
    exif[0x0112] = 6
    heif.from_pillow(pillow.fromarray(colours)).save(tmp_path / "turned.heic", quality=95, exif=exif.tobytes())
    deep = heif.from_bytes("RGB;16", (64, 40), (colours.astype(np.uint16) << 8).tobytes())
    deep.save(tmp_path / "deep.heic", quality=95)
    heif.from_bytes("L", (64, 40), colours[..., 1].tobytes()).save(tmp_path / "grey.heic", quality=95)
    expected = {"turned": np.rot90(colours, -1), "deep": colours, "grey": np.repeat(colours[..., 1:2], 3, axis=2)}
    for name, pixels in expected.items():
        read = read_pixels(tmp_path / f"{name}.heic")
        assert read.shape == pixels.shape and np.abs(read.astype(int) - pixels).mean() < 6, name
        with pytest.raises(InputError, match=rf"{name}\.heic: has \d+ × \d+ pixels, more than the limit of 100"):
            read_pixels(tmp_path / f"{name}.heic", max_pixels=100)
    content = (tmp_path / "deep.heic").read_bytes()
    (tmp_path / "cut.heic").write_bytes(content[:-80])
    with pytest.raises(InputError, match=r"cut\.heic: cannot be decoded as an image \("):
        read_pixels(tmp_path / "cut.heic")
