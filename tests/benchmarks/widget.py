"""What the Explorer costs at the size of LLaVA-1.5-7B: bytes, seconds until it is seen, and milliseconds per layer.

    python -m tests.benchmarks.widget

32 layers × 32 heads × 24×24 cells, 50 answer tokens, gradients at random. A layer's time is all that the view
does after the slider moves: every panel that follows, and the overlay's next frame.
"""

import os
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from dexar_widgets.doctor import browser
from dexar_widgets.widgets import html, parts, wire
from tests.golden.cases import build

LIMITS = {
    "scrub p95": (8, "ms"),
    "opening payload": (4_000_000, "bytes"),
    "document": (2, "s"),
    "one step's part": (0.2, "s"),
    "module init": (0.5, "s"),
    "one-step page": (1_200_000, "bytes"),
    "demo page": (3_000_000, "bytes"),
}
SHAPE = {"layers": 32, "heads": 32, "grid": (24, 24)}
WATCH_FRAMES = """
window.spent = 0;
const later = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (draw) => later((time) => {
  const began = performance.now();
  draw(time);
  window.spent += performance.now() - began;
});
window.nextFrame = () => new Promise((done) => later(() => later(done)));
"""
SCRUB = """async (rounds) => {
  const slider = [...document.querySelectorAll(".scrubber input")].at(-1);
  const times = [];
  for (let i = 0; i < rounds * 32; i++) {
    slider.value = i % 32;
    const [before, began] = [window.spent, performance.now()];
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const reacted = performance.now() - began;
    await window.nextFrame();
    times.push(reacted + window.spent - before);
  }
  return times;
}"""


def main() -> None:
    """Print every number beside its limit, and how busy the machine was."""
    for keep in ("full", "visual", "summary"):
        report_encoding(keep)
    report_pages()
    with opened_browser() as chromium:
        report_module(chromium)
        report_scrubbing(chromium)
    if hasattr(os, "getloadavg"):
        print(
            f"Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores: a busy machine lengthens 95th percentiles most."
        )


def show(name: str, value: float, unit: str, limit: str = "") -> None:
    """One line: name, value and, where there is one, the limit."""
    text = f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:.3g} {unit}"
    bound = f"   limit {LIMITS[limit][0]:,} {LIMITS[limit][1]}" if limit else ""
    print(f"{name:58}{text:>18}{bound}", flush=True)


def seconds(act: Callable[[], object], times: int = 3) -> float:
    """Median wall-clock time."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def report_encoding(keep: str) -> None:
    """From an explanation in memory to the bytes that a view opens with, nothing remembered from before."""
    e = build(steps=50, size=(672, 448), keep=keep, pieces=[" word"] * 50, **SHAPE)
    show(f"document of 50 steps, keep={keep!r}", seconds(lambda: wire.document([replace(e)])), "s", "document")
    if keep == "full":
        show("its payload", len(wire.document([e])[1]), "bytes", "opening payload")
    if keep != "summary":
        name = f"one step's part, keep={keep!r}"
        show(name, seconds(lambda: parts.part(e, "tensor/3"), 5), "s", "one step's part")
        show("its bytes", parts.part(e, "tensor/3").size, "bytes")


def report_pages() -> None:
    """Sizes of the scripts and of whole pages."""
    for name in ("widget.js", "standalone.js"):
        show(name, (html.STATIC / name).stat().st_size, "bytes")
    show("page of one step", len(build(steps=1, size=(96, 96), **SHAPE).to_html()), "bytes", "one-step page")
    demo = build(steps=8, layers=4, heads=4, grid=(12, 12), size=(384, 384))
    show("page of the embedded model's size", len(demo.to_html()), "bytes", "demo page")


@contextmanager
def opened_browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import FLAGS

    executable = browser()
    if executable is None:
        raise SystemExit("This benchmark needs Chrome, Chromium or Edge.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(executable), args=FLAGS.split())
        yield chromium
        chromium.close()


def report_module(chromium: object) -> None:
    """How long a notebook waits until the widget's module is there."""
    page = chromium.new_page()
    source = b64encode((html.STATIC / "widget.js").read_bytes()).decode()
    load = """async (source) => {
      const began = performance.now();
      await (await import("data:text/javascript;base64," + source)).default();
      return performance.now() - began;
    }"""
    show("the widget's module, imported", page.evaluate(load, source) / 1000, "s", "module init")
    page.close()


def report_scrubbing(chromium: object) -> None:
    """Milliseconds per layer, for what the eye follows and what is computed behind it."""
    long = build(steps=50, size=(672, 448), keep="summary", pieces=[" word"] * 50, **SHAPE)
    few = build(steps=2, size=(672, 448), **SHAPE)
    muted = [[layer, head] for layer in range(32) for head in range(32) if (layer + head) % 3]
    alone = {"layer_mode": "single"}
    cases = {
        "one word of 50, one layer": (long, alone | {"steps": [7]}),
        "one word of 50, up to a layer": (long, {"layer_mode": "cumulative", "steps": [7]}),
        "one word, a third of the heads muted, up to a layer": (
            few,
            {"layer_mode": "cumulative", "steps": [1], "heads": muted},
        ),
        "the whole answer of 50 words, up to a layer": (long, {"layer_mode": "cumulative"}),
        "one word of 50, one clipped scale for all words": (
            long,
            {"layer_mode": "cumulative", "steps": [7], "display": {"scale": "shared", "clip": 99}},
        ),
        "the whole answer, up to a layer, Heads open": (
            long,
            {"layer_mode": "cumulative", "display": {"tab": "Heads"}},
        ),
        "the whole answer, up to a layer, Flow open": (long, {"layer_mode": "cumulative", "display": {"tab": "Flow"}}),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (e, view) in cases.items():
            file = Path(folder) / "page.html"
            file.write_text(html.page(e, view=view, max_bytes=4_000_000), "utf-8")
            times = scrub(chromium, file)
            median, high = np.percentile(times, [50, 95])
            show(f"{name}: median", median, "ms")
            show(f"{name}: 95th percentile", high, "ms", "scrub p95")


def scrub(chromium: object, file: Path) -> list[float]:
    """Milliseconds of each of 160 moves of the slider, after 32 to warm up."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH_FRAMES)
    page.goto(file.as_uri())
    page.wait_for_selector(".stage canvas[data-sum]")
    page.evaluate(SCRUB, 1)
    times = page.evaluate(SCRUB, 5)
    page.close()
    return times


if __name__ == "__main__":
    main()
