"""The valid files that mutations start from, one folder for each target: small, made up, deterministic."""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from tests.calibration.cases import fit, made_up
from tests.fuzz.reader_seeds import write_reader_seeds, write_videos
from tests.io import samples
from tests.multiview.rings import ring
from tests.people_cases import write_coco
from tests.predict.tiny_boxes import photo_of_dots, write_boxes
from tests.predict.tiny_people import write_people
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.calibration.options import FitOptions
from trustpose.calibration.selection import METHODS
from trustpose.datasets.photo_people import Cut, coco_people
from trustpose.datasets.sharding import ShardOptions, write_shards
from trustpose.io.cameras import FORMATS, write_cameras
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.io.poses3d import write_poses3d
from trustpose.poses import Poses3D, write_results
from trustpose.predict.journal import Journal
from trustpose.skeletons import COCO_17, OPENPOSE_BODY_25

HAS_TORCH = find_spec("torch") is not None
HAS_VIDEO = find_spec("av") is not None
PEOPLE = 30
IMAGE_ID = 7


def write_seeds(folder: Path) -> None:
    """Every target's folder."""
    _results(folder / "results")
    for write in (_photos, _network, _detector, _people, _shards, _poses, _recipe, _cameras, _poses3d):
        write(folder)
    write_reader_seeds(folder)
    if HAS_VIDEO:
        write_videos(folder)
    if HAS_TORCH:
        _checkpoints(folder / "checkpoints")


def _results(folder: Path) -> None:
    """gt.json, results.json with every field, and a calibrator of each method."""
    folder.mkdir(parents=True)
    truth, results = made_up(PEOPLE, spurious=4)
    (folder / "gt.json").write_text(json.dumps(_truth_json(truth)))
    names = list(COCO_17.keypoints)
    limbs = [[names[a], names[b]] for a, b in COCO_17.edges]
    skeleton = {"name": "mine", "keypoints": names, "limbs": limbs, "sigmas": COCO_17.sigmas.tolist()}
    (folder / "skeleton.json").write_text(json.dumps(skeleton | {"mirror_pairs": [names[1:3]], "sigmas_source": "me"}))
    for method in METHODS:
        fitted = fit(truth, results, FitOptions(folds=2, draws=5, method=method)).calibrator
        fitted.save(folder / f"{method}.cal")
    poses = fitted(results.poses)
    write_results(folder / "results.json", replace(poses, track_id=np.arange(len(poses))))


def _truth_json(file: TruthFile) -> dict:
    truth, names = file.truth, file.keypoint_names
    assert truth.box is not None and truth.area is not None and truth.image_id is not None
    annotations = [
        {
            "id": index + 1,
            "image_id": int(truth.image_id[index]),
            "category_id": 1,
            "iscrowd": 0,
            "area": float(truth.area[index]),
            "bbox": [*truth.box[index, :2].tolist(), *(truth.box[index, 2:] - truth.box[index, :2]).tolist()],
            "keypoints": np.c_[truth.xy[index], truth.v[index]].ravel().tolist(),
            "num_keypoints": int((truth.v[index] > 0).sum()),
        }
        for index in range(len(truth))
    ]
    images = [
        {"id": int(image_id), "file_name": f"{image_id:06d}.jpg", "width": 2000, "height": 2000}
        for image_id in file.images.id
    ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(names), "skeleton": [[1, 2]]}],
    }


