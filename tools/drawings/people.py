"""Drawings of a made-up person behind a desk: scores beside trust, and what absent, occluded and visible mean."""

from svg import BLUE, GREY, INK, LIGHT, PAPER, SKY, Drawing, trust_colour

# where the joints are drawn, and for the estimator's guess of the legs, which are hidden
JOINTS = {
    "nose": (150, 84),
    "left_eye": (158, 76),
    "right_eye": (142, 76),
    "left_ear": (169, 80),
    "right_ear": (131, 80),
    "left_shoulder": (188, 130),
    "right_shoulder": (112, 130),
    "left_elbow": (226, 168),
    "left_wrist": (242, 112),
    "right_elbow": (90, 182),
    "right_wrist": (118, 214),
    "left_hip": (172, 226),
    "right_hip": (130, 226),
    "left_knee": (204, 262),
    "right_knee": (122, 276),
    "left_ankle": (232, 306),
    "right_ankle": (96, 318),
}
LIMBS = [
    ("left_ear", "left_eye"),
    ("right_ear", "right_eye"),
    ("left_eye", "nose"),
    ("right_eye", "nose"),
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_hip", "right_hip"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
]
TRUST = dict.fromkeys(JOINTS, 0.92) | {
    "left_elbow": 0.86,
    "left_wrist": 0.9,
    "right_elbow": 0.78,
    "right_wrist": 0.34,
    "left_hip": 0.47,
    "right_hip": 0.44,
}
OCCLUDED = ("right_wrist", "left_hip", "right_hip")
ABSENT = ("left_knee", "right_knee", "left_ankle", "right_ankle")
_SKIN, _SHIRT, _DESK, _LAPTOP = "#e3d5ca", "#b7c9d3", "#d7ccc8", "#90a4ae"


def scores_and_trust() -> Drawing:
    """The same pose twice: as an estimator prints it, and with trust."""
    drawing = Drawing(860, 400, "A person behind a desk: an estimator's scores, and the trust in each joint")
    for x, title in ((20, "An estimator's scores"), (440, "The same pose with trust")):
        drawing.rect(x, 46, 400, 300, fill="#f5f7f8", radius=6)
        drawing.text(x + 200, 32, title, size=17, anchor="middle", bold=True)
    _scene(drawing, 70)
    _raw(drawing, 70)
    _scene(drawing, 490)
    _trusted(drawing, 490)
    drawing.text(220, 372, "Hidden legs and the covered wrist score like the rest.", 14, "middle", GREY)
    _legend(drawing, 440, 366)
    return drawing


def _scene(drawing: Drawing, left: float) -> None:
    def at(name: str) -> tuple[float, float]:
        x, y = JOINTS[name]
        return x + left, y

    drawing.line(at("left_shoulder"), at("left_elbow"), at("left_wrist"), stroke=_SKIN, width=24)
    drawing.line(at("right_shoulder"), at("right_elbow"), at("right_wrist"), stroke=_SKIN, width=24)
    x, y = at("right_shoulder")
    drawing.rect(x - 14, y - 16, 104, 120, fill=_SHIRT, radius=22)
    drawing.rect(left + 138, 96, 24, 24, fill=_SKIN)
    drawing.circle(left + 150, 80, 30, fill=_SKIN)
    drawing.rect(left - 40, 236, 380, 100, fill=_DESK, radius=4)
    drawing.rect(left - 40, 232, 380, 12, fill="#bcaaa4", radius=4)
    drawing.rect(left + 78, 186, 78, 48, fill=_LAPTOP, radius=4)


def _raw(drawing: Drawing, left: float) -> None:
    for one, other in LIMBS:
        (x0, y0), (x1, y1) = JOINTS[one], JOINTS[other]
        drawing.line((x0 + left, y0), (x1 + left, y1), stroke=SKY, width=5)
    for name, (x, y) in JOINTS.items():
        drawing.circle(x + left, y, _radius(name), fill=SKY, stroke=INK)
    for name, score, dx, dy in (
        ("left_wrist", ".93", 12, 4),
        ("right_wrist", ".71", -38, -8),
        ("left_hip", ".82", 12, 4),
        ("right_hip", ".80", -38, 12),
        ("left_ankle", ".64", 12, 5),
        ("right_ankle", ".69", -38, 5),
        ("left_shoulder", ".95", 12, -4),
    ):
        _label(drawing, JOINTS[name][0] + left + dx, JOINTS[name][1] + dy, score)


