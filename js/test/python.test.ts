// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { pageHost } from "../src/host";
import { literal, pythonOf } from "../src/python";
import { createState, type State } from "../src/state";
import { explanation } from "./golden";

const state = (name = "ordinary"): State => createState([explanation(name)], pageHost());

const call = (s: State): string | undefined =>
  pythonOf(s)
    .split("\n")
    .find((line) => line.startsWith("heat = "));

describe("Python code", () => {
  it("writes plain values as literals", () => {
    expect(literal({ a: [null, true, false, 0.05, -1], b: 'say "no"\n' })).toBe(
      '{"a": [None, True, False, 0.05, -1], "b": "say \\"no\\"\\n"}',
    );
  });

  it("names no option that stands as the preset has it", () => {
    expect(call(state())).toBe('heat = e.sequence_map(preset="paper")');
  });

  it("names every option that was changed, by true indices", () => {
    const s = state();
    s.chosen.value = [2, 3];
    s.to.value = 1;
    s.heads.value = new Set([4, 3, 1]);
    s.headFilter.value = 0.1;
    s.fillerFilter.value = "none";
    s.textSet.value = "content";
    s.relu.value = false;
    expect(s.shown.value.missing).toEqual([]);
    expect(call(s)).toBe(
      'heat = e.heatmap([2, 3], layers=slice(0, 2), heads=[[0, 1], [1, 1]], head_filter=0.1, filler_filter="none", ' +
        'relu=False, text_set="content", preset="paper")',
    );
  });

  it("leaves out what the released preset brings", () => {
    const s = state();
    s.preset.value = "released";
    s.textSet.value = "released";
    expect(call(s)).toBe('heat = e.sequence_map(preset="released")');
    expect(pythonOf(s)).toContain('    "preset": "released",\n');
  });

  it("says that nothing is left where every head is muted", () => {
    const s = state();
    s.heads.value = new Set();
    expect(call(s)).toBeUndefined();
    expect(pythonOf(s)).toContain("no head is chosen");
  });

  it("reads attention from its rows", () => {
    const s = state("with_attention");
    s.method.value = "attention";
    s.chosen.value = [1];
    s.from.value = 1;
    expect(pythonOf(s)).toContain("rows = e.attention[[1]][:, 1:");
  });

  it("keeps a hostile answer on its own line of comment", () => {
    const s = state();
    s.e.header.answer = 'x"\nimport os\r\n</script>';
    expect(pythonOf(s).split(/[\r\n]/)).toContain('# The answer: "x\\"\\nimport os\\r\\n</script>"');
  });
});
