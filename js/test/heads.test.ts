// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { winner } from "../src/filters";
import { obstacle } from "../src/panels/filters";
import { chooseHeads, headOrder, headsPanel, headValues, statusText, verdict } from "../src/panels/heads";
import { difference, explanation, golden, quantised } from "./golden";
import { connected, open, press, state } from "./panel";

const matrix = (panel: HTMLElement) => panel.querySelector<HTMLCanvasElement>(".matrix canvas")!;
const said = (panel: HTMLElement) => panel.querySelector(".readout")!.textContent!;

describe("the values of heads", () => {
  it("are Python's δ, averaged over the steps in view", () => {
    const s = state(explanation("ordinary"));
    const { headWeights } = golden("ordinary").expected[0]!;
    const mean = Array.from({ length: 6 }, (_, at) =>
      [0, 1, 2, 3, 4].reduce((sum, t) => sum + headWeights[t * 6 + at]! / 5, 0),
    );
    expect(difference(headValues(s, "delta"), mean)).toBeLessThan(1e-6);
    s.chosen.value = [3];
    expect(difference(headValues(s, "delta"), headWeights.slice(18, 24))).toBeLessThan(1e-6);
  });

  it("stay what they are where heads are muted", () => {
    const s = state(explanation("ordinary"));
    const before = headValues(s, "delta");
    s.heads.value = new Set([2]);
    expect(headValues(s, "delta")).toEqual(before);
  });

  it("are ordered as in the model, last layer on top, or by size", () => {
    const values = Float64Array.from([1, 5, 4, 2, 9, 3]);
    expect(headOrder(values, 2, "model")).toEqual([4, 5, 2, 3, 0, 1]);
    expect(headOrder(values, 2, "value")).toEqual([4, 5, 1, 0, 2, 3]);
    expect(headOrder(values, 6, "value")).toEqual([4, 1, 2, 5, 3, 0]);
  });
});

describe("choosing heads", () => {
  it("isolates, brings all back, mutes and unmutes", () => {
    const s = state(explanation("ordinary"));
    chooseHeads(s, [4], false);
    expect([...s.heads.value!]).toEqual([4]);
    chooseHeads(s, [4], false);
    expect(s.heads.value).toBeNull();
    chooseHeads(s, [1], true);
    expect([...s.heads.value!].sort()).toEqual([0, 2, 3, 4, 5]);
    chooseHeads(s, [1], true);
    expect(s.heads.value).toBeNull();
    chooseHeads(s, [0, 1], true);
    chooseHeads(s, [1, 2], true);
    expect([...s.heads.value!].sort()).toEqual([1, 2, 3, 4, 5]);
  });

  it("never leaves none: the last one muted brings all back", () => {
    const s = state(explanation("ordinary"));
    chooseHeads(s, [4], false);
    chooseHeads(s, [4], true);
    expect(s.heads.value).toBeNull();
  });

  it("takes in all layers where the head's layer was not among them", () => {
    const s = state(explanation("ordinary"));
    s.layerMode.value = "single";
    s.to.value = 2;
    chooseHeads(s, [4], false);
    expect(s.options.value.layers).toEqual([2, 2]);
    chooseHeads(s, [0], false);
    expect(s.options.value.layers).toEqual([0, 2]);
  });
});

describe("a head", () => {
  it("that is dropped says which text token won", () => {
    const s = state(explanation("ordinary"));
    const { headWeights } = golden("ordinary").expected[0]!;
    const index = headWeights.indexOf(0);
    const [step, at] = [Math.floor(index / 6), index % 6];
    s.chosen.value = [step];
    const token = winner(s.e, step, Math.floor(at / 2), at % 2, s.options.value);
    const [piece] = s.e.header.tokens[token]!;
    expect(verdict(s, at)).toBe(`dropped: the text wins on “${piece.trim() || "␣"}”`);
    s.chosen.value = [];
    expect(verdict(s, at)).toMatch(/^dropped at \d of 5 tokens: the text wins/);
    s.headFilter.value = "none";
    expect(verdict(s, at)).toBe("counts, as the head filter is off");
    s.heads.value = new Set([at ? 0 : 1]);
    expect(verdict(s, at)).toBe("muted");
    s.heads.value = null;
    s.layerMode.value = "single";
    s.to.value = at < 2 ? 2 : 0;
    expect(verdict(s, at)).toBe("outside the chosen layers");
  });

  it("that nothing raises is not said to lose against a text", () => {
    const e = explanation("ordinary");
    const silent = state({
      ...e,
      blocks: new Map(
        [...e.blocks].map(([name, block]) => [
          name,
          /^(visual|text)/.test(name)
            ? { ...block, data: block.data.map(() => 0) as never }
            : name.startsWith("winner")
              ? { ...block, data: block.data.map(() => -1) as never }
              : block,
        ]),
      ),
    });
    silent.chosen.value = [0];
    expect(verdict(silent, 0)).toBe("dropped: nothing raises the word");
  });
});