def _trusted(drawing: Drawing, left: float) -> None:
    for one, other in LIMBS:
        if one in ABSENT or other in ABSENT:
            continue
        (x0, y0), (x1, y1) = JOINTS[one], JOINTS[other]
        colour = trust_colour(min(TRUST[one], TRUST[other]))
        drawing.line((x0 + left, y0), (x1 + left, y1), stroke=INK, width=6.5)
        drawing.line((x0 + left, y0), (x1 + left, y1), stroke=colour, width=5)
    for name, (x, y) in JOINTS.items():
        if name in OCCLUDED:
            drawing.circle(x + left, y, 7, fill="#ffffff", stroke=INK, width=4.5)
            drawing.circle(x + left, y, 7, stroke=trust_colour(TRUST[name]), width=2.5)
        elif name not in ABSENT:
            drawing.circle(x + left, y, _radius(name), fill=trust_colour(TRUST[name]), stroke=INK)
    for name, dx, dy in (("left_wrist", 12, 4), ("right_wrist", -42, -8), ("left_hip", 14, 4), ("right_hip", -42, 14)):
        _label(drawing, JOINTS[name][0] + left + dx, JOINTS[name][1] + dy, f"{TRUST[name]:.2f}".removeprefix("0"))
    _label(drawing, JOINTS["left_shoulder"][0] + left + 12, JOINTS["left_shoulder"][1] - 4, ".92")
    drawing.text(left + 150, 300, "knees, ankles: P(absent) .96", 14, "middle")
    drawing.text(left + 150, 320, "expected OKS of the pose .79", 14, "middle")


def _radius(name: str) -> float:
    return 3 if name.endswith(("nose", "eye", "ear")) else 5


def _label(drawing: Drawing, x: float, y: float, text: str) -> None:
    drawing.rect(x - 3, y - 12, 28, 16, fill="#ffffff", radius=3)
    drawing.text(x, y, text, 13)


def _legend(drawing: Drawing, x: float, y: float) -> None:
    for step in range(60):
        drawing.rect(x + 2 * step, y, 2.5, 12, fill=trust_colour(step / 59))
    drawing.text(x + 128, y + 11, "expected OPKS, 0 to 1", 14, fill=GREY)
    drawing.circle(x + 300, y + 6, 6, fill="#ffffff", stroke=BLUE, width=3)
    drawing.text(x + 314, y + 11, "occluded", 14, fill=GREY)


def visibility() -> Drawing:
    """Three arms: visible, occluded, absent."""
    drawing = Drawing(660, 210, "A wrist that is visible, occluded, and outside the photo")
    for column, (title, line) in enumerate(
        (
            ("visible, v = 2", "seen"),
            ("occluded, v = 1", "hidden, its place is clear"),
            ("absent, v = 0", "not labelled: outside, or no clue"),
        )
    ):
        x = 20 + 215 * column
        drawing.rect(x, 40, 190, 120, fill="#f5f7f8", stroke=LIGHT, radius=4)
        drawing.text(x + 95, 28, title, 15, "middle", bold=True)
        drawing.text(x + 95, 186, line, 13, "middle", GREY)
        end = (x + 150, 120) if column < 2 else (x + 190, 132)
        drawing.line((x + 40, 64), (x + 80, 110), end, stroke=_SKIN, width=24)
        if column == 2:  # what lies outside the photo
            drawing.rect(x + 190.5, 44, 14, 112, fill=PAPER)
        drawing.line((x + 40, 64), (x + 80, 110), end, stroke=GREY, width=2)
        drawing.circle(x + 40, 64, 5, fill=BLUE, stroke=INK)
        drawing.circle(x + 80, 110, 5, fill=BLUE, stroke=INK)
        if column == 0:
            drawing.circle(*end, 5, fill=BLUE, stroke=INK)
        elif column == 1:
            drawing.rect(x + 118, 92, 56, 60, fill=_LAPTOP, radius=4)
            drawing.circle(*end, 7, fill="#ffffff", stroke=BLUE, width=3)
    return drawing
