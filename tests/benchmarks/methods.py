"""What each method costs, alone and in one comparison.

    python -m tests.benchmarks.methods                 270 M parameters, CPU, two threads, float32, T = 20
    python -m tests.benchmarks.methods --shape lab     the embedded model, one thread, T as it answers
    python -m tests.benchmarks.methods --device cuda   LLaVA-1.5-7B's shape, bfloat16
    python -m tests.benchmarks.methods --smoke         seconds; shows that everything runs

Every method is measured in a process of its own, its ``generate`` included, so that its peak memory is its own. The
paper's seconds (table 1, LLaVA-1.5-7B on an accelerator) stand beside ours as information: other model, other machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.engine import _machine

TEN = (
    "attention", "rollout", "attn_grad", "dexar", "grad_cam", "tam",
    "chefer_cam", "integrated_gradients", "rise", "iia",
)  # fmt: skip
PAPER = {
    "attention": 0.45, "rollout": 0.51, "dexar": 0.71, "grad_cam": 0.66, "attn_grad": 0.65, "chefer_cam": 6.2,
    "integrated_gradients": 8.2, "rise": 11.8, "iia": 15.3,
}  # fmt: skip
SMOKE = {"rise": {"n_masks": 4}, "integrated_gradients": {"n_steps": 2}, "iia": {"n_images": 2, "n_attentions": 2}}
SLACK = 0.1
SLOW = ("chefer_cam", "integrated_gradients", "rise", "iia")


def asked(shape, tokens, *, device, dtype, threads):
    """A function that asks anew, and gives what `attributions.run` wants."""
    import numpy as np
    import torch

    import dexar_widgets as dx
    from dexar_widgets import engine
    from dexar_widgets.asking import Asked, ask
    from dexar_widgets.types import Example
    from tests.benchmarks.models import build

    torch.set_num_threads(threads)
    decoding = engine.Decoding(max_new_tokens=tokens, do_sample=False)
    if shape == "lab":
        vlm, image = dx.load(), dx.lab.scene(7).image
        return lambda: ask(vlm, image, "what do you see?", answer=None, steps=None, on_word=None, decoding=decoding)
    handle, request = build(shape, device=device, dtype=getattr(torch, dtype))
    example = Example(np.zeros((8, 8, 3), np.uint8), "made up")

    def again():
        with engine.metered(handle) as meter:
            said = engine.answer(handle, request, decoding=decoding)
        steps = tuple(range(len(said.generation)))
        return Asked(handle, example, request, said, steps, meter.seconds, {"model": shape})

    return again


def measure(names, shape, tokens, repeats, *, smoke, **how):
    """Methods on one answer, in this process: medians over ``repeats``; the peak is that of shared and own work."""
    from dexar_widgets import attributions

    again = asked(shape, tokens, **how)
    wanted = {name: attributions.options_of(name, SMOKE.get(name, {}) if smoke else {}) for name in names}
    runs = []
    for _ in range(repeats):
        question = again()
        started = time.perf_counter()
        ran = attributions.run(question, wanted)
        costs = [one.cost for one in ran.found.values()]
        assert not ran.failed, ran.failed
        runs.append(
            {
                "answer": question.seconds,
                "work": time.perf_counter() - started,
                "shared": max(cost.shared for cost in costs),
                "own": sum(cost.own for cost in costs),
                "peak_bytes": max(cost.peak_bytes or 0 for cost in costs),
            }
        )
    return {
        **{name: statistics.median(run[name] for run in runs) for name in runs[0]},
        "seconds": statistics.median(run["answer"] + run["work"] for run in runs),
        "forwards": sum(cost.forwards for cost in costs),
        "backwards": sum(cost.backwards for cost in costs),
        "steps": len(question.steps),
    }


def apart(line):
    """One line in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.methods", "--line", json.dumps(line)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def costs(arguments, common):
    """Each method alone, then all ten in one comparison."""
    names = [name for name in (*TEN, "dexar_use") if arguments.only in name]
    heads = ("seconds", "answer", "shared", "own", "÷ attention", "passes", "memory", "paper", "÷ attention")
    widths = (9, 9, 9, 9, 12, 10, 11, 8, 12)
    print(f"{'method':22}", *(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)), sep="")
    found = {}
    for name in names:
        repeats = 1 if name in SLOW and common["shape"] != "lab" else common["repeats"]
        one = found[name] = apart(common | {"names": [name], "repeats": repeats})
        ratio = one["seconds"] / found["attention"]["seconds"] if "attention" in found else float("nan")
        paper = f"{PAPER[name]:8.2f}{PAPER[name] / PAPER['attention']:12.2f}" if name in PAPER else f"{'–':>8}{'–':>12}"
        print(
            f"{name:22}{one['seconds']:9.3f}{one['answer']:9.3f}{one['shared']:9.3f}{one['own']:9.3f}{ratio:12.2f}"
            f"{one['forwards']:>6} +{one['backwards']:>2}{one['peak_bytes'] / 2**20:7.0f} MiB{paper}",
            flush=True,
        )
    held = True if arguments.only else gates(found, common, 2 if arguments.smoke else 7)
    return found, held


