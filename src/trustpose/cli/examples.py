"""The examples at the end of each command's --help."""

EXAMPLES = {
    "trustpose": (
        "trustpose predict photos/",
        "trustpose audit --gt gt.json --results results.json --report page.html",
        "trustpose calibrate fit --gt gt.json --results mine.json --out cal.json",
        "trustpose predict --help",
    ),
    "predict": (
        "trustpose predict photo.jpg",
        "trustpose predict photos/ 'more/*.jpg' --out poses --fast",
        "trustpose predict clip.mp4 --out clip --track",
        "trustpose predict photos/ --out poses --resume",
        "trustpose predict photos/ --gt gt.json --model network.onnx --no-draw",
        "trustpose predict 's3://bucket/*.tar' --engine ray --address auto --out o",
    ),
    "audit": (
        "trustpose audit --gt gt.json --results results.json",
        "trustpose audit --gt gt.json a.json b.json --report page.html --images img",
        "trustpose audit --gt gt.json --before printed.json --after calibrated.json",
        "trustpose audit --gt gt.json --results results.json --json - | jq .ap.AP",
    ),
    "calibrate": (
        "trustpose calibrate fit --gt gt.json --results train.json --out cal.json",
        "trustpose calibrate apply --calibrator c.json --results r.json --out t.json",
    ),
    "fit": (
        "trustpose calibrate fit --gt gt.json --results train.json --out cal.json",
        "trustpose calibrate fit --gt gt.json --results r.json --out c.json --common",
    ),
    "apply": (
        "trustpose calibrate apply --calibrator c.json --results r.json --out t.json",
        "trustpose audit --gt gt.json --before r.json --after t.json",
    ),
    "cameras": (
        "trustpose cameras calibrate b/*.jpg --board 4x7 --square 60mm --out a.json",
        "trustpose cameras place a.json b.json --points scene.json --out cameras.json",
        "trustpose cameras convert Calib.qca.txt --out cameras.toml",
    ),
    "cameras place": (
        "trustpose cameras place a.json b.json --points scene.json --out cameras.json",
        "trustpose cameras place ab --results a --results b --height 2m --out c.yml",
    ),
    "cameras synchronise": (
        "trustpose cameras synchronise a.json b.json --fps 60",
        "trustpose cameras synchronise a b c --fps 60,60,30 --longest 2",
    ),
    "cameras calibrate": (
        "trustpose cameras calibrate b/*.jpg --board 4x7 --square 60mm --out a.json",
        "trustpose cameras calibrate b.mp4 --board 9x6 --square 25mm --out b.yml",
    ),
    "cameras convert": (
        "trustpose cameras convert Calib.qca.txt --out cameras.toml",
        "trustpose cameras convert a.json b.json --out both.json",
        "trustpose cameras convert calibration.toml --unit mm --out cameras.xml",
        "trustpose cameras convert panoptic.json --only '00_*' --out hd.json",
    ),
    "convert": (
        "trustpose convert openpose/ --out results.json",
        "trustpose convert labels/ --format ultralytics --gt gt.json --out r.json",
        "trustpose convert tracks.h5 --skeleton mouse.json --sigmas 0.05 --out r.json",
    ),
    "import": (
        "trustpose import checkpoint.pth --network hrnet-w32 --out hrnet",
        "trustpose predict photos/ --model hrnet",
    ),
    "suppress": (
        "trustpose suppress --results results.json --out kept.json",
        "trustpose suppress --results r.json --method soft-oks-nms --out kept.json",
    ),
    "smooth": (
        "trustpose smooth tracked.json --out smooth.json",
        "trustpose smooth tracked.json --images images.json --fill 25 --out s.json",
    ),
    "track": (
        "trustpose track results.json --out tracked.json",
        "trustpose track results.json --gt gt.json --out tracked.json",
        "trustpose track results.json --video clip.mp4 --out tracked.json",
        "trustpose track r.json --distance box --memory 10 --out tracked.json",
    ),
    "triangulate": (
        "trustpose triangulate --cameras c.toml cam1.json cam2.json --out people.csv",
        "trustpose triangulate --cameras c.toml cam1/ cam2/ --fps 60 --out p.trc",
        "trustpose triangulate --cameras c.toml a.json b.json --people 1 --out p.json",
    ),
    "shard": ("trustpose shard --gt gt.json --images photos --out shards",),
    "train": (
        "trustpose recipes",
        "trustpose train default-network --data coco --out model",
        "trustpose train default-network --data coco --out model --train.lr=3e-4",
        "trustpose predict photos/ --model model",
    ),
    "models": (
        "trustpose models",
        "trustpose models --adapters",
        "trustpose models --dir networks --json",
        "trustpose models --validate network.onnx",
    ),
    "recipes": (
        "trustpose recipes",
        "trustpose recipes --paper oks-net",
        "trustpose recipes default-network > mine.json",
    ),
    "serve": ("trustpose serve --port 8080",),
}


def examples(command: str) -> str:
    """Return a command's examples as the last paragraph of its --help, one a line."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in EXAMPLES[command])))  # \b: keep these line breaks
