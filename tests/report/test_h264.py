"""H.264 videos as another reader (FFmpeg, through PyAV) sees them: codec, times, sound, rotation, size."""

import os
from fractions import Fraction

import cv2
import numpy as np
import pytest

from tests.small_disk import needs_root, small_disk
from trustpose.files import DiskError, InputError
from trustpose.io.video import Video
from trustpose.report import drawn_run
from trustpose.report.video import H264Writer, has_h264
from trustpose.skeletons import COCO_17

av = pytest.importorskip("av")

WIDTH, HEIGHT = 96, 64
EVEN = [1000 * index for index in range(20)]  # in 1/20000 s
UNEVEN = [0, 700, 1900, 2100, 5000, 5800, 6000, 9000, 9100, 12000, 13000, 13700, 15000, 15300, 19000, 19500]


def _frame(number):
    """Left red, right grey that changes with the number, the upper edge bright."""
    frame = np.full((HEIGHT, WIDTH, 3), 10 * number + 20, np.uint8)
    frame[:, : WIDTH // 2] = (200, 30, 30)
    frame[:12] = 240
    return frame


def _source(path, times=EVEN, sound="aac", rotation=0, rate=8000, codec="libx264"):
    """A video with frames at these times, one second of a tone and a flag that says how to turn it."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=20, options={"bf": "2"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 20000)
        if rotation:
            stream.set_display_rotation(rotation)
        track = file.add_stream(sound, rate=rate, layout="mono") if sound else None
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(_frame(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 20000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if track is not None:
            tone = (np.sin(np.arange(rate) / 5) * 9000).astype(np.int16)[None]
            for start in range(0, rate, 800):
                frame = av.AudioFrame.from_ndarray(tone[:, start : start + 800], format="s16", layout="mono")
                frame.sample_rate, frame.pts = rate, start
                file.mux(track.encode(frame))
            file.mux(track.encode(None))
    return path


def _copy(source, path, limit=None):
    """Every frame of a video, written again."""
    with Video(source) as video, H264Writer(path, video.width, video.height, video.frame_rate, source) as writer:
        for _, pixels in video.frames(limit):
            writer.write(pixels)
    return path


def _times(path):
    with av.open(str(path)) as file:
        return [float(frame.pts * frame.time_base) for frame in file.decode(video=0)]


def _sound(path):
    """The packets of the sound: their bytes and times in seconds."""
    with av.open(str(path)) as file:
        return [(bytes(one), float(one.pts * one.time_base)) for one in file.demux(audio=0) if one.size]


def test_what_browsers_need(tmp_path):
    """H.264 in 4:2:0 at a constant size, its table of frames before them, so that it plays while it loads."""
    made = _copy(_source(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    with av.open(str(made)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate, stream.frames) == (WIDTH, HEIGHT, 20, 20)
    content = made.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat") and content[4:8] == b"ftyp"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_pixels(tmp_path):
    made = _copy(_source(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    with Video(made) as video:
        frames = [pixels for _, pixels in video.frames()]
    with av.open(str(made)) as file:
        others = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == len(others) == 20
    for number, pair in enumerate(zip(frames, others, strict=True)):
        for pixels in pair:
            away = np.abs(pixels.astype(int) - _frame(number))
            assert away[16:-4, 4:44].mean() < 8 and away[16:-4, 52:-4].mean() < 8


@pytest.mark.parametrize("times", [EVEN, UNEVEN])
def test_frames_keep_their_times(tmp_path, times):
    source = _source(tmp_path / "in.mp4", times)
    made = _copy(source, tmp_path / "out.mp4")
    expected = [time / 20000 for time in times]
    np.testing.assert_allclose(_times(source), expected, atol=1e-6)
    np.testing.assert_allclose(_times(made), expected, atol=1e-6)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mp4", "libmp3lame"), ("mkv", "libopus")])
def test_sound_is_kept_as_it_is(tmp_path, suffix, codec):
    source = _source(tmp_path / f"in.{suffix}", sound=codec, rate=8000 if codec == "aac" else 48000)
    made = _copy(source, tmp_path / "out.mp4")
    (before, first), (after, second) = (zip(*_sound(path), strict=True) for path in (source, made))
    assert before == after
    np.testing.assert_allclose(np.array(first) - first[0], np.array(second) - second[0], atol=2e-3)


@pytest.mark.parametrize(("suffix", "codec", "video"), [("avi", "pcm_s16le", "mpeg4"), ("mov", "pcm_s16le", "libx264")])
def test_other_sound_becomes_aac(tmp_path, suffix, codec, video):
    made = _copy(_source(tmp_path / f"in.{suffix}", sound=codec, codec=video), tmp_path / "out.mp4")
    with av.open(str(made)) as file:
        assert file.streams.audio[0].codec_context.name == "aac"
        samples = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert abs(len(samples) - 8000) < 1200 and 0.1 < np.abs(samples).max() < 0.5


def test_the_sound_ends_with_the_frames(tmp_path):
    source = _source(tmp_path / "in.mp4")
    made = _copy(source, tmp_path / "out.mp4", limit=5)
    assert len(_times(made)) == 5
    assert len(_sound(source)) > 7 and 0.2 <= _sound(made)[-1][1] + 0.128 <= 0.4


def test_no_sound_stays_none(tmp_path):
    with av.open(str(_copy(_source(tmp_path / "in.mp4", sound=None), tmp_path / "out.mp4"))) as file:
        assert not file.streams.audio


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_video_is_upright(tmp_path, rotation):
    """Its frames are written turned, and no flag is left that would turn them again."""
    made = _copy(_source(tmp_path / "in.mp4", rotation=rotation), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "in.mp4")) as file:
        assert next(file.decode(video=0)).rotation % 360 in (rotation, 360 - rotation)
    with av.open(str(made)) as file:
        frame = next(file.decode(video=0))
    assert frame.rotation == 0
    turned = rotation % 180 != 0
    assert (frame.width, frame.height) == ((HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT))
    with Video(tmp_path / "in.mp4") as video:
        _, expected = next(iter(video.frames()))
    assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - expected).mean() < 6
    assert (
        expected[-6:].mean() > 200 if rotation == 180 else expected[:, :6].mean() > 200 or expected[:, -6:].mean() > 200
    )


def test_it_is_about_as_large_as_its_source(tmp_path):
    """Noise, which takes any number of bits, at the source's bit rate."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 120, 160, 3), dtype=np.uint8)
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as file:
        stream = file.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 160, 120, "yuv420p", 800_000
        for pixels in noise:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    ratio = _copy(source, tmp_path / "out.mp4").stat().st_size / source.stat().st_size
    assert 0.5 < ratio < 1.5


def test_without_a_source_frames_follow_at_a_rate(tmp_path):
    with H264Writer(tmp_path / "out.mp4", 81, 61, 12.5) as writer:
        for number in range(8):
            writer.write(_frame(number)[:61, :81])
    np.testing.assert_allclose(_times(tmp_path / "out.mp4"), np.arange(8) / 12.5, atol=1e-4)
    with Video(tmp_path / "out.mp4") as video:
        assert (video.width, video.height, video.frame_rate) == (80, 60, 12.5)


def test_the_same_frames_give_the_same_bytes(tmp_path):
    """Whatever memory they lie in, and at a width that x264 pads."""
    rng = np.random.default_rng(0)
    base = cv2.resize(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8), (600, 400))
    made, kept = set(), []
    for index in range(8):
        kept.append(np.full(int(rng.integers(1e5, 3e6)), index, np.uint8))
        with H264Writer(tmp_path / "out.mp4", 496, 330, 10.0) as writer:
            for start in range(6):
                writer.write(base[start : start + 330, start : start + 496])
        made.add((tmp_path / "out.mp4").read_bytes())
    assert len(made) == 1


