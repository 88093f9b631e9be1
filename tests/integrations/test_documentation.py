"""The snippets of docs/integrations.md run as they are copied, on made-up files; its hub is on this computer."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import trustpose as tp
from tests.conftest import REPOSITORY
from tests.docs.made_up import write_files
from tests.integrations.hub_server import running_hub, use, write_model
from trustpose.extras import not_installed

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "docs" / "integrations.md").read_text(encoding="utf-8")
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}


def snippets(section: str, language: str) -> list[str]:
    """The snippets of a section in a language."""
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", SECTIONS[section], re.M | re.S)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(section: str) -> dict[str, Any]:
    """Run the Python snippets of a section in order; return what they define."""
    names: dict[str, Any] = {"tp": tp}
    for code in snippets(section, "python"):
        exec(compile(code, f"docs/integrations.md, {section}", "exec"), names)
    return names


@pytest.mark.usefixtures("files")
def test_fiftyone() -> None:
    fiftyone: Any = pytest.importorskip("fiftyone", reason="the extra `fiftyone` is not installed")
    try:
        fiftyone.list_datasets()
    except Exception as error:
        if os.environ.get("FIFTYONE_DATABASE_URI"):
            raise
        pytest.skip(f"FiftyOne's database does not start here: {' '.join(str(error).split())[:80]}")
    names = run("FiftyOne")
    names["dataset"].delete()
    first_content, back = (json.loads(Path(name).read_text()) for name in ("results.json", "checked.json"))
    assert len(names["poses"]) == len(first_content) == 60 and back == first_content


def test_the_hub(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
    with running_hub() as hub:
        use(monkeypatch, hub.address)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(files / "cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        folder = write_model(files / "model")
        hub.commit("ada/colours", {name: (folder / name).read_bytes() for name in ("model.json", "model.onnx")})
        names = run("The Hugging Face hub")
    assert names["name"].startswith("hf:ada/colours@") and names["predictor"].name == "seventeen colours"


@pytest.mark.usefixtures("files")
def test_supervision() -> None:
    pytest.importorskip("supervision", reason="the extra `supervision` is not installed")
    names = run("supervision")
    assert len(names["poses"]) == len(names["key_points"].xy) >= 1


@pytest.fixture(scope="module")
def first_audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the section on continuous integration, after its commands."""
    folder = tmp_path_factory.mktemp("repository")
    write_files(folder)
    (code,) = snippets("Continuous integration", "python")
    (folder / "check_audit.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", PATH)
        for line in snippets("Continuous integration", "sh"):
            assert shell(line).returncode == 0
    return folder


@pytest.fixture
def repository(first_audit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, and trustpose's commands."""
    shutil.copytree(first_audit, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", PATH)
    return tmp_path


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-ec", line], capture_output=True, text=True, check=False)


def make_worse(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    for row in results:
        row["keypoints"] = [keypoint + 6 * (index % 3 == 0) for index, keypoint in enumerate(row["keypoints"])]
    (folder / "results.json").write_text(json.dumps(results))


def test_the_workflow(repository: Path) -> None:
    yaml = pytest.importorskip("yaml")
    workflow, _ = snippets("Continuous integration", "yaml")
    steps = {step["name"]: step["run"] for step in yaml.safe_load(workflow)["jobs"]["audit"]["steps"] if "run" in step}
    assert list(steps) == ["install", "audit", "compare"]
    assert shell(steps["audit"]).returncode == 0 and (repository / "report.html").is_file()
    done = shell(steps["compare"])
    assert (done.returncode, done.stdout) == (0, "no number got worse\n")
    make_worse(repository)
    assert shell(steps["audit"]).returncode == 0
    done = shell(steps["compare"])
    assert done.returncode == 1 and done.stdout.startswith("ap.AP: 0.") and ", was 0." in done.stdout


def test_an_audit_that_lacks_a_number(repository: Path) -> None:
    audit = json.loads((repository / "audit.json").read_text())
    audit["pose"]["ece"], audit["inputs"]["ground_truth"]["sha256"] = None, "another"
    (repository / "new_audit.json").write_text(json.dumps(audit))
    done = shell("python check_audit.py audit.json new_audit.json")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "another ground truth: commit a new audit.json"
    assert done.stdout.splitlines()[1].startswith("pose.ece: None, was 0.")
    assert (
        shell("python check_audit.py new_audit.json audit.json").stdout
        == "another ground truth: commit a new audit.json\n"
    )


def test_the_hook(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("pre-commit") is None:
        pytest.skip(not_installed("pre-commit", "dev"))
    monkeypatch.setenv("PRE_COMMIT_HOME", str(repository / "cache"))
    _, hook = snippets("Continuous integration", "yaml")
    (repository / ".pre-commit-config.yaml").write_text(hook)
    (repository / ".gitignore").write_text("new_audit.json\n")
    assert shell("git init --quiet . && git add *.json check_audit.py .pre-commit-config.yaml").returncode == 0
    done = shell("pre-commit run --all-files")
    assert done.returncode == 0 and "Passed" in done.stdout, done.stdout + done.stderr
    make_worse(repository)
    done = shell("git add results.json && pre-commit run")
    assert done.returncode == 1 and "ap.AP: 0." in done.stdout, done.stdout + done.stderr