def gates(found, common, pairs):
    """DEX-AR against attention, by turns; all ten at once against the single runs less what they can share."""
    line = {name: value for name, value in common.items() if name != "smoke"}
    turns = apart(line | {"repeats": pairs})
    ratio = turns["dexar ÷ attention"]
    print(f"\ndexar ÷ attention: {ratio:.3f}, the median of {pairs} pairs in one process (limit 1.1)")
    together = apart(common | {"names": list(TEN), "repeats": common["repeats"] if common["shape"] == "lab" else 1})
    single = sum(found[name]["seconds"] for name in TEN)
    # nine answers are saved, and the pass of all but one of the three that take the whole of it, and of attention's
    saved = sum(found[name]["answer"] + found[name]["shared"] for name in TEN) - together["answer"] - together["shared"]
    limit = single - saved
    print(
        f"all ten at once {together['seconds']:.1f} s; alone they take {single:.1f} s, of which {saved:.1f} s are "
        f"answers and passes that they share: {limit:.1f} s are left (limit, + {SLACK:.0%} as two runs differ by)"
    )
    found["all ten"], found["by turns"] = together, turns
    return ratio <= 1.1 and together["seconds"] <= limit * (1 + SLACK)


def by_turns(shape, tokens, repeats, **how):
    """Medians of dexar and attention alone, each with its answer, taken by turns; and of their ratio."""
    from dexar_widgets import attributions

    again = asked(shape, tokens, **how)
    seconds = {"attention": [], "dexar": []}
    for _ in range(repeats):
        for name, taken in seconds.items():
            question = again()
            started = time.perf_counter()
            attributions.run(question, {name: attributions.options_of(name, {})})
            taken.append(question.seconds + time.perf_counter() - started)
    ratios = [dexar / attention for attention, dexar in zip(*seconds.values(), strict=True)]
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    return medians | {"dexar ÷ attention": statistics.median(ratios), "pairs": repeats}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", help="default: 270M LLaVA, on CUDA LLaVA-1.5-7B; or lab")
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="of the quick methods; slow ones run once")
    parser.add_argument("--only", default="", help="methods whose name holds this")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--line", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.line:
        line = json.loads(arguments.line)
        print(json.dumps((measure if "names" in line else by_turns)(**line)))
        return
    cuda = arguments.device == "cuda"
    common = {
        "shape": "smoke" if arguments.smoke else arguments.shape or ("LLaVA-1.5-7B" if cuda else "270M LLaVA"),
        "tokens": 4 if arguments.smoke else arguments.tokens,
        "device": arguments.device,
        "dtype": "bfloat16" if cuda else "float32",
        "threads": arguments.threads,
        "repeats": 1 if arguments.smoke else arguments.repeats,
        "smoke": arguments.smoke,
    }
    print(_machine(common), f"{common['shape']}, T = {common['tokens']}", sep="\n")
    found, held = costs(arguments, common)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    if not held and not arguments.smoke:  # seconds of a smoke test say nothing
        raise SystemExit("A limit is exceeded.")


if __name__ == "__main__":
    main()
