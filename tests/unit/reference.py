"""DEX-AR written a second time from its equations: plain loops over Python floats, sharing no code with the package.

t: step, y: layer, h: head, j: token.

Numbers: δ (equation 4) by (step, layer, head), ω (6) by step, E[t] (5) by step and cell, the sequence
map by cell. Everything is summed in double precision from the tensor's float32 values.
"""

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass
class Answer:
    delta: dict
    omega: list
    maps: list  # per step {(image, row, col): value}
    sequence: dict


def explain(tensor, layout, *, layers, heads, head_filter, filler_filter, relu, magnitude, text_set, preset):
    steps, depth, width, tokens = tensor.values.shape
    released = preset == "released"
    if layers is None:
        layers = range(max(0, depth - 10), depth) if released else range(depth)
    chosen = [(y, h) for y in layers for h in range(width) if heads is None or (y, h) in heads]
    text_set = text_set or ("released" if released else "all")

    def gradient(t, y, h, j):
        if released and y == depth - 1:
            return float(tensor.twice[t, h, j])
        return float(tensor.values[t, y, h, j])

    def read(t, y, h, members, how):
        cells = []
        for j in members:
            if tensor.allowed[t, y, j]:
                g = gradient(t, y, h, j)
                cells.append(abs(g) if magnitude else max(g, 0.0))
        if not cells:
            return 0.0
        cells.sort(reverse=True)
        if how == "max":
            return cells[0]
        f = Fraction(1) if how == "avg" else Fraction(str(how))
        k = max(1, math.ceil(f * len(cells)))
        return sum(cells[:k]) / k

    image = [j for j in range(tokens) if layout.kinds[j] == "image"]
    text = text_positions(layout, text_set)
    delta, omega, maps = {}, [], []
    for t in range(steps):
        for y, h in chosen:
            if head_filter == "none":
                delta[t, y, h] = 1.0
            else:
                delta[t, y, h] = max(0.0, read(t, y, h, image, head_filter) - read(t, y, h, text, head_filter))
        if filler_filter == "none":
            omega.append(1.0)
        else:
            vis = max(read(t, y, h, image, filler_filter) for y, h in chosen)
            txt = max(read(t, y, h, text, filler_filter) for y, h in chosen)
            omega.append(max(0.0, vis - txt))
        cells = {}
        for j in image:
            if layout.cells[j][0] < 0:
                continue  # a pooled feature
            total = 0.0
            for y, h in chosen:
                g = gradient(t, y, h, j)
                total += delta[t, y, h] * (max(g, 0.0) if relu else g)
            cells[tuple(int(c) for c in layout.cells[j])] = total
        maps.append(cells)
    sequence = dict.fromkeys(maps[0], 0.0)
    for t in range(steps):
        low, high = min(maps[t].values()), max(maps[t].values())
        for cell, value in maps[t].items():
            unit = (value - low) / (high - low) if high > low else 0.0
            sequence[cell] += omega[t] * (value if released else unit)
    return Answer(delta, omega, maps, sequence)


def text_positions(layout, text_set):
    kinds = list(layout.kinds)
    text = [j for j, kind in enumerate(kinds) if kind != "image"]
    if text_set == "no_special":
        return [j for j in text if kinds[j] != "special"]
    if text_set == "content":
        return [j for j in text if kinds[j] in ("prompt", "answer")]
    if text_set == "answer":
        return [j for j in text if kinds[j] == "answer"]
    if text_set == "released":
        after = [j for j in text if j > kinds.index("image")]
        return [j for j in text if j != after[0]]
    return text
