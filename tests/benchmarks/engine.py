"""What explaining costs beside generating, and beside plain autograd through eager attention.

    python -m tests.benchmarks.engine                 270 M parameters, CPU, two threads, float32
    python -m tests.benchmarks.engine --device cuda   full-size shapes, bfloat16
    python -m tests.benchmarks.engine --smoke         seconds; shows that everything runs

Every line is measured in a process of its own, so that its peak memory is its own. Explaining is
everything after ``generate``: log-probabilities, words, the pass and the whole tensor in memory.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

PEAK_UNIT = 2**10 if sys.platform != "darwin" else 1  # ru_maxrss is in KiB, in bytes on macOS


def lines(arguments):
    """(name, what to measure): each line of the table."""
    if arguments.smoke:
        for mode in ("generate", "explain", "eager"):
            yield f"smoke, {mode}", {"shape": "smoke", "tokens": 4, "mode": mode, "repeats": 1, "eager_steps": 1}
        return
    if arguments.device == "cuda":
        for shape in ("LLaVA-1.5-7B", "BakLLaVA", "PaliGemma-3B", "Florence-2-base"):
            for mode in ("generate", "explain", "eager"):
                yield f"{shape}, {mode}", {"shape": shape, "tokens": 50, "mode": mode}
        return
    medium = {"shape": "270M LLaVA", "tokens": 20, "mode": "explain"}
    yield "generate alone", medium | {"mode": "generate"}
    yield "explain", medium
    yield "eager autograd", medium | {"mode": "eager"}
    yield "with attention rows", medium | {"attention": True}
    yield "with lens", medium | {"lens": True}
    for tokens in (1, 100):
        yield f"T = {tokens}", medium | {"tokens": tokens}
    for side in (12, 48):
        yield f"{side**2} visual tokens", medium | {"sizes": {"side": side}}
    for layers in (8, 32):
        yield f"{layers} layers", medium | {"sizes": {"layers": layers}}


def measure(
    shape, tokens, mode, *, device, dtype, threads, repeats, eager_steps, attention=False, lens=False, sizes=None
):
    """One line, in this process: medians over ``repeats``, seconds and bytes."""
    import torch

    from tests.benchmarks.models import build

    torch.set_num_threads(threads)
    how = {"attention": "eager"} if mode == "eager" else {}
    handle, request = build(shape, device=device, dtype=getattr(torch, dtype), **how, **(sizes or {}))
    run = {"generate": _generate, "explain": _explain, "eager": _eager}[mode]
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    base = _peak(device)
    timings = [
        run(handle, request, tokens, lens=lens, attention=attention, eager_steps=eager_steps) for _ in range(repeats)
    ]
    medians = {name: statistics.median(timing[name] for timing in timings) for name in timings[0]}
    parameters = sum(weight.numel() for weight in handle.model.parameters())
    return {**medians, "peak_bytes": _peak(device), "built_bytes": base, "parameters": parameters}


def _generate(handle, request, tokens, **_):
    started = _now(handle)
    handle.model.generate(**request.inputs, max_new_tokens=tokens, do_sample=False)
    return {"generate_s": _now(handle) - started}


def _explain(handle, request, tokens, *, lens, attention, **_):
    from dexar_widgets import engine

    plain = _generate(handle, request, tokens)["generate_s"]
    inside = []
    generate = handle.model.generate

    def timed(**options):
        started = _now(handle)
        output = generate(**options)
        inside.append(_now(handle) - started)
        return output

    handle.model.generate = timed
    try:
        started = _now(handle)
        said = engine.answer(handle, request, decoding=engine.Decoding(max_new_tokens=tokens))
        answered = _now(handle)
        passed = engine.differentiate(handle, request, said, lens=lens, attention=attention)
        chunks = list(passed.chunks())
        finished = _now(handle)
    finally:
        del handle.model.generate
    assert len(inside) == 1 and sum(len(chunk.steps) for chunk in chunks) == tokens
    return {
        "generate_s": plain,
        "own_generate_s": inside[0],
        "explain_s": finished - started - inside[0],
        "pass_s": passed.seconds["pass"],
        "lens_s": passed.seconds.get("lens", 0.0),
        "answer_s": answered - started - inside[0],
        "tensor_bytes": passed.nbytes,
    }


def _eager(handle, request, tokens, *, eager_steps, **_):
    """The same tensor by autograd through eager attention; ``eager_steps`` tokens are timed, spread over the answer."""
    import numpy as np

    from tests.contract import oracle

    model = handle.model.requires_grad_(False)
    ids = model.generate(**request.inputs, max_new_tokens=tokens, do_sample=False)[0, request.prompt_ids.shape[1] :]
    positions = np.unique(np.linspace(0, tokens - 1, min(eager_steps or tokens, tokens)).astype(int))
    oracle.copy.deepcopy = lambda unchanged: unchanged  # no second copy of the weights
    started = _now(handle)
    oracle.differentiate(model, request.inputs, ids.tolist(), positions, dtype=model.dtype)
    return {"eager_s": (_now(handle) - started) * tokens / len(positions), "eager_steps": len(positions)}


def _now(handle):
    import torch

    if handle.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _peak(device):
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT


def _row(name, found):
    cells = [f"{name:28}"]
    for key, unit, scale in (("generate_s", "s", 1), ("explain_s", "s", 1), ("eager_s", "s", 1), ("lens_s", "s", 1)):
        cells.append(f"{found[key] / scale:9.3f} {unit}" if found.get(key) else " " * 11)
    ratio = found["explain_s"] / found["generate_s"] if "explain_s" in found else None
    cells.append(f"{ratio:8.1%}" if ratio is not None else " " * 8)
    cells.append(f"{found['peak_bytes'] / 2**30:8.3f} GiB")
    return " ".join(cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", help="default: float32 on the CPU, bfloat16 on CUDA")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--eager-steps", type=int, default=2, help="tokens timed of eager autograd (0: all of them)")
    parser.add_argument("--only", default="", help="lines whose name holds this")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--line", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    common = {
        "device": arguments.device,
        "dtype": arguments.dtype or ("bfloat16" if arguments.device == "cuda" else "float32"),
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "eager_steps": arguments.eager_steps,
    }
    if arguments.line:
        print(json.dumps(measure(**json.loads(arguments.line))))
        return
    results = {"machine": _machine(common), "lines": {}}
    heads = [f"{head:>11}" for head in ("generate", "explain", "eager", "lens")]
    print(results["machine"], " ".join([f"{'':28}", *heads, f"{'ratio':>8}", f"{'peak':>12}"]), sep="\n")
    for name, line in lines(arguments):
        if arguments.only in name:
            command = [sys.executable, "-m", "tests.benchmarks.engine", "--line", json.dumps(common | line)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name:28} failed: {done.stderr.strip().splitlines()[-1]}")
                continue
            found = results["lines"][name] = json.loads(done.stdout.splitlines()[-1])
            print(_row(name, found), flush=True)
    _summarise(results["lines"])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


def _summarise(found):
    """The promises: share of generate, speed against eager autograd, memory over generate's."""
    groups = {name.rpartition(", ")[0] for name in found if ", " in name} or {""}
    for group in sorted(groups):
        of = {name.removeprefix(f"{group}, "): line for name, line in found.items() if name.startswith(group)}
        generate, explain = of.get("generate alone") or of.get("generate"), of.get("explain")
        eager = of.get("eager autograd") or of.get("eager")
        if explain:
            share = explain["explain_s"] / explain["generate_s"]
            print(f"{group or '270M LLaVA'}: explaining takes {share:.1%} of generate")
        if explain and eager:
            print(f"  {eager['eager_s'] / explain['explain_s']:.0f} × faster than autograd through eager attention")
        if explain and generate:
            over = explain["peak_bytes"] - generate["peak_bytes"]
            tensor = explain["tensor_bytes"] / 2**20
            share = over / generate["peak_bytes"]
            print(
                f"  peak memory {share:+.1%} over generate's ({over / 2**20:+.1f} MiB; the tensor has {tensor:.1f} MiB)"
            )


def _machine(common):
    import torch
    import transformers

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((row.split(":")[1].strip() for row in info.read_text().splitlines() if "model name" in row), cpu)
    gpu = torch.cuda.get_device_name() if common["device"] == "cuda" else None
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    where = gpu or f"{cpu}, {common['threads']} threads"
    return f"{date.today()} · {where} · {common['dtype']} · {versions}"


if __name__ == "__main__":
    main()
