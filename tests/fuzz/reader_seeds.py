"""Valid files of tools, as the tests of their readers write them, and short videos with a title and sound."""

from pathlib import Path

import numpy as np

from tests.io import samples, test_label_tools, test_sleap, test_tensorflow_samples, test_videopose3d

_TITLE, _SIDES, _FRAMES = "fuzzed title", (64, 48), 6


def write_reader_seeds(folder: Path) -> None:
    """Write the folders sleap, videopose3d, samples, labels and animals."""
    for name in ("sleap", "videopose3d", "animals"):
        (folder / name).mkdir()
    test_sleap.project(folder / "sleap" / "clip.slp")
    test_sleap.analysis(folder / "sleap" / "clip.h5")
    test_sleap.analysis(folder / "sleap" / "dims.h5", dims=True)
    for protocol in (0, 2, 4):
        arrays = {"positions_2d": test_videopose3d.POSITIONS, "metadata": test_videopose3d.METADATA}
        test_videopose3d.archive(folder / "videopose3d" / f"data_2d_{protocol}.npz", arrays, protocol)
    texts = {
        "samples/movenet.csv": test_tensorflow_samples.movenet_csv(),
        "samples/pushups.csv": test_tensorflow_samples.mediapipe_csv(of_classes=False),
        "samples/pushups_up.csv": test_tensorflow_samples.mediapipe_csv(of_classes=True),
        "samples/1.json": test_tensorflow_samples.tfjs_poses(),
        "samples/2.json": test_tensorflow_samples.MP,
        "labels/annotations.xml": test_label_tools.cvat_images(),
        "labels/video.xml": test_label_tools.cvat_video(),
        "labels/studio.json": test_label_tools.label_studio(),
        "labels/via.json": test_label_tools.via(),
        "labels/via_project.json": {"_via_settings": {}, "_via_img_metadata": test_label_tools.via()},
        "labels/via.csv": test_label_tools.via_csv(),
        "animals/multi.csv": samples.DEEPLABCUT_MULTI,
    }
    for name, content in texts.items():
        samples.write(folder / name, content)
    for layout in ("fixed", "table"):
        samples.write_hdf5(folder / "animals" / f"{layout}.h5", samples.DEEPLABCUT_MULTI, layout)


def write_videos(folder: Path) -> None:
    """A video in each kind of container, with a title, a tone, and in the MP4 a flag that says how to turn it."""
    (folder / "videos").mkdir()
    for suffix, codec in ((".mp4", "libx264"), (".mov", "libx264"), (".mkv", "libx264"), (".avi", "mpeg4")):
        _write_video(folder / "videos" / f"clip{suffix}", codec)


def _write_video(path: Path, codec: str) -> None:
    import av

    width, height = _SIDES
    with av.open(str(path), "w") as file:
        file.metadata["title"] = _TITLE
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        if path.suffix == ".mp4":
            stream.set_display_rotation(90)
        sound = file.add_stream("aac", rate=8000, layout="mono")
        for number in range(_FRAMES):
            pixels = np.full((height, width, 3), 20 * number + 20, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
        for start in range(0, 4800, 800):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, start
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