def _photos(folder: Path) -> None:
    """A photo in every format that is read."""
    (folder / "photos").mkdir()
    photo = cv2.resize(photo_of_people(1, seed=3)[0], (64, 82))
    suffixes = (".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".jp2", ".avif", ".ppm", ".pam", ".ras", ".hdr")
    for suffix in suffixes:
        pixels = photo[..., ::-1].astype(np.float32) / 255 if suffix == ".hdr" else photo[..., ::-1]
        cv2.imwrite(str(folder / "photos" / f"{IMAGE_ID}{suffix}"), pixels)


def _network(folder: Path) -> None:
    """A pose network, a photo, its people's boxes as ground truth and as detections, and a journal of a run."""
    network = write_network(folder / "network").parent
    photo, _, boxes = photo_of_people(2, seed=1)
    cv2.imwrite(str(network / f"{IMAGE_ID}.png"), photo[..., ::-1])
    sides = np.c_[boxes[:, :2], boxes[:, 2:] - boxes[:, :2]].tolist()
    common = {"image_id": IMAGE_ID, "category_id": 1}
    found = [common | {"bbox": box, "score": 0.9} for box in sides]
    (network / "boxes.json").write_text(json.dumps(found))
    people = [common | {"id": index, "iscrowd": 0, "area": 1e4, "bbox": box} for index, box in enumerate(sides)]
    image = {"id": IMAGE_ID, "file_name": f"{IMAGE_ID}.png", "width": photo.shape[1], "height": photo.shape[0]}
    category = {"id": 1, "name": "person", "keypoints": [f"k{index}" for index in range(17)]}
    truth = {"images": [image], "annotations": people, "categories": [category]}
    (network / "gt.json").write_text(json.dumps(truth))
    (network / "out").mkdir()
    poses = made_up(3)[1].poses
    with Journal(network / "journal", {"model": "x"}, is_resumed=False) as journal:
        for image_id in (1, 2):
            journal.add(image_id, poses)
    if HAS_TORCH:  # and so onnx
        _trusted(network)


def _trusted(network: Path) -> None:
    """The pose network with trust, and a spec that has every field."""
    import onnx

    model = onnx.load_model(str(network / "colours.onnx"))
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["maps"], ["flat"]))
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["flat"], ["sure"], axes=[2, 3], keepdims=0))
    model.graph.output.append(onnx.helper.make_tensor_value_info("sure", onnx.TensorProto.FLOAT, ["batch", 17]))
    onnx.save_model(model, str(network / "trusted.onnx"))
    spec = json.loads((network / "colours.json").read_text())
    spec |= {"onnx": "trusted.onnx", "codec": "integral", "measured": {"AP": 0.5}}
    spec["output"] |= {"name": "maps", "temperature": 1.0, "sigma": 2.0}
    spec["trust"] = {"outputs": {"quality": "sure"}, "head": "x", "area": "box", "parameters": 3, "fitted_on": {"n": 1}}
    (network / "trusted.json").write_text(json.dumps(spec))


def _detector(folder: Path) -> None:
    write_boxes(folder / "detector")
    cv2.imwrite(str(folder / "detector" / f"{IMAGE_ID}.png"), photo_of_dots(160, 120, (60, 60, 250))[..., ::-1])


def _people(folder: Path) -> None:
    write_people(folder / "people")
    cv2.imwrite(str(folder / "people" / f"{IMAGE_ID}.png"), photo_of_dots(160, 120, (60, 60, 250))[..., ::-1])


def _shards(folder: Path) -> None:
    gt, photos = write_coco(folder / "coco", photos=2)
    people = coco_people(read_coco_truth(gt), photos)
    write_shards(people, folder / "shards", ShardOptions(Cut(64, 1.5), shard_size=8_000), {"labels": "gt.json"})
    shutil.rmtree(folder / "coco")


def _poses(folder: Path) -> None:
    """One file of each tool, about the first photo, and a ground truth."""
    people, name = samples.people(), next(iter(samples.PHOTOS))
    stem, width, height = Path(name).stem, *samples.PHOTOS[name][1:]
    body = samples.people(skeleton=OPENPOSE_BODY_25)
    files = {
        f"mmpose/{stem}.json": samples.mmpose_instances(people),
        f"ultralytics/{stem}.txt": samples.ultralytics_labels(people, width, height),
        f"detections/{stem}.json": samples.ultralytics_detections(people),
        f"openpose/{stem}_keypoints.json": samples.openpose_frame(body),
        "alphapose/alphapose-results.json": samples.alphapose_results(people, name),
        "detectron2/coco_instances_results.json": [
            {"image_id": 785, "category_id": 1, "score": 0.5, "keypoints": flat} for flat in samples.triplets(people)
        ],
        "deeplabcut/clip.csv": _deeplabcut(),
    }
    for path, value in files.items():
        samples.write(folder / "poses" / path, value)
        samples.write(folder / "poses" / Path(path).parent / "gt" / "gt.json", samples.ground_truth())
    (folder / "poses" / "hdf5").mkdir()
    for layout in ("fixed", "table"):
        samples.write_hdf5(folder / "poses" / "hdf5" / f"{layout}.h5", _deeplabcut(), layout)
    samples.write(folder / "poses" / "hdf5" / "gt" / "gt.json", samples.ground_truth())


