"""How fast an evaluation is, and whether it survives being killed.

    python -m tests.benchmarks.evaluation              images and forwards per second, against a plain loop
    python -m tests.benchmarks.evaluation --kills 30   kill -9 at random moments, then the bytes of the tables

The plain loop makes the same pictures and runs the model on each by itself, image by image and method by method: what
somebody writes who follows the formulas. It needs no start and sees an eighth of the scenes; ours is counted with the
start of its two processes. Exits with status 1 where a limit is missed.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

import dexar_widgets as dx
from dexar_widgets import engine
from dexar_widgets.asking import ask
from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.configuration import configuration_of, variants_of
from dexar_widgets.evaluation.curves import ends, pictures_of, ranking
from dexar_widgets.evaluation.runs import evaluate

METHODS = ("dexar", "attention", "attn_grad", "random")
METRICS = ("positive_perplexity", "negative_perplexity", "insertion", "deletion", "iou", "energy_pointing_game")
GOAL = 3.0
COMMAND = [sys.executable, "-c", "import sys; from dexar_widgets.cli import main; sys.exit(main())", "evaluate"]


def plain(dataset, configuration):
    """Seconds and forwards of the loop; the perturbed pictures are those of the evaluation."""
    vlm, forwards, started = dx.load(), 0, time.perf_counter()
    for id_ in dataset.ids[: len(dataset.ids) // 8]:
        sample = dataset.load(id_)
        for variant in configuration.variants:
            found = dx.attribute(vlm, sample.image, sample.prompt, method=variant.method, answer=sample.answer)
            asked = ask(vlm, sample.image, sample.prompt, answer=sample.answer, steps=None, on_word=None,
                        decoding=engine.Decoding())  # fmt: skip
            shared = ends(asked, replace(configuration, batch_size=1))
            order = ranking(found.sequence_map(), f"0 {id_}")
            for kind in configuration.curves:
                for picture in pictures_of(kind, order, configuration.levels, shared):
                    _log_likelihood(vlm, picture(), sample)
                    forwards += 1
            forwards += 3
    return time.perf_counter() - started, forwards


def _log_likelihood(vlm, image, sample):
    """One forward of one picture, prompt and answer, as the library's documentation shows it."""
    text = vlm.family.prompt(vlm.processor, sample.prompt).text + " " + sample.answer
    inputs = vlm.processor(images=Image.fromarray(image), text=text, return_tensors="pt")
    with torch.no_grad():
        logits = vlm.model(**inputs).logits[0, :-1].log_softmax(-1)
    return float(logits.gather(-1, inputs["input_ids"][0, 1:, None]).mean())


def throughput(scenes):
    """Both ways on the same scenes, by turns; the medians of three."""
    dataset = data.open("lab", count=scenes)
    configuration = configuration_of(dataset, ["lab/llava"], variants_of(METHODS, {}), METRICS)
    ratios = []
    for turn in range(3):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            joined = evaluate(configuration, dataset, Path(folder), workers=2)
            ours = time.perf_counter() - started
            costs = pd.read_parquet(joined.tables["costs"])
        torch.set_num_threads(2)
        other, forwards = plain(dataset, configuration)
        looked_at = scenes // 8
        per_image = forwards / looked_at
        ratios.append((other / looked_at) / (ours / scenes))
        print(
            f"turn {turn + 1}: {scenes / ours:.2f} images/s and {per_image * scenes / ours:.0f} forwards/s; plain loop "
            f"{looked_at / other:.2f} images/s and {forwards / other:.0f} forwards/s; {ratios[-1]:.2f} times as fast; "
            f"{costs['forwards'].sum() / scenes:.0f} forwards per image"
        )
    print(f"median {statistics.median(ratios):.2f}, goal {GOAL}")
    return statistics.median(ratios) >= GOAL


def kills(count, scenes):
    """Runs that are killed at random moments until ``count`` kills hit, then finished, against one that was not."""
    chosen = random.Random(4)
    with tempfile.TemporaryDirectory() as folder:
        start = partial(_start, scenes)
        started = time.monotonic()
        assert start(Path(folder) / "whole").wait() == 0
        whole, hit, rounds, same = time.monotonic() - started, 0, 0, True
        while hit < count:
            rounds += 1
            out = Path(folder) / f"cut {rounds}"
            for _ in range(5):
                process = start(out)
                try:
                    process.wait(chosen.uniform(0.3, 1.0) * whole)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    hit += 1
            assert start(out).wait() == 0
            same &= _tables(out) == _tables(Path(folder) / "whole")
            print(f"{hit} kills in {rounds} runs: {'the same bytes' if same else 'OTHER BYTES'}", flush=True)
    return same


def _start(scenes, out):
    command = [
        *COMMAND,
        "--data-option",
        f"count={scenes}",
        "--methods",
        "dexar,random",
        "--jobs",
        "2",
        "--out",
        str(out),
    ]
    command += ["--metrics", "energy_pointing_game,deletion", "--levels", "4"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _tables(folder):
    return [(folder / f"{name}.parquet").read_bytes() for name in ("results", "units")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=None, help="default: 192, or 12 to be killed at")
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    np.set_printoptions(precision=3)
    done = kills(options.kills, options.scenes or 12) if options.kills else throughput(options.scenes or 192)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
