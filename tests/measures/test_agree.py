"""`tp.agree` and `trustpose agree`: files of several tools, offsets, cycles, claimed intervals, a real data set."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from tests.cli.cases import run
from trustpose.files import InputError, json_bytes

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "joint_angles"
TASKS = ("gait", "sit-stand", "exotic")


def wave(time: np.ndarray) -> np.ndarray:
    return 60 + 40 * np.sin(2 * np.pi * time / 1.5) + 5 * np.sin(2 * np.pi * time / 0.4)


def write_wide(path: Path, time: np.ndarray, **columns: np.ndarray) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", *columns])
        writer.writerows(zip(time.tolist(), *(column.tolist() for column in columns.values()), strict=True))
    return path


def write_measured(path: Path, time: np.ndarray, value: np.ndarray, half: float, track: str = "") -> Path:
    """A table as `trustpose measure` writes it, with 90 % intervals."""
    names = "image_id,annotation_id,track_id,person,time,measure,value,sd,low_90,high_90,unit,readable,reason"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names.split(","))
        for number, (seconds, angle) in enumerate(zip(time.tolist(), value.tolist(), strict=True)):
            ends = (angle, half / 1.6, angle - half, angle + half)
            writer.writerow([number, "", track, number, seconds, "left_knee", *ends, "degrees", "true", ""])
        writer.writerow(
            [len(time), "", track, len(time), time[-1] + 1, "left_knee", *[""] * 4, "degrees", "false", "x"]
        )
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A reference at 120 Hz and measured values at 50 Hz, 2° too high with noise of 3°, whose clock is .12 s late."""
    fine, coarse = np.arange(0, 20, 1 / 120), np.arange(1, 19, 1 / 50)
    reference = write_wide(tmp_path / "lab.csv", fine, knee=wave(fine))
    noise = np.random.default_rng(0).normal(0, 3, len(coarse))
    return reference, write_measured(tmp_path / "angles.csv", coarse + 0.12, wave(coarse) + 2 + noise, 1.645 * 3)


def test_offset_bias_and_claimed_intervals(files: tuple[Path, Path]) -> None:
    reference, measured = files
    names = {"left_knee": "knee"}
    late = tp.agree(reference, measured, measures=names, reference_unit="degrees")
    assert late.offset[0] == pytest.approx(0.12, abs=0.01) and "late by +0.12" in late.notes[0]
    knee = tp.agree(reference, measured, measures=names, reference_unit="degrees", shift=True)["left_knee"]
    assert knee.statistics.bias == pytest.approx(2, abs=0.4) and knee.statistics.sd == pytest.approx(3, abs=0.3)
    assert knee.low["bias"] < 2 < knee.high["bias"] and knee.statistics.count == 900
    # 90 % intervals without the bias of 2 of a deviation of 3
    assert knee.claimed["0.9"].coverage == pytest.approx(0.81, abs=0.04)
    assert late["left_knee"].statistics.rmse > 2 * knee.statistics.rmse


def test_cycles_are_cut_at_the_references_peaks(files: tuple[Path, Path]) -> None:
    options = {"measures": {"left_knee": "knee"}, "reference_unit": "degrees", "shift": True}
    cycles = tp.agree(*files, **options, cycles="left_knee")["left_knee"].cycles
    assert cycles is not None and 10 <= len(cycles.reference) <= 12  # 18 s of 1.5 s each
    assert cycles.reference.shape[1] == 101 and cycles.peak.bias == pytest.approx(2, abs=6)
    assert cycles.reference[:, 0] == pytest.approx(cycles.reference.max(axis=1), abs=6)
    with pytest.raises(InputError, match="'ankle' is not compared, expected one of left_knee"):
        tp.agree(*files, **options, cycles="ankle")


def test_the_same_curve_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    time = np.arange(0, 5, 0.02)
    plain = write_wide(tmp_path / "lab.csv", time, knee=wave(time))
    header = f"motion\nversion=1\nnRows={len(time)}\nnColumns=2\ninDegrees=no\nendheader\ntime\tknee\n"
    rows = "".join(f"{a:.4f}\t{b:.8f}\n" for a, b in zip(time, np.deg2rad(wave(time)), strict=True))
    (tmp_path / "lab.mot").write_text(header + rows)
    (tmp_path / "lab.sto").write_text(header.replace("inDegrees=no", "inDegrees=yes") + "".join(
        f"{a:.4f}\t{b:.8f}\n" for a, b in zip(time, wave(time), strict=True)))  # fmt: skip
    for name in ("lab.mot", "lab.sto"):
        compared = tp.agree(plain, tmp_path / name, reference_unit="degrees")["knee"]
        assert compared.statistics.rmse == pytest.approx(0, abs=1e-5) and compared.unit == "degrees"
    out = tmp_path / "agreement.json"
    given = ("--reference", plain, "--measured", tmp_path / "lab.mot", "--reference-unit", "degrees")
    assert run("agree", *given, "--json", out, "--report", tmp_path / "page.html") == 0
    printed = capsys.readouterr().out
    assert "ICC(A,1)" in printed and "in degrees" in printed
    record = json.loads(out.read_text())
    assert record["measures"]["knee"]["rmse"] == pytest.approx(0, abs=1e-5)
    again = tp.agree(plain, tmp_path / "lab.mot", reference_unit="degrees")
    assert record == json.loads(json_bytes(again.to_json()))
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 2 and "How far is lab.mot from lab.csv?" in page and "<script" not in page