def test_names_that_are_not_utf8(tmp_path):
    source, second_path = (tmp_path / os.fsdecode(name) for name in (b"\xff.mp4", b"\xfe.mp4"))
    _source(tmp_path / "in.mp4").rename(source)
    assert len(_times_of(_copy(source, second_path), tmp_path)) == 20


def _relabelled(path, label, replacement):
    """The file with these bytes of it replaced, which are as many."""
    content = path.read_bytes()
    assert content.count(label) and len(label) == len(replacement)
    path.write_bytes(content.replace(label, replacement))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_a_title_that_is_not_utf8(tmp_path, suffix):
    """As cameras and converters of Windows write it: in Latin-1."""
    source = tmp_path / f"in.{suffix}"
    with av.open(str(_source(tmp_path / "plain.mp4"))) as plain, av.open(str(source), "w") as file:
        file.metadata["title"] = "cafe on the corner"
        tracks = {stream.index: file.add_stream_from_template(stream) for stream in plain.streams}
        for packet in plain.demux():
            if packet.size:
                packet.stream = tracks[packet.stream.index]
                file.mux(packet)
    _relabelled(source, b"cafe on", b"caf\xe9 on")
    made = _copy(source, tmp_path / "out.mp4")
    np.testing.assert_allclose(np.diff(_times(made)), np.diff(EVEN) / 20000, atol=2e-3)
    assert len(_sound(made)) > 5


