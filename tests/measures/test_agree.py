"""`tp.agree` and `trustpose agree`: what pairs, what is refused, offsets, cycles, intervals, the page.

Real data: joint_angles/markers/gait.csv and joint_angles/markerless/method1/gait.csv.
"""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from trustpose.cli import main
from trustpose.report.agreement import agreement_page

HZ = 60
DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "joint_angles"


def write_wide(path: Path, time: np.ndarray, **columns: np.ndarray) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", *(name.replace("_in_deg", " (deg)").replace("_in_rad", " (rad)") for name in columns)])
        writer.writerows(np.column_stack([time, *columns.values()]).tolist())
    return path


def knee(time: np.ndarray) -> np.ndarray:
    return 30 - 25 * np.cos(2 * np.pi * time / 1.25)


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path]:
    reference_time, measured_time = np.arange(0, 10, 1 / 120), np.arange(0.3, 9.5, 1 / HZ)
    reference = write_wide(tmp_path / "reference.csv", reference_time, knee_in_deg=knee(reference_time))
    measured = knee(measured_time - 0.1) + 2
    ends = {"knee (deg)_low_90": measured - 3, "knee (deg)_high_90": measured + 3}
    return reference, write_wide(tmp_path / "measured.csv", measured_time, knee_in_deg=measured, **ends)


def test_an_offset_is_found_and_applied_on_request(clips: tuple[Path, Path]) -> None:
    shown = tp.agree(*clips)
    assert shown.offsets[0].seconds == pytest.approx(0.1, abs=0.002) and shown.offsets[0].applied == 0
    assert shown["knee"]["rmse"] > 5 and any("0.100 s late" in note for note in shown.notes)
    assert any("one recording" in note for note in shown.notes) and np.isnan(shown["knee"].numbers["bias"].low)
    applied = tp.agree(*clips, align=True)
    assert applied["knee"]["bias"] == pytest.approx(2, abs=0.01) and applied["knee"]["sd"] < 0.1
    assert tp.agree(*clips, offset=0.1)["knee"]["sd"] < 0.05
    (coverage,) = applied["knee"].coverage
    assert (coverage.claimed, coverage.share) == (0.9, 1) and coverage.width == pytest.approx(6)
    assert tp.agree(*clips)["knee"].coverage[0].share < 0.5


def test_cycles_have_curves_peaks_and_intervals(clips: tuple[Path, Path]) -> None:
    agreement = tp.agree(*clips, align=True, cycles="auto", draws=200)
    knee_cycles = agreement["knee"].cycles
    assert knee_cycles is not None and len(knee_cycles.curves) == 6 and agreement.clustered_by == "cycle"
    assert knee_cycles.numbers["maximum"].bias == pytest.approx(2, abs=0.05)
    assert knee_cycles.numbers["range"].bias == pytest.approx(0, abs=0.1)
    mean, _ = knee_cycles.mean()
    assert mean[0] == pytest.approx(55, abs=0.3) and mean[50] == pytest.approx(5, abs=0.3)
    estimate = agreement["knee"].numbers["bias"]
    assert estimate.low <= estimate.value <= estimate.high
    named = tp.agree(*clips, align=True, cycles=[0.625, 1.875, 3.125])
    assert named["knee"].cycles is not None and len(named["knee"].cycles.curves) == 2


def test_several_clips_draw_people(clips: tuple[Path, Path]) -> None:
    reference, measured = clips
    agreement = tp.agree([reference] * 3, [measured] * 3, people=["Ann", "Ben", "Ann"], draws=50)
    assert (agreement.clustered_by, agreement.clusters) == ("person", 2)
    assert len(agreement["knee"].pairs) == 3 * len(tp.agree(reference, measured)["knee"].pairs)


def test_angles_differ_the_short_way_round(tmp_path: Path) -> None:
    time = np.arange(0, 2, 1 / HZ)
    files = [
        write_wide(tmp_path / f"{name}.csv", time, trunk_in_deg=value * np.ones_like(time))
        for name, value in (("reference", 179.0), ("measured", -179.0))
    ]
    assert tp.agree(*files)["trunk"]["bias"] == pytest.approx(2)


def test_opensim_tables_and_units(tmp_path: Path, clips: tuple[Path, Path]) -> None:
    time = np.arange(0, 10, 1 / 100)
    rows = "\n".join(f"{second:.4f}\t{np.deg2rad(knee(second)):.6f}\t0.9" for second in time)
    mot = tmp_path / "ik.mot"
    mot.write_text(
        "Coordinates\nversion=1\nnRows=1000\nnColumns=3\ninDegrees=no\nendheader\ntime\tk\tpelvis_ty\n" + rows
    )
    with pytest.raises(tp.InputError, match=r"knee is in degrees, k of the reference in radians.*--unit"):
        tp.agree(mot, clips[1], match={"k": "knee"})
    agreement = tp.agree(mot, clips[1], match={"k": "knee"}, unit="deg", align=True)
    assert agreement["k"].pairs.unit == "degrees" and agreement["k"]["bias"] == pytest.approx(2, abs=0.02)
    assert tp.agree(mot, mot)["pelvis_ty"].pairs.unit == "m"


def test_trc_markers_are_compared_in_metres(tmp_path: Path) -> None:
    def write(path: Path, shift: float) -> Path:
        rows = [f"{n}\t{n / 10}\t{n}\t{n + shift}\t5" for n in range(1, 12)]
        lines = ["PathFileType\t4\t(X/Y/Z)\ta.trc", "DataRate\tNumFrames\tNumMarkers\tUnits", "10\t11\t1\tmm"]
        path.write_text("\n".join([*lines, "Frame#\tTime\tRHip\t\t", "\t\tX1\tY1\tZ1", "", *rows]))
        return path

    agreement = tp.agree(write(tmp_path / "a.trc", 0), write(tmp_path / "b.trc", 7), unit="mm")
    (name,) = [name for name in agreement.measures if name.endswith("_y")]
    assert agreement[name]["bias"] == pytest.approx(7) and agreement[name].pairs.unit == "mm"


