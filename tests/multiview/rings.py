"""Made-up cameras in a ring around people, for tests of several views."""

import numpy as np

from trustpose.geometry.cameras import Camera, Cameras


def ring(count: int, distortion: tuple[float, ...] = (-0.1, 0.05, 0.001, -0.001, 0.01), radius: float = 4.0) -> Cameras:
    """Cameras at 1.5 m of height that look at (0, 0, 1), the world's z upwards."""
    cameras = []
    for index in range(count):
        angle = 2 * np.pi * index / count + 0.1
        centre = np.array([radius * np.cos(angle), radius * np.sin(angle), 1.5 + 0.2 * (index % 2)])
        forwards = np.array([0, 0, 1.0]) - centre
        forwards /= np.linalg.norm(forwards)
        right = np.cross(forwards, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forwards, right), forwards])
        matrix = np.array([[1000 + 20.0 * index, 0, 640], [0, 1010 + 20.0 * index, 480], [0, 0, 1]])
        cameras.append(Camera(f"cam{index}", matrix, np.array(distortion), rotation, -rotation @ centre, (1280, 960)))
    return Cameras(tuple(cameras))