def test_sound_that_cannot_be_read_is_left_out(tmp_path):
    source = _relabelled(_relabelled(_source(tmp_path / "in.mp4"), b"mp4a", b"zzzz"), b"esds", b"zzzz")
    made = _copy(source, tmp_path / "out.mp4")
    assert len(_times(made)) == 20
    with av.open(str(made)) as file:
        assert not file.streams.audio


def test_a_source_that_only_opencv_reads_is_copied_without_its_times(tmp_path, monkeypatch):
    source = _source(tmp_path / "in.mp4", UNEVEN)
    opened, damaged = av.open, (str(source),)

    def damaged_source(name, *rest, **options):
        if name in damaged:
            raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input", name)
        return opened(name, *rest, **options)

    monkeypatch.setattr(av, "open", damaged_source)
    work = drawn_run.Sources(files=[source], video=source, frame_rate=20.0)
    note = drawn_run.PoseDrawings(work, tmp_path / "out", COCO_17).note
    assert note is not None and "written without sound, at a constant frame rate" in note and "\n" not in note
    made = _copy(source, tmp_path / "out.mp4")
    assert len(_times(made)) == len(UNEVEN) and not np.ptp(np.diff(_times(made))).round(6)


def _times_of(path, folder):
    return _times(path.rename(folder / "readable.mp4"))


def test_what_fails_leaves_nothing(tmp_path):
    with (
        pytest.raises(ValueError, match="expected a frame of 96 × 64, got 64 × 96"),
        H264Writer(tmp_path / "out.mp4", WIDTH, HEIGHT, 5.0) as writer,
    ):
        writer.write(_frame(0))
        writer.write(np.zeros((96, 64, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="too small"):
        H264Writer(tmp_path / "out.mp4", 1, 60, 5.0)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"out\.mp4: cannot be written"):
        H264Writer(tmp_path / "file" / "out.mp4", 80, 60, 5.0)


@needs_root
def test_a_full_disk(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 240, 320, 3), dtype=np.uint8)
    with small_disk(tmp_path / "disk", "256k") as disk:
        text = r"film\.mp4: cannot be written \((No space left on device|\d+ of 30 frames written, disk full\?)\)"
        with pytest.raises(DiskError, match=text), H264Writer(disk / "film.mp4", 320, 240, 10.0) as video:
            for pixels in noise:
                video.write(pixels)
        assert not list(disk.iterdir())


def test_the_codec_is_reported(tmp_path, monkeypatch):
    """With PyAV nothing; without it one line that says what the file is and how to get H.264."""
    assert has_h264()
    work = drawn_run.Sources(files=[tmp_path / "in.mp4"], video=_source(tmp_path / "in.mp4"), frame_rate=20.0)
    frames = [_frame(number) for number in range(3)]
    kinds = {}
    for has in (True, False):
        monkeypatch.setattr(drawn_run, "has_h264", lambda has=has: has)
        drawings = drawn_run.PoseDrawings(work, tmp_path / str(has), COCO_17)
        with drawings:
            for frame in frames:
                drawings.add(frame)
        with av.open(str(tmp_path / str(has) / "in.mp4")) as file:
            kinds[has] = (file.streams.video[0].codec_context.name, len(file.streams.audio), drawings.note)
    assert kinds[True] == ("h264", 1, None)
    codec, sounds, note = kinds[False]
    assert (codec, sounds) == ("mpeg4", 0)
    assert note is not None and "MPEG-4 Part 2, which browsers do not play" in note and '"trustpose[video]"' in note
    assert "\n" not in note