def test_tables_of_measure_pair_by_annotation(tmp_path: Path) -> None:
    header = "image_id,annotation_id,track_id,person,time,measure,value,sd,low_80,high_80,unit,readable,reason\n"
    reference, measured = tmp_path / "labels.csv", tmp_path / "read.csv"
    people = range(40)
    reference.write_text(header + "".join(f"{n // 2},{n},,{n},,left_knee,{100 + n},,,,degrees,true,\n" for n in people))
    rows = [
        f"{n // 2},{n},,{39 - n},,left_knee,{100 + n + n % 2},1,{98 + n},{99.5 + n + n % 2},degrees,"
        f"{'false' if n == 5 else 'true'},\n"
        for n in reversed(people)
    ]
    measured.write_text(header + "".join(rows))
    agreement = tp.agree(reference, measured, draws=100)
    left_knee = agreement["left_knee"]
    assert len(left_knee.pairs) == 39 and left_knee.unreadable == 1 and left_knee.pairs.missing == 1
    assert left_knee["bias"] == pytest.approx(19 / 39) and agreement.clusters == 20
    assert left_knee.coverage[0].share == pytest.approx(19 / 39)


@pytest.mark.parametrize(
    ("header", "shift", "words"),
    [
        ("time,knee", 0, "knee: the file says no unit"),
        ("time,elbow (deg)", 0, r"no measure of the reference \(knee\), got elbow"),
        ("time,knee (deg)", 100, "times do not overlap: 100 to 100.9"),
        ("frame,knee (deg)", 0, "expected one column of seconds, called time"),
        ("time,knee (deg),knee (deg)_low_90", 0, "other end, high_"),
        ("time,knee (rad)", 0, "knee is in radians, knee of the reference in degrees"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(
    tmp_path: Path, clips: tuple[Path, Path], capsys: pytest.CaptureFixture[str], header: str, shift: float, words: str
) -> None:
    path = tmp_path / "wrong.csv"
    cells = [",".join([f"{shift + n / 10}", *["3"] * (header.count(","))]) for n in range(10)]
    path.write_text("\n".join([header, *cells]))
    with pytest.raises(tp.InputError, match=words):
        tp.agree(clips[0], path)
    with pytest.raises(SystemExit) as ended:
        main(["agree", "--reference", str(clips[0]), "--measured", str(path)])
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_the_command_writes_numbers_and_a_page(
    tmp_path: Path, clips: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    page, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
    words = ["agree", "--reference", clips[0], "--measured", clips[1], "--align", "--cycles", "auto", "--draws", "50"]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in [*words, "--report", page, "--json", numbers]])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "knee (degrees)" in printed and "6 cycles" in printed
    record = json.loads(numbers.read_text())["measures"]["knee"]
    assert record["bias"] == pytest.approx(2, abs=0.01) and len(record["cycles"]["curves"]["reference"]["mean"]) == 101
    text = page.read_text()
    assert text.count("<svg") == 3 and "<script" not in text and "Intervals that claim 90" in text


def test_names_from_files_are_escaped_on_the_page(tmp_path: Path) -> None:
    time = np.arange(0, 2, 1 / HZ)
    path = write_wide(tmp_path / "a.csv", time, **{"<b>_in_deg": time})
    assert "<b>" not in agreement_page(tp.agree(path, path))


@pytest.mark.skipif(not DATA.is_dir(), reason="needs joint_angles of TRUSTPOSE_DATA")
def test_real_joint_angles_equal_plain_sums() -> None:
    reference, measured = (DATA / name / "gait.csv" for name in ("markers", "markerless/method1"))
    agreement = tp.agree(reference, measured, reference_unit="rad", measured_unit="rad", unit="deg")
    expected, read_off = (np.genfromtxt(path, delimiter=",", names=True) for path in (reference, measured))
    for name in ("RKnee_FE", "RElbow_PS"):
        difference = np.rad2deg(read_off[name] - expected[name][::2][: len(read_off)])
        assert agreement[name]["bias"] == pytest.approx(difference.mean(), abs=1e-9)
        assert agreement[name]["rmse"] == pytest.approx(np.sqrt((difference**2).mean()), abs=1e-9)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs joint_angles of TRUSTPOSE_DATA")
def test_real_joint_angles_equal_poseaudit() -> None:
    # poseaudit 0.7.2: audit_values(measured, reference[::2], big_error=10, unit="deg"), RKnee_FE in degrees
    expected = {
        "bias": -7.736247609133458,
        "low_limit": -12.250397099393897,
        "high_limit": -3.222098118873019,
        "rmse": 8.071539122490966,
        "mae": 7.736247609133458,
        "large_share": 0.15416666666666667,
        "icc_a1": 0.9383817420021792,
        "ccc": 0.9383335197528813,
        "slope": 0.9630404279987964,
    }
    reference, measured = (DATA / name / "gait.csv" for name in ("markers", "markerless/method1"))
    agreement = tp.agree(reference, measured, reference_unit="rad", measured_unit="rad", unit="deg", draws=1)
    knee = agreement["RKnee_FE"]
    assert {name: knee[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert knee.percentile_limits == pytest.approx((-10.943781200145368, -2.9736269197188703), abs=1e-9)
    assert len(knee.pairs) == 1200