describe("the heads panel", () => {
  it("is walked with arrow keys, labels included, and read in words", () => {
    const s = state(explanation("ordinary"));
    const panel = open(s, headsPanel);
    expect(matrix(panel).getAttribute("aria-label")).toMatch(/^Weight δ: largest in layer \d, head \d/);
    press(matrix(panel), "ArrowDown");
    expect(said(panel)).toMatch(/^layer 1, head 0 · rank \d of 6 · δ /);
    press(matrix(panel), "ArrowRight");
    press(matrix(panel), "Enter");
    expect([...s.heads.value!]).toEqual([3]);
    expect(statusText(s)).toBe("Only layer 1, head 1 is on.");
    press(matrix(panel), "ArrowLeft");
    press(matrix(panel), "ArrowLeft");
    expect(said(panel)).toBe("layer 1 · 1 of 2 heads on");
    press(matrix(panel), "Enter");
    expect([...s.heads.value!]).toEqual([2, 3]);
    press(matrix(panel), " ");
    expect(s.heads.value).toBeNull();
  });

  it("lists the largest heads in a table whose rows keep the focus", () => {
    const s = state(explanation("ordinary"));
    const panel = open(s, headsPanel);
    const [first] = panel.querySelectorAll<HTMLButtonElement>("tbody button");
    const order = headOrder(headValues(s, "delta"), 6, "value");
    expect(first!.textContent).toBe(`layer ${Math.floor(order[0]! / 2)}, head ${order[0]! % 2}`);
    first!.focus();
    first!.click();
    expect([...s.heads.value!]).toEqual([order[0]]);
    expect(document.activeElement).toBe(first);
    expect(first!.getAttribute("aria-pressed")).toBe("true");
  });

  it("turns the choice around, and back to all", () => {
    const s = state(explanation("ordinary"));
    const panel = open(s, headsPanel);
    const [all, invert] = [...panel.querySelectorAll("button")].filter(({ textContent }) =>
      ["All heads", "Invert"].includes(textContent!),
    );
    expect(invert!.disabled).toBe(true);
    chooseHeads(s, [0, 1], false);
    invert!.click();
    expect([...s.heads.value!]).toEqual([2, 3, 4, 5]);
    all!.click();
    expect(s.heads.value).toBeNull();
  });

  it("reads, but does not choose, where single heads were not kept or do not travel", () => {
    for (const e of [explanation("summary_only"), quantised(explanation("ordinary"))]) {
      const s = state(e);
      const panel = open(s, headsPanel);
      press(matrix(panel), "Enter");
      expect(s.heads.value).toBeNull();
      expect(statusText(s)).toMatch(/^Choosing heads: (only sums over heads were kept|not in this copy)/);
      expect(said(panel)).toContain("layer 2, head 0");
      panel.remove();
    }
  });

  it("asks a kernel for what is missing, and says that it comes", () => {
    const asked: string[][] = [];
    const host = connected((_, parts) => asked.push(parts));
    const s = state(quantised(explanation("ordinary")), host);
    s.chosen.value = [1, 2];
    expect(obstacle(s, { heads: new Set([0]) })).toBe("");
    chooseHeads(s, [3], false);
    expect(asked.at(-1)).toEqual(["tensor/1", "tensor/2"]);
    expect(statusText(s)).toBe("Loading …");
  });
});
