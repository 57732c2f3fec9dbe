"""The report of an evaluation, as a real browser shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repsam_ros.datasets import Sample
from repsam_ros.evaluation.evaluate import Prediction, evaluate
from repsam_ros.evaluation.report import (
    COCO_TITLES,
    ImageResult,
    text_table,
    write_report,
)
from repsam_ros.images import encode_jpeg
from repsam_ros.metrics.labels import SCORE_NAMES, TITLES, score_labels
from repsam_ros.metrics.object_sizes import object_results
from repsam_ros.metrics.statistics import BootstrapSettings
from repsam_ros.structures import Intrinsics, RgbdFrame

NAMES = ["first", "second & <last>", "third", "fourth"]


class Scenes:
    """Frames of one to four boxes that grow; the top rows have no truth."""

    names = NAMES

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        labels = np.zeros((48, 64), np.uint16)
        for k in range(index + 1):
            labels[8 : 16 + 6 * k, 2 + 15 * k : 12 + 15 * k] = k + 1
        ignore = np.zeros(labels.shape, bool)
        ignore[:4] = True
        depth_m = np.full(labels.shape, 0.7, np.float32)
        frame = RgbdFrame(
            np.full((48, 64, 3), 90, np.uint8), depth_m, Intrinsics(50, 50, 31.5, 23.5, 64, 48)
        )
        return Sample(self.names[index], frame, labels, ignore)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def shifted(sample: Sample) -> Prediction:
    """All right in the first image, then worse from image to image."""
    labels = np.roll(sample.labels, 2 * NAMES.index(sample.name), axis=1)
    scores = {int(k): 1 - 0.1 * int(k) for k in np.unique(labels) if k}
    return Prediction(labels, scores, 0.01 * (1 + NAMES.index(sample.name)))


def run(out: Path) -> dict[str, Any]:
    return evaluate(
        Scenes(),
        shifted,
        out,
        subject={"model": "a&b"},
        config={"dataset": "scenes", "root": "<nowhere>", "group": {"key": 1}},
        bootstrap=BootstrapSettings(samples=50),
    )


class Tags(HTMLParser):
    """What a page holds and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.text = ""
        self.sources: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            assert values["alt"]
        if tag == "svg":
            assert values.get("aria-label") or values.get("aria-hidden")
        self.sources += [value for value in (values.get("src"),) if value]
        self.links += [value for value in (values.get("href"),) if value]
        if tag not in ("meta", "img", "link"):
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_is_whole_and_needs_no_other_file(tmp_path: Path) -> None:
    run(tmp_path)
    page = (tmp_path / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert tags.open_tags == []
    assert len(tags.sources) == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in tags.sources)
    assert not re.search(r"url\(|https?://|@import|<script src", page)
    assert "Best: first" in tags.text and "Worst: fourth" in tags.text
    assert "Median: third" in tags.text
    assert "root: <nowhere>" in tags.text and "a&b" in tags.text
    links = [link for link in tags.links if not link.startswith("data:")]
    assert links == [f"overlays/{name}.jpg" for name in ("first", "second%20%26%20%3Clast%3E")] + [
        f"overlays/{name}.jpg" for name in ("third", "fourth")
    ]


def test_browser_shows_the_numbers_and_fetches_nothing(tmp_path: Path, open_page: Any) -> None:
    metrics = run(tmp_path)
    path = tmp_path / "report.html"
    page = open_page(path)
    assert page.evaluate("document.title") == "Evaluation on scenes"
    shown = dict(
        page.evaluate(
            "[...document.querySelectorAll('table tr')].filter(row => row.cells.length > 1)"
            ".map(row => [row.cells[0].textContent, [...row.cells].slice(1)"
            ".map(cell => cell.textContent)])"
        )
    )
    for name in SCORE_NAMES:
        low, high = metrics["ci95"][name]
        assert shown[TITLES[name]][:2] == [
            f"{metrics['mean'][name]:.1f}",
            f"{low:.1f} to {high:.1f}",
        ]
    for name, value in metrics["coco"].items():
        assert shown[COCO_TITLES[name]] == [f"{value:.1f}"]
    sizes = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert sizes == [128, 128, 128]
    assert page.requests[0] == path.as_uri()
    assert all(address.startswith("data:") for address in page.requests[1:])
    assert page.complaints == []


