"""A new user's ten tasks: lines and seconds of each, beside other packages' way where they have one that runs here.

    python benchmarks/ten_tasks.py [--mediapipe FILE.task] [--show]

Each task is a script, run in a process of its own in an empty folder that holds photo.jpg, clip.mp4, gt.json, a.json
and b.json (two estimators' results on `train`), and other.json (the first one's on `dev`). Lines are those that are
not blank, imports included; seconds are of the whole process. Installation needs a package index. A peer without a
script has no such function, or one that cannot be run here: Ultralytics' needs a download of weights (AGPL-3.0) and
is left out.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import parser, run, timed

ROOT = Path(__file__).parents[1]
SHELL, PYTHON = "sh", "python"
Script = tuple[str, str]  # language, text

OURS: dict[str, Script] = {
    "1 install": (SHELL, f"python -m venv own\nown/bin/pip install -q {ROOT}"),
    "2 predict a photo": (SHELL, "trustpose predict photo.jpg --out photo"),
    "3 predict a video": (SHELL, "trustpose predict clip.mp4 --frames 30 --out clip"),
    "4 read the CSV in pandas": (
        PYTHON,
        'import pandas as pd\nimport trustpose as tp\n\ntp.load("default")("photo.jpg").save("poses.csv")\n'
        'print(pd.read_csv("poses.csv").describe())\n',
    ),
    "5 draw in a notebook": (
        PYTHON,
        'import trustpose as tp\n\nposes = tp.load("default")("photo.jpg")\nassert poses._repr_html_()\n',
    ),
    "6 audit": (SHELL, "trustpose audit --gt gt.json a.json --report audit.html --draws 100"),
    "7 compare two": (SHELL, "trustpose audit --gt gt.json a.json b.json --report both.html --draws 100"),
    "8 calibrate": (SHELL, "trustpose calibrate fit --gt gt.json --results a.json --out a.cal"),
    "9 use the calibrated file": (
        SHELL,
        "trustpose calibrate fit --gt gt.json --results a.json --out a.cal --method platt\n"
        "trustpose calibrate apply --calibrator a.cal --results other.json --out trusted.json",
    ),
    "10 use another estimator": (SHELL, "trustpose predict photo.jpg --model network.onnx --out other"),
}
_LANDMARKER = """import cv2
import mediapipe as mp
from mediapipe.tasks.python import BaseOptions, vision

options = vision.PoseLandmarkerOptions(base_options=BaseOptions("model.task"), num_poses=5{mode})
"""
MEDIAPIPE: dict[str, Script] = {
    "1 install": (SHELL, "python -m venv own\nown/bin/pip install -q mediapipe"),
    "2 predict a photo": (
        PYTHON,
        _LANDMARKER.format(mode="")
        + """with vision.PoseLandmarker.create_from_options(options) as landmarker:
    found = landmarker.detect(mp.Image.create_from_file("photo.jpg"))
image = cv2.imread("photo.jpg")
height, width = image.shape[:2]
for person in found.pose_landmarks:
    for joint in person:
        cv2.circle(image, (int(joint.x * width), int(joint.y * height)), 3, (0, 255, 0), -1)
cv2.imwrite("drawn.jpg", image)
""",
    ),
    "3 predict a video": (
        PYTHON,
        _LANDMARKER.format(mode=", running_mode=vision.RunningMode.VIDEO")
        + """video = cv2.VideoCapture("clip.mp4")
rate = video.get(cv2.CAP_PROP_FPS)
size = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
writer = cv2.VideoWriter("drawn.mp4", cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
with vision.PoseLandmarker.create_from_options(options) as landmarker:
    for number in range(30):
        is_there, frame = video.read()
        image = mp.Image(mp.ImageFormat.SRGB, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        found = landmarker.detect_for_video(image, int(number * 1000 / rate))
        for person in found.pose_landmarks:
            for joint in person:
                cv2.circle(frame, (int(joint.x * size[0]), int(joint.y * size[1])), 3, (0, 255, 0), -1)
        writer.write(frame)
writer.release()
""",
    ),
}
SUPERVISION: dict[str, Script] = {
    "1 install": (SHELL, "python -m venv own\nown/bin/pip install -q supervision"),
    "5 draw in a notebook": (
        PYTHON,
        'import cv2\nimport supervision as sv\nimport trustpose as tp\n\nposes = tp.load("default")("photo.jpg")\n'
        "points = poses.to_supervision()\n"
        'image = sv.EdgeAnnotator().annotate(cv2.imread("photo.jpg"), points)\n'
        'cv2.imwrite("drawn.jpg", sv.VertexAnnotator().annotate(image, points))\n',
    ),
}


def prepare(folder: Path, data: Path, bundle: Path | None) -> None:
    """Link the files that scripts read."""
    names = {
        "photo.jpg": data / "coco" / "dev" / "000000006894.jpg",
        "clip.mp4": data / "multiview" / "pose2sim" / "balancing" / "videos" / "cam01.mp4",
        "gt.json": data / "coco" / "train_gt.json",
        "a.json": data / "results" / "movenet-thunder.train.json",
        "b.json": data / "results" / "simplepose_flip.train.json",
        "other.json": data / "results" / "movenet-thunder.dev.json",
        "network.onnx": data / "networks" / "simplepose.onnx",
    }
    for name, target in names.items():
        (folder / name).symlink_to(target)
    spec = json.loads((data / "networks" / "simplepose.json").read_text()) | {"onnx": "network.onnx"}
    (folder / "network.json").write_text(json.dumps(spec))
    if bundle is not None:
        (folder / "model.task").symlink_to(bundle.resolve())


def run_script(script: Script, options) -> dict[str, float]:
    """Lines, and seconds of the script in a new folder. A script that fails ends the program with its output."""
    language, text = script
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), options.data, options.mediapipe)
        command = ["sh", "-ec", text] if language == SHELL else [sys.executable, "-c", text]
        timing = timed(lambda: subprocess.run(command, cwd=name, capture_output=True, text=True, check=False))
    if timing.result.returncode:
        sys.exit(f"{text}\n{timing.result.stdout}{timing.result.stderr}")
    return {"lines": sum(bool(line.strip()) for line in text.splitlines()), "seconds": round(timing.seconds, 2)}


def main(options):
    ways = {"trustpose": OURS, "supervision": SUPERVISION} | ({"MediaPipe": MEDIAPIPE} if options.mediapipe else {})
    result: dict[str, dict[str, dict[str, float]]] = {}
    for task in OURS:
        scripts = {name: tasks[task] for name, tasks in ways.items() if task in tasks}
        result[task] = {name: run_script(script, options) for name, script in scripts.items()}
        cells = (f"{name} {row['lines']:.0f} lines {row['seconds']:.1f} s" for name, row in result[task].items())
        print(f"{task:<28}{'   '.join(cells)}", flush=True)
        for name, (_, text) in scripts.items() if options.show else ():
            print(f"\n{name}:\n{text}")
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "mediapipe", "data")
    options_parser.add_argument("--show", action="store_true", help="print the scripts")
    run(main, options_parser)