def test_degrees_are_compared_the_short_way_round(tmp_path: Path) -> None:
    time = np.arange(0, 4, 0.02)
    near = write_wide(tmp_path / "a.csv", time, tilt=np.full(len(time), 179.0) + np.sin(time))
    far = write_wide(tmp_path / "b.csv", time, tilt=np.full(len(time), -179.0) + np.sin(time))
    assert tp.agree(near, far, unit="degrees")["tilt"].statistics.bias == pytest.approx(2)


def test_several_clips_are_drawn_as_wholes(tmp_path: Path) -> None:
    time, random = np.arange(0, 5, 0.02), np.random.default_rng(1)
    references, measured = [], []
    for clip in range(12):
        references.append(write_wide(tmp_path / f"r{clip}.csv", time, knee=wave(time)))
        bias = random.normal(0, 4)
        measured.append(
            write_wide(tmp_path / f"m{clip}.csv", time, knee=wave(time) + bias + random.normal(0, 1, len(time)))
        )
    agreement = tp.agree(references, measured, unit="degrees")
    knee = agreement["knee"]
    assert agreement.clusters == "clips" and len(agreement.offset) == 12
    assert knee.high["bias"] - knee.low["bias"] > 2  # of independent frames: .3
    assert knee.clip.max() == 11 and knee.statistics.count == 12 * len(time)


def test_refusals_are_one_line(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, measured = files
    late = write_wide(tmp_path / "late.csv", np.arange(100, 105, 0.1), knee=np.arange(50.0))
    (tmp_path / "no-time.csv").write_text("a,b\n1,2\n")
    (tmp_path / "letters.csv").write_text("time,knee\n0,1\n1,x\n")
    (tmp_path / "back.csv").write_text("time,knee\n1,1\n0,2\n")
    wrong = (
        ((reference, measured), "--measures OURS=THEIRS names pairs"),
        ((reference, measured, "--measures", "left_knee=hip"), "has no 'hip', expected one of knee"),
        ((reference, measured, "--measures", "left_knee=knee"), "does not say its unit"),
        ((reference, measured, "--measures", "left_knee=knee", "--unit", "radians"), "is in degrees"),
        ((reference, late, "--unit", "degrees"), "no time of it lies between"),
        ((reference, tmp_path / "no-time.csv"), "expected a column of time"),
        ((reference, tmp_path / "letters.csv"), "row 2: expected numbers, got 'x'"),
        ((reference, tmp_path / "back.csv"), "expected ascending seconds"),
        ((reference, tmp_path / "lab.xlsx"), "expected a table: .csv, .mot, .sto or .trc"),
    )
    for (first, second, *more), message in wrong:
        assert run("agree", "--reference", first, "--measured", second, *more) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and "\n" not in error, error


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA}: no such folder (TRUSTPOSE_DATA)")
def test_real_angles_by_an_independent_script() -> None:
    """RMSE and bias of the markerless systems against markers, by numpy alone."""
    for task in TASKS:
        for method in ("method1", "method9"):
            reference, measured = DATA / "markers" / f"{task}.csv", DATA / "markerless" / method / f"{task}.csv"
            agreement = tp.agree(reference, measured, unit="radians", draws=10)
            tables = [np.genfromtxt(path, delimiter=",", names=True) for path in (reference, measured)]
            for name, item in agreement.measures.items():
                has_value = np.isfinite(tables[1][name])
                time = tables[1]["Time"][has_value]
                inside = (time >= tables[0]["Time"][0]) & (time <= tables[0]["Time"][-1])
                truth = np.interp(time[inside], tables[0]["Time"], tables[0][name])
                difference = np.rad2deg(tables[1][name][has_value][inside] - truth)
                difference -= 360 * np.round(difference / 360)
                assert item.statistics.rmse == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-9), (task, name)
                assert item.statistics.bias == pytest.approx(difference.mean(), abs=1e-9)