def test_table_of_images_is_sorted_by_a_click(tmp_path: Path, open_page: Any) -> None:
    run(tmp_path)
    page = open_page(tmp_path / "report.html")

    def click(title: str) -> tuple[list[str], str]:
        """The column after a click on its head, and its announced order."""
        page.evaluate(
            f"heads = [...document.querySelectorAll('table.sortable th button')]; "
            f"at = heads.findIndex(head => head.textContent === '{title}'); "
            "heads[at].click()"
        )
        rows = "[...document.querySelector('table.sortable').tBodies[0].rows]"
        column = page.evaluate(f"{rows}.map(row => row.cells[at].textContent)")
        return column, page.evaluate("heads[at].parentElement.getAttribute('aria-sort')")

    values, order = click("Overlap F")
    assert order == "ascending" and values[-1] == "100.0"
    assert [float(value) for value in values] == sorted(float(value) for value in values)
    again, order = click("Overlap F")
    assert order == "descending" and again == values[::-1]
    assert click("image")[0] == sorted(NAMES)
    assert click("ms")[0] == ["10", "20", "30", "40"]
    assert page.evaluate("document.querySelectorAll('[aria-sort]').length") == 1
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_light_and_dark_paper(
    tmp_path: Path, open_page: Any, scheme: str
) -> None:
    """Contrast as WCAG 2.2 defines it, 4.5 : 1 at least."""
    run(tmp_path)
    page = open_page(tmp_path / "report.html", scheme)

    def luminance(selector: str, which: str) -> float:
        color = page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{which}")
        rgb = np.array([int(value) for value in re.findall(r"\d+", color)[:3]]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    paper = luminance("body", "backgroundColor")
    assert (paper < 0.1) == (scheme == "dark")
    inks = {"body": "color", ".note": "color", "a": "color", "svg text": "fill"}
    for selector, which in inks.items():
        light, dark = sorted((luminance(selector, which), paper), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, selector


def noisy_overlay(path: Path, rng: np.random.Generator) -> None:
    """As large as a side-by-side of camera images, with their detail."""
    small = rng.integers(0, 255, (120, 320, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(np.repeat(np.repeat(small, 4, 0), 8, 1)))


def test_report_of_many_images_stays_small(tmp_path: Path) -> None:
    metrics = run(tmp_path / "few")
    scores = score_labels(Scenes()[2].labels, Scenes()[2].labels)
    results = [ImageResult(f"scene/{k:04d}", scores, 0.1) for k in range(45)]
    rng = np.random.default_rng(0)
    for result in results:
        noisy_overlay(tmp_path / "overlays" / f"{result.name}.jpg", rng)
    write_report(tmp_path / "report.html", metrics, results, tmp_path / "overlays")
    assert (tmp_path / "report.html").stat().st_size < 2e6


@pytest.mark.parametrize(
    ("count", "titles"),
    [(1, ["Best, median and worst"]), (2, ["Best", "Median and worst"])],
)
def test_no_picture_is_shown_twice(tmp_path: Path, count: int, titles: list[str]) -> None:
    metrics = run(tmp_path)
    results = [
        ImageResult(sample.name, score_labels(sample.labels * (k == 0), sample.labels), None)
        for k, sample in zip(range(count), Scenes(), strict=False)
    ]
    write_report(tmp_path / "report.html", metrics, results, tmp_path / "overlays")
    page = (tmp_path / "report.html").read_text()
    assert re.findall(r"<figcaption>([^:<]*): ", page) == titles


def test_what_is_not_known_is_said_or_left_out(tmp_path: Path, open_page: Any) -> None:
    metrics = run(tmp_path)
    results = [
        ImageResult(sample.name, score_labels(sample.labels, sample.labels), None)
        for sample in Scenes()
    ]
    del metrics["latency_ms"]
    metrics |= {"coco": {"omitted": "label maps carry no scores"}, "scenes": 2}
    path = tmp_path / "report.html"
    write_report(path, metrics, results, tmp_path / "overlays")
    text = open_page(path).evaluate("document.body.innerText")
    assert "COCO AP is left out: label maps carry no scores." in text
    assert "bootstrap over the 2 scenes" in text
    assert "latency" not in text and "IoU by object size" not in text
    metrics |= {"coco": {"ap": None}, "transparent_depth": {"rmse_m": 0.0123}}
    write_report(path, metrics, results, tmp_path / "overlays")
    shown = open_page(path).evaluate("document.body.innerText")
    assert re.search(r"AP\s+-\n", shown) and re.search(r"RMSE, m\s+0\.012", shown)


def test_objects_are_classed_by_size(tmp_path: Path, open_page: Any) -> None:
    metrics = run(tmp_path)
    results = []
    for sample in Scenes():
        predicted = np.where(sample.labels == 1, 0, sample.labels)
        objects = object_results(predicted, sample.labels, sample.ignore)
        scores = score_labels(predicted, sample.labels, sample.ignore)
        results.append(ImageResult(sample.name, scores, None, objects))
    path = tmp_path / "report.html"
    write_report(path, metrics, results, tmp_path / "overlays")
    page = open_page(path)
    told = page.evaluate("document.querySelector('svg[aria-label*=\"by size\"]').ariaLabel")
    # The smallest box, 8 x 10 of 48 x 64 pixels, is in all four frames and always missed.
    assert "1 to 3 %: 0.0 of 4 objects; > 3 %: 100.0 of 6 objects" in told
    assert "< 0.1 %: no object" in told


def test_mean_iou_of_the_objects_is_the_strict_one() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        truth, predicted = rng.integers(0, 5, (2, 12, 16)).astype(np.uint16)
        ignore = rng.random((12, 16)) < 0.2
        objects = object_results(predicted, truth, ignore)
        strict = score_labels(predicted, truth, ignore).strict_miou
        assert np.mean([each.iou for each in objects]) == pytest.approx(strict)
        assert sum(each.area_share for each in objects) == pytest.approx(
            np.mean((truth > 0) & ~ignore)
        )
    assert object_results(truth, np.zeros_like(truth), ignore) == ()
    nothing = object_results(np.zeros_like(truth), truth, ignore)
    assert len(nothing) == 4 and not any(each.iou for each in nothing)


def test_terminal_table(tmp_path: Path) -> None:
    metrics = run(tmp_path)
    lines = text_table(metrics).splitlines()
    assert f"{metrics['mean']['overlap_f']:.1f}" in next(li for li in lines if "Overlap F" in li)
    assert "latency p50" in lines[-2]
