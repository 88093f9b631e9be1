"""The addresses where data sets are published, for messages about missing files."""

from pathlib import Path

from trustpose.files import InputError, read_bytes

SOURCES = {
    "AI Challenger": "https://github.com/AIChallenger/AI_Challenger_2017",
    "COCO": "https://cocodataset.org/#download",
    "COCO-WholeBody": "https://github.com/jin-s13/COCO-WholeBody",
    "CrowdPose": "https://github.com/Jeff-sjtu/CrowdPose",
    "DriPE": "https://projet.liris.cnrs.fr/dripe/",
    "FLIC": "https://bensapp.github.io/flic-dataset.html",
    "Halpe": "https://github.com/Fang-Haoshu/Halpe-FullBody",
    "LSP": "https://sam.johnson.io/research/lsp.html",
    "LSPET": "https://sam.johnson.io/research/lspet.html",
    "MPII": "http://human-pose.mpi-inf.mpg.de/",
    "OCHuman": "https://github.com/liruilong940607/OCHumanApi",
}
_FILES = {  # beginnings of the published files' names
    "mpii_": "MPII",
    "joints.mat": "LSPET",
    "examples.mat": "FLIC",
    "crowdpose_": "CrowdPose",
    "ochuman": "OCHuman",
    "keypoint_train_annotations": "AI Challenger",
    "keypoint_validation_annotations": "AI Challenger",
    "coco_wholebody_": "COCO-WholeBody",
    "halpe_": "Halpe",
    "dripe": "DriPE",
    "autob_coco_": "DriPE",
    "person_keypoints_": "COCO",
}

_EXPECTED = {"DriPE": "; expected its labels in COCO's layout, autob_coco_train.json, _val.json or _test.json"}


def read_labels_of(path: str | Path, dataset: str, expected: str = "labels") -> bytes:
    """Return the content of a data set's file. Raises InputError; for a missing one it says where to get it."""
    if not Path(path).exists():
        raise InputError(missing(path, dataset))
    return read_bytes(path, expected)


def missing(path: str | Path, dataset: str, kind: str = "file") -> str:
    """Return the message for a missing file or folder of a data set."""
    expected = _EXPECTED.get(dataset, "") if kind == "file" else ""
    return f"{path}: no such {kind}; {dataset} is published at {SOURCES[dataset]}{expected}"


def dataset_of_name(path: str | Path) -> str | None:
    """Return the data set that publishes a file of this name, None if unknown."""
    name = Path(path).name.lower()
    return next((dataset for start, dataset in _FILES.items() if name.startswith(start)), None)
