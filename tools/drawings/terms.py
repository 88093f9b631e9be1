"""Drawings of the numbers in an audit: what OPKS, correlation, calibration error and headroom are."""

import math

import numpy as np
from svg import BLUE, GREY, INK, LIGHT, RED, SKY, Drawing, trust_colour

from trustpose.metrics.reliability import expected_calibration_error, pearson
from trustpose.skeletons import COCO_17


def opks() -> Drawing:
    """Rings of equal OPKS around an eye and a hip of the same person."""
    drawing = Drawing(760, 320, "Rings of equal OPKS around an eye and a hip")
    scale = 220.0  # √area of the person, pixels
    for x, name in ((130, "left_eye"), (420, "left_hip")):
        kappa = 2 * COCO_17.sigmas[COCO_17.keypoints.index(name)]
        drawing.text(x, 34, name.replace("_", " "), 16, "middle", bold=True)
        for wanted in (0.1, 0.5, 0.85):
            radius = scale * kappa * math.sqrt(-2 * math.log(wanted))
            drawing.circle(x, 160, radius, fill=trust_colour(wanted) + "55", stroke=trust_colour(wanted), width=2)
            if name == "left_hip":
                y = 100 + 60 * (0.1, 0.5, 0.85).index(wanted)
                drawing.line((x + radius * 0.9, 160 + (y - 160) * radius / 105), (x + 122, y), stroke=LIGHT, width=1)
                drawing.text(x + 128, y + 5, f"OPKS {wanted}: {radius:.0f} pixels away", 14)
        drawing.circle(x, 160, 3, fill=INK)
        radius = scale * kappa * math.sqrt(-2 * math.log(0.5))
        drawing.text(x, 300, f"OPKS 0.5 at {radius:.0f} pixels", 14, "middle", GREY)
    return drawing


def scores() -> Drawing:
    """Three made-up estimators with the same poses: r and ECE measure different things."""
    random = np.random.default_rng(3)
    oks = np.clip(random.beta(2.6, 1.5, 260), 0, 1)
    cases = (
        ("good order, too low", np.clip(oks * 0.55 + random.normal(0, 0.025, oks.size), 0, 1)),
        (
            "right on average, says little",
            np.clip(oks.mean() + 0.12 * (oks - oks.mean()) + random.normal(0, 0.06, oks.size), 0, 1),
        ),
        ("good order, right on average", np.clip(oks + random.normal(0, 0.05, oks.size), 0, 1)),
    )
    drawing = Drawing(760, 320, "Score against OKS for three made-up estimators")
    for column, (title, score) in enumerate(cases):
        left, top, side = 50 + 245 * column, 44, 190
        drawing.rect(left, top, side, side, fill="#f5f7f8", stroke=LIGHT)
        drawing.line((left, top + side), (left + side, top), stroke=GREY, width=1, dash="4 4")
        for one, other in zip(score, oks, strict=True):
            drawing.circle(left + one * side, top + side - other * side, 1.8, fill=BLUE)
        drawing.text(left + side / 2, 30, title, 14, "middle", bold=True)
        drawing.text(left + side / 2, top + side + 20, "score, 0 to 1", 13, "middle", GREY)
        r, ece = pearson(score, oks), expected_calibration_error(score, oks)
        drawing.text(left + side / 2, top + side + 50, f"r = {r:.2f}, ECE = {ece:.2f}", 15, "middle")
    drawing.text(14, 40, "OKS", 13, fill=GREY)
    return drawing


def ece() -> Drawing:
    """A reliability diagram with five bins, made up: the gap in each bin."""
    drawing = Drawing(700, 330, "A reliability diagram: mean OKS in bins of the score")
    left, top, side = 60, 24, 250
    drawing.rect(left, top, side, side, fill="#f5f7f8", stroke=LIGHT)
    for low, mean, count in ((0.0, 0.22, 60), (0.2, 0.45, 120), (0.4, 0.68, 240), (0.6, 0.86, 120), (0.8, 0.94, 60)):
        x, middle = left + low * side, low + 0.1
        drawing.rect(x + 3, top + side - mean * side, side / 5 - 6, mean * side, fill=SKY)
        drawing.line(
            (x + side / 10, top + side - middle * side), (x + side / 10, top + side - mean * side), stroke=RED, width=3
        )
        drawing.text(x + side / 10, top + side + 18, f"{count}", 12, "middle", GREY)
    drawing.line((left, top + side), (left + side, top), stroke=INK, width=1.5, dash="5 4")
    drawing.text(left + side / 2, top + side + 38, "score, in bins; below: number of poses", 13, "middle", GREY)
    drawing.text(16, top + 12, "OKS", 13, fill=GREY)
    for row, line in enumerate(
        (
            "bar: mean OKS of the poses in the bin",
            "dashed: a calibrated score",
            "red: the gap",
            "",
            "ECE: the mean gap, each bin",
            "counted by its poses.",
            "Here: " + _made_up_ece(),
        )
    ):
        drawing.text(340, 70 + 26 * row, line, 15)
    return drawing


def _made_up_ece() -> str:
    gaps, counts = np.array([0.12, 0.15, 0.18, 0.16, 0.04]), np.array([60, 120, 240, 120, 60])
    return f"{(gaps * counts).sum() / counts.sum():.2f}"


def headroom() -> Drawing:
    """AP by the printed scores, by a calibrator's, and by the true OKS, of SimplePose on dev (docs/calibration.md)."""
    drawing = Drawing(700, 240, "Headroom: the AP that better scores alone could gain")
    values = (("printed scores", 0.526, SKY), ("calibrated scores", 0.538, BLUE), ("true OKS as score", 0.568, GREY))
    left, low, wide = 170, 0.50, 400 / 0.08

    def place(ap: float) -> float:
        return left + (ap - low) * wide

    for row, (name, ap, colour) in enumerate(values):
        y = 30 + 44 * row
        drawing.text(left - 12, y + 20, name, 14, "end")
        drawing.rect(left, y, place(ap) - left, 28, fill=colour, radius=3)
        drawing.text(place(ap) + 8, y + 20, f"AP {ap:.3f}".replace("0.", "."), 14)
    printed, calibrated, oracle = (ap for _, ap, _ in values)
    drawing.line((place(printed), 22), (place(printed), 206), stroke=INK, width=1, dash="4 4")
    drawing.line((place(oracle), 22), (place(oracle), 206), stroke=INK, width=1, dash="4 4")
    drawing.arrow(place(printed), 184, place(oracle), 184, stroke=INK)
    drawing.text(
        (place(printed) + place(oracle)) / 2, 176, f"headroom .{round((oracle - printed) * 1000):03d}", 14, "middle"
    )
    share = (calibrated - printed) / (oracle - printed)
    drawing.text(place(printed), 226, f"the calibrator closes {share:.0%} of it", 14, fill=GREY)
    drawing.text(left, 226, "axis from .50", 12, fill=GREY)
    return drawing