def _deeplabcut() -> str:
    """Two body parts of one animal in three frames."""
    rows = [
        ("scorer", *["net"] * 6),
        ("bodyparts", *["nose"] * 3, *["tail"] * 3),
        ("coords", *["x", "y", "likelihood"] * 2),
    ]
    rows += [(str(frame), *(f"{frame + index + 0.5}" for index in range(6))) for frame in range(3)]
    return "".join(",".join(row) + "\n" for row in rows)


def _cameras(folder: Path) -> None:
    """Two cameras in every format, and points of their scene."""
    rig = ring(2)
    for kind, suffix in FORMATS.items():
        file = folder / "cameras" / kind / ("" if kind == "openpose" else f"rig{suffix}")
        write_cameras(rig, file, kind, "mm" if kind == "anipose" else None)
    write_cameras(rig, folder / "cameras" / "opencv" / "rig.xml", "opencv")
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], np.float64)
    points = {f"corner {index}": corner for index, corner in enumerate(corners.tolist())}
    shown = {camera.name: dict(zip(points, camera.project(corners).tolist(), strict=True)) for camera in rig}
    samples.write(folder / "scene" / "points.json", {"unit": "m", "points": points, "cameras": shown})
    rows = ["camera,point,u,v,x,y,z,unit"]
    rows += [
        ",".join([camera, name, *map(str, [*xy, *points[name]]), "m"])
        for camera, one in shown.items()
        for name, xy in one.items()
    ]
    samples.write(folder / "scene" / "points.csv", "\n".join(rows) + "\n")


def _poses3d(folder: Path) -> None:
    """Two people in three frames, in every format that is installed."""
    (folder / "world").mkdir()
    frame = np.repeat(np.arange(3), 2)
    xyz = np.random.default_rng(0).normal(0, 1, (6, 17, 3))
    poses = Poses3D(
        xyz,
        quality=np.full((6, 17), 0.5),
        covariance=np.tile(0.01 * np.eye(3), (6, 17, 1, 1)),
        frame=frame,
        time=frame / 25,
        track_id=np.tile([1, 2], 3),
        skeleton=COCO_17,
    )
    optional = [suffix for suffix, module in ((".parquet", "pyarrow"), (".c3d", "c3d")) if find_spec(module)]
    for suffix in [".json", ".csv", ".trc", *optional]:
        write_poses3d(folder / "world" / f"people{suffix}", poses[poses.track_id == 1] if suffix == ".trc" else poses)


def _recipe(folder: Path) -> None:
    (folder / "recipe").mkdir()
    if HAS_TORCH:
        from trustpose.training.recipe import to_json
        from trustpose.training.recipes import find_recipe

        (folder / "recipe" / "recipe.json").write_text(json.dumps(to_json(find_recipe("frozen-trust"))))


def _checkpoints(folder: Path) -> None:
    """A training's checkpoint after one epoch, a public checkpoint in both formats of torch, and safetensors."""
    import torch
    from safetensors.torch import save_file

    from tests.networks.caffemodels import caffemodel
    from tests.training.tiny import one_process, tiny_network, tiny_recipe, tiny_task
    from trustpose.training.loop import fit as train

    folder.mkdir()
    recipe = tiny_recipe(ema=0.9)
    task = tiny_task(recipe)
    train(task, recipe, folder, one_process())
    for path in folder.glob("*.csv"):
        path.unlink()
    tensors = {name: tensor.contiguous() for name, tensor in tiny_network().state_dict().items()}
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "public.pth")
    torch.save(tensors, folder / "older.pth", _use_new_zipfile_serialization=False)
    save_file(tensors, folder / "weights.safetensors")
    (folder / "net.caffemodel").write_bytes(caffemodel({name: [tensor.numpy()] for name, tensor in tensors.items()}))
