"""`make demo`: people, poses and how far to trust them, on a photo; with the bundled models, offline.

    make demo                     # a freely licensed photo that matplotlib ships
    make demo PHOTO=yours.jpg     # any photo of yours

The drawn picture, the results as COCO JSON and a paragraph on which keypoints are reliable go to demo/.
"""

import sys
import time
from pathlib import Path

import cv2
from matplotlib import cbook

import trustpose as tp
from trustpose.poses import write_results
from trustpose.report.describe import read_out
from trustpose.report.draw import draw_poses

OUT = Path(__file__).parents[1] / "demo"


def run() -> None:
    photo = sys.argv[1] if len(sys.argv) > 1 else str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    if len(sys.argv) < 2:
        print("A photo that matplotlib ships: Grace Hopper, by James S. Davis, U.S. Navy, public domain.")
        print("For one of yours: make demo PHOTO=yours.jpg\n")
    started = time.perf_counter()
    predictor = tp.load("default", flip=True)
    try:
        poses = predictor(photo)
    except tp.InputError as error:
        sys.exit(f"{error}")
    seconds = time.perf_counter() - started

    OUT.mkdir(exist_ok=True)
    picture, results, paragraph = OUT / "poses.jpg", OUT / "results.json", OUT / "reading.txt"
    skeleton = predictor.skeleton
    drawn = draw_poses(cv2.imread(photo, cv2.IMREAD_COLOR_RGB), poses, skeleton)
    cv2.imwrite(str(picture), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    write_results(results, poses)
    text = read_out(poses, skeleton)
    paragraph.write_text(text + "\n", encoding="utf-8")
    print(text)
    print(f"\n{seconds:.1f} s. The picture: {picture}; every number: {results}; the paragraph: {paragraph}")
    print("Other photos, videos, networks: trustpose predict --help. How reliable scores are: trustpose audit --help.")


if __name__ == "__main__":
    run()
