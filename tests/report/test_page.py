"""The page: it is complete, loads nothing from elsewhere, and opens in a browser."""

import html
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.report.cases import NASTY, empty_cases, make_audit, nasty
from tests.report.outline import check
from trustpose.evaluation.audit import audit
from trustpose.evaluation.comparison import compare, outcome
from trustpose.evaluation.record import Audit
from trustpose.evaluation.section_records import CrowdLevel
from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth
from trustpose.report.page import HEADLINES, IN_PIXELS, PRESENCE, page
from trustpose.report.summary import bias, file_labels, number, opening, verdict, why_none

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return make_audit(tmp_path_factory.mktemp("audit"), 24, extra=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(6):  # half of them: the others are missing
        cv2.imwrite(str(folder / f"{i}.png"), np.full((240, 320, 3), 120, np.uint8))
    return folder


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("with_images", [False, True])
def test_every_number_note_and_input_is_on_it(record: Audit, photos: Path, count: int, with_images: bool) -> None:
    outline = check(page([record] * count, photos if with_images else None))
    words = " ".join(outline.text.split())
    for rows in (HEADLINES | IN_PIXELS).values():
        for name, title, _ in rows:
            assert name in words
            assert title in words
            assert words.count(number(record.number(name))) >= count
            for end in record.intervals.get(name, ()):
                assert number(end) in words
    for text in (*record.notes, record.inputs["results"]["sha256"], record.inputs["ground_truth"]["sha256"]):
        assert words.count(" ".join(text.split())) >= count
    for text in ("segment", record.score_field, record.keypoint.source, *record.details.keypoint_names):
        assert text in words
    for word in ("OKS", "OPKS", "AP", "Oracle AP", "Headroom", "ECE", "Correlation", "Visible, occluded, absent"):
        assert word in words
    assert words.count("What to look for.") == 5 + with_images + (with_images and count > 1)
    assert ("Where do the files differ most?" in words) == (with_images and count > 1)
    assert ("Most overtrusted" in words) == with_images
    assert ("Skipped, because" in words) == with_images
    assert bool(outline.all("img")) == with_images


def test_names_from_files_are_escaped(record: Audit, photos: Path) -> None:
    bad = nasty(record)
    folder_names = replace(bad, details=replace(bad.details, file_names=record.details.file_names))
    for audits in ([bad], [bad, record, bad], [folder_names]):
        text = page(audits, photos)
        outline = check(text)
        assert "<script" not in text
        assert NASTY in outline.text, "unescaped it equals the file's text"


def test_undefined_numbers_are_a_dash_with_a_reason(tmp_path: Path, photos: Path) -> None:
    cases = empty_cases(tmp_path)
    for name, case in cases.items():
        text = page([case], photos)
        outline = check(text)
        missing = [one for rows in HEADLINES.values() for one, *_ in rows if case.number(one) is None]
        assert missing, name
        for one in missing:
            reason = why_none(case, one)
            assert reason.split(":")[0] in outline.text
            assert html.escape(reason, quote=False).replace("'", "&#39;") in text
        assert "None" not in outline.text.replace("None:", "").replace("None of these", "")
        assert "nan" not in re.findall(r"[a-z]+", outline.text)
    several = page(list(cases.values()), photos)
    check(several)
    assert "different ground truth" in several
    assert "<strong>" not in several, "files on different people: none is best"


def test_errors_in_pixels_stand_where_there_is_quality_and_none_is_called_better(tmp_path: Path, record: Audit) -> None:
    bare = make_audit(tmp_path, 24)
    assert "Expected errors in pixels" not in page([bare])
    both = page([record, bare])
    row = next(line for line in both.splitlines() if "pixels.coverage.50" in line)
    assert "is better" not in row and "<strong>" not in row and "–" in row
    assert "pixels.*: null, the results have no keypoint_quality" in both


def test_presence_stands_where_it_is_known_with_the_field_that_is_compared_with_oks(
    tmp_path: Path, record: Audit
) -> None:
    present = make_audit(tmp_path, 24, presence=True)
    assert present.presence.n == 25 and (present.score_field, present.pose_field) == ("score", "pose_quality")
    rows = [row for group in PRESENCE.values() for row in group]
    words = " ".join(check(page([present])).text.split())
    for name, title, _ in rows:
        assert name in words and title in words and number(present.number(name)) in words
        for end in present.intervals.get(name, ()):
            assert number(end) in words
    assert "Poses are ranked by the field score; the field pose_quality is compared with OKS." in words
    assert "presence.auroc" not in page([record])
    assert "Poses are ranked by the field score, which is also compared with OKS." in page([record])
    text = " ".join(check(page([record, present])).text.split())
    assert "presence: null, the file has no presence" in text and rows[0][1] in text
    assert "The files differ in the field that ranks poses or is compared with OKS" in text


def test_the_opening_matches_the_numbers(record: Audit) -> None:
    text = " ".join(opening(record))
    for value in (record.ap.AP, record.pose.pearson, record.headroom, record.oracle_ap.AP, record.pose.ece):
        assert number(value) in text
    means = bias(record)
    assert means is not None
    details = record.details
    for shift, message in ((0.5, "overconfident"), (-0.5, "underconfident")):
        moved = np.clip(details.oks + shift, 0, 1)
        shifted = replace(
            record,
            details=replace(details, pose_score=moved),
            pose=replace(record.pose, ece=float(np.abs(moved - details.oks).mean())),
        )
        assert verdict(shifted) == message
        assert message in " ".join(opening(shifted))
    assert verdict(replace(record, pose=replace(record.pose, ece=0.01))) == "honest"
    assert verdict(replace(record, pose=replace(record.pose, ece=None))) == "unknown"


@pytest.fixture(scope="module")
def three(data_dir: Path) -> list[Audit]:
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    names = ("simplepose.dev.json", "simplepose_flip.dev.json", "movenet-thunder.dev.json")
    return [audit(truth, data_dir / "results" / name, draws=20) for name in names]


@pytest.fixture(scope="module")
def page_of_three(three: list[Audit]) -> str:
    return page(three)


def test_several_files_stand_side_by_side_and_the_best_is_marked(three: list[Audit], page_of_three: str) -> None:
    audits, text = three, page_of_three
    outline = check(text)
    row = re.search(r"<code>ap\.AP</code>.*?</tr>", text, re.DOTALL)
    assert row is not None
    assert re.findall(r"<strong>([\d.]+)</strong>", row[0]) == [number(max(audit.ap.AP for audit in audits))]
    row = re.search(r"<code>ap\.AP75</code>.*?</tr>", text, re.DOTALL)
    assert row is not None
    assert re.findall(r"<strong>([\d.]+)</strong>", row[0]) == ["0.558", "0.534"], "not distinguishable"
    words = " ".join(outline.text.split())
    assert re.search(r"AP: simplepose_flip\.dev\.json 0\.526 \([^)]*\), simplepose\.dev\.json 0\.508 \([^)]*\)\. "
                     r"In paired draws of photos, the difference is \+0\.019 \(\+0\.01\d to \+0\.02\d\): "
                     r"simplepose_flip\.dev\.json is better\.", words)  # fmt: skip
    assert "close enough to be chance" not in text
    assert "intervals overlap, the order may be chance" not in text
    assert words.count("Difference from simplepose") == 2 and "Difference from movenet-thunder.dev.json" in words
    assert "on the same 990 people" in " ".join(outline.text.split())
    # numbers of the data's own README, which pycocotools computed
    for value in ("0.508", "0.526", "0.493", "0.690", "0.687", "0.659"):
        assert value in outline.text


def without_draws(record: Audit) -> Audit:
    none = {name: values[:0] for name, values in record.details.draws.values.items()}
    return replace(
        record, details=replace(record.details, draws=replace(record.details.draws, values=none)), intervals={}
    )


def test_a_difference_is_better_only_if_paired_draws_confirm_it(
    three: list[Audit], page_of_three: str, record: Audit
) -> None:
    first_table = page_of_three[page_of_three.index('id="compare"') :].partition("</table>")[0]
    rows = re.findall(r"<code>([\w.]+)</code></th><td[^>]*>([^<]*)<span class=\"interval\">([^<]*)</span>"
                      r'<span class="interval( clear)?">([^<]*)</span>', first_table)  # fmt: skip
    shown = {name: (text, ends, bool(clear), what) for name, text, ends, clear, what in rows}
    for comparison in compare(three[1], three[0]):
        if comparison.metric in shown:
            text, ends, is_clear, what = shown[comparison.metric]
            assert text == number(comparison.difference, True)
            assert ends == f"{number(comparison.low, True)} to {number(comparison.high, True)}"
            assert is_clear == (comparison.low > 0 or comparison.high < 0)
            assert what == {"undecided": "not distinguishable"}.get(outcome(comparison), outcome(comparison))
    assert shown["ap.AP"][3] == "better" and shown["pose.ece"][3] == "worse"
    assert shown["keypoint.pearson_pose_mean"][3] == "not distinguishable"
    without = page([without_draws(record)] * 2).partition('id="words"')[0]
    assert "How do they differ?" in without and "aired draws" not in without and "distinguish" not in without


def test_levels_of_crowding_have_rows_only_where_there_are_any(record: Audit) -> None:
    crowd = {name: CrowdLevel(0.1234 * (i + 1), 10) for i, name in enumerate(("easy", "medium", "hard"))}
    assert "crowd index" not in page([record])
    shown = check(page([replace(record, crowd=crowd)])).text
    assert all(part in shown for part in ("crowd.easy.AP", "0.123", "0.247", "0.370"))


def test_labels_are_unique(record: Audit) -> None:
    def at(*paths: str) -> list[str]:
        audits = [
            replace(record, inputs={**record.inputs, "results": {**record.inputs["results"], "file": path}})
            for path in paths
        ]
        return file_labels(audits)

    assert at("a/x.json", "b/y.json") == ["x.json", "y.json"]
    assert at("a/x.json", "b/x.json", "c/y.json") == ["a/x.json", "b/x.json", "y.json"]
    assert at("x.json", "x.json") == ["x.json (1, by score)", "x.json (2, by score)"]


def test_numbers_read_as_numbers() -> None:
    assert number(0.5076) == "0.508"
    assert number(-0.0001) == "0.000"
    assert number(-0.25) == "−0.250"
    assert number(0.25, sign=True) == "+0.250"
    assert number(None) == "–"


def test_the_same_audit_gives_the_same_page(record: Audit, tmp_path: Path) -> None:
    assert page([record]) == page([record])
    with pytest.raises(InputError, match="no such folder"):
        page([record], tmp_path / "nowhere")
    with pytest.raises(ValueError, match="at least one"):
        page([])


def browse(path: Path, folder: Path) -> tuple[str, str]:
    """The document and the console, by a browser that opened the file."""
    assert CHROMIUM is not None
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    command = [CHROMIUM, *flags.split(), "--disable-component-update", "--disable-sync", f"--user-data-dir={folder}"]
    command += ["--enable-logging=stderr", "--v=0", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to open the page in")
def test_a_browser_opens_it_without_an_error_or_a_request(record: Audit, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "audit.html"
    path.write_text(page([nasty(record), record], photos))
    document, console = browse(path, tmp_path / "profile")
    assert console == ""
    assert "</html>" in document
    assert "<script" not in document
    assert document.count("<svg") >= 16
    # The policy in the page blocks and reports any request, so an empty console is proof; that it is awake:
    path.write_text(path.read_text().replace("</main>", '<img src="http://127.0.0.1:9/x.png" alt="x"></main>'))
    assert "Content Security Policy" in browse(path, tmp_path / "profile")[1]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to open the page in")
def test_nothing_scrolls_sideways_on_a_phone(three: list[Audit], record: Audit, tmp_path: Path) -> None:
    """In a frame 375 CSS pixels wide, with all details open, neither the page nor a table is wider than the screen."""
    measure = """<script>const page = document.querySelector("iframe").contentDocument;
        onload = () => { page.querySelectorAll("details").forEach(one => one.open = true);
        const all = [page.documentElement, ...page.querySelectorAll(".scroll")];
        const wide = all.filter(one => one.scrollWidth > one.clientWidth);
        document.body.append("wide: " + wide.length + " of " + all.length); }</script>"""
    for audits in (three, [nasty(record)] * 8, [record]):
        frame = html.escape(page(audits), quote=True)
        path = tmp_path / "phone.html"
        path.write_text(
            f'<!DOCTYPE html><iframe width="375" height="812" style="border:0" srcdoc="{frame}"></iframe>{measure}'
        )
        document, _ = browse(path, tmp_path / "profile")
        assert re.search(r"wide: 0 of \d+", document), re.findall(r"wide: .*", document)
