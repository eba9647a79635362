import { describe, expect, it } from "vitest";
import { headWeights, keptHeads, reason, stepWeights } from "../src/filters";
import { mapOf, needed, sequenceMap, sumMap, tokenMap, upsample } from "../src/maps";
import { need } from "../src/wire";
import { difference, explanation, golden, NAMES, optionsOf, quantised } from "./golden";

/** float32 maps in Python, float64 here. */
const FLOAT = 1e-6;
/** 8 bits per layer. */
const UINT8 = 0.005;

describe.each(NAMES)("%s agrees with Python", (name) => {
  const e = explanation(name);
  const { expected, silenced, upsampled } = golden(name);
  const { header } = e;
  const exact = e.blocks.has(`tensor/${header.steps[0]}`);
  const every = header.steps.map((_, entry) => entry);

  it.each(expected.map((each) => [JSON.stringify(each.options), each] as const))("%s", (_, want) => {
    const o = optionsOf(want);
    const [from, to] = o.layers;
    const { layers, heads } = e.size;
    const delta = headWeights(e, o);
    const selected = every.flatMap((s) => [...delta.slice((s * layers + from) * heads, (s * layers + to + 1) * heads)]);
    expect(difference(selected, want.headWeights)).toBeLessThanOrEqual(FLOAT);
    expect(keptHeads(e, every, o)).toBe(want.kept);
    expect(difference(stepWeights(e, o), want.stepWeights)).toBeLessThanOrEqual(FLOAT);
    const tolerance = exact ? FLOAT : UINT8;
    for (const entry of every)
      expect(difference(tokenMap(e, entry, o), want.tokenMaps[entry]!)).toBeLessThanOrEqual(tolerance);
    expect(difference(sumMap(e, every, o), want.sumMap)).toBeLessThanOrEqual(tolerance);
    expect(difference(sequenceMap(e, o), want.sequenceMap)).toBeLessThanOrEqual(tolerance);
  });

  it("within half a percent of the peak from 8-bit layer maps alone", () => {
    const coarse = quantised(e);
    const possible = expected
      .map((want) => ({ ...want, options: optionsOf(want) }))
      .filter(({ options }) => needed(coarse, every, options, "dexar")?.length === 0);
    expect(possible.length).toBeGreaterThanOrEqual(6);
    for (const want of possible) {
      for (const entry of every)
        expect(difference(tokenMap(coarse, entry, want.options), want.tokenMaps[entry]!)).toBeLessThanOrEqual(UINT8);
      expect(difference(sequenceMap(coarse, want.options), want.sequenceMap)).toBeLessThanOrEqual(UINT8);
    }
  });

  it("on why a word is silenced", () => {
    const paper = optionsOf(expected[0]!);
    for (const want of silenced.filter(({ token }) => token >= 0)) {
      const found = reason(e, e.entryOf.get(want.step)!, paper);
      expect([e.header.layers[found.text.layer], found.text.head, found.token]).toEqual([
        want.layer,
        want.head,
        want.token,
      ]);
      expect(difference([found.text.value, found.visual.value], [want.text, want.visual])).toBeLessThanOrEqual(FLOAT);
    }
  });

  it("on the attention and the lens, where they were kept", () => {
    const { attention, lens } = golden(name);
    expect([attention.length > 0, lens !== null]).toEqual([header.attention, e.blocks.has("lens/logit")]);
    const paper = optionsOf(expected[0]!);
    for (const { layers, map } of attention)
      expect(difference(sumMap(e, every, { ...paper, layers }, "attention"), map)).toBeLessThanOrEqual(UINT8);
    if (!lens) return;
    expect(difference(need(e, "lens/logit").data, lens.logit)).toBeLessThanOrEqual(FLOAT);
    expect([...need(e, "lens/rank").data]).toEqual(lens.rank);
    expect([...need(e, "lens/top").data].map((id) => header.lensWords[id])).toEqual(lens.top);
  });

  it("on the maps that other methods gave", () => {
    const paper = optionsOf(expected[0]!);
    for (const [method, { steps, answer }] of Object.entries(golden(name).methods)) {
      expect(difference(mapOf(e, [], paper, method), answer)).toBeLessThanOrEqual(FLOAT);
      for (const [step, map] of Object.entries(steps))
        expect(difference(mapOf(e, [e.entryOf.get(Number(step))!], paper, method), map)).toBeLessThanOrEqual(FLOAT);
    }
  });

  it("on every pixel of the upsampled map", () => {
    const { rows, cols } = header.grid;
    const plain = expected.find(({ options: o }) => o.headFilter === "none" && o.preset === "paper")!;
    const map = tokenMap(e, 0, optionsOf(plain));
    const pixels = upsample(map, rows, cols, upsampled.length, upsampled[0]!.length);
    const tolerance = exact ? FLOAT : UINT8;
    expect(difference(pixels, upsampled.flat())).toBeLessThanOrEqual(tolerance);
  });
});
