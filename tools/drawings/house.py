"""Drawings for docs/architecture.md: the layers, and two paths through them."""

from svg import GREY, INK, LIGHT, Drawing

LAYERS = [
    [("cli", "one file per command")],
    [("web", "the page of trustpose serve"), ("integrations", "FiftyOne, the Hugging Face hub")],
    [("training", "losses, stages, the loop"), ("report", "drawing, plots, the HTML page"), ("scale", "many machines")],
    [("predict", "photos and videos to poses"), ("export", "one ONNX graph, a model folder")],
    [("models", "what a model is on disk, and how it runs")],
    [("heads", "trust heads, one file per paper")],
    [
        ("evaluation", "the audit: one record of all numbers"),
        ("networks", "one file per paper"),
        ("multiview", "several cameras"),
        ("reviews", "accuracy, wrong labels"),
    ],
    [("measures", "joint angles with their errors")],
    [("calibration", "trust from results files")],
    [("tracking", "people over time")],
    [("datasets", "labels as arrays, pixels(i)")],
    [("io", "files in and out, one file per foreign tool")],
    [("codecs", "outputs ↔ keypoints"), ("grouping", "candidates to people"), ("metrics", "functions on arrays")],
    [("geometry", "boxes, crops, the one OKS kernel")],
    [("poses, images, skeletons, files", "the core records; safe file access")],
]
PHOTO = [
    ("photo", "predict/photos"),
    ("person boxes", "models/runtime"),
    ("crops", "predict/predictor"),
    ("network", "models/runtime"),
    ("keypoints", "codecs/heatmaps"),
    ("trust", "models/outputs/trust"),
    ("Poses", "poses"),
    ("suppression", "grouping/suppression"),
    ("results.json", "poses/poses"),
]
SHARD = [
    ("shard", "datasets/shards"),
    ("person", "datasets/people"),
    ("random crop", "datasets/augment"),
    ("occlusion, light", "datasets/occlusion"),
    ("batch", "training/crops"),
    ("network, head", "training/network_task"),
    ("losses", "training/losses"),
]


def layers() -> Drawing:
    """The packages; each imports only from rows below its own."""
    drawing = Drawing(880, 50 * len(LAYERS) + 20, "The packages of trustpose in layers")
    for row, packages in enumerate(LAYERS):
        y, width = 12 + 50 * row, 856 / len(packages)
        for column, (name, what) in enumerate(packages):
            x = 12 + width * column
            drawing.rect(x + 2, y + 2, width - 4, 44, fill="#eceff1", stroke=LIGHT, radius=5)
            drawing.text(x + width / 2, y + 20, name, 14, "middle", bold=True)
            drawing.text(x + width / 2, y + 37, what, 12, "middle", GREY)
    return drawing


def path(title: str, steps: list[tuple[str, str]], in_a_row: int) -> Drawing:
    """Steps from left to right, each with the module that does it."""
    rows = -(-len(steps) // in_a_row)
    drawing = Drawing(178 * in_a_row + 12, 78 * rows + 10, title)
    for number, (name, module) in enumerate(steps):
        row, column = divmod(number, in_a_row)
        x, y = 12 + 178 * column, 12 + 78 * row
        drawing.rect(x, y, 150, 52, fill="#eceff1", stroke=LIGHT, radius=5)
        drawing.text(x + 75, y + 22, name, 14, "middle", bold=True)
        drawing.text(x + 75, y + 40, module, 11, "middle", GREY)
        if number + 1 == len(steps):
            continue
        if column + 1 < in_a_row:
            drawing.arrow(x + 154, y + 26, x + 174, y + 26, stroke=INK)
        else:
            drawing.line((x + 75, y + 52), (x + 75, y + 65), (87, y + 65), stroke=INK)
            drawing.arrow(87, y + 65, 87, y + 76, stroke=INK)
    return drawing
