// @vitest-environment happy-dom
import { signal } from "@preact/signals-core";
import { beforeEach, describe, expect, it } from "vitest";
import { type Host, type Job, pageHost } from "../src/host";
import { flowPanel } from "../src/panels/flow";
import { inWords, knockout, lossOf, windowsChart } from "../src/panels/knockout";
import { layersPanel } from "../src/panels/layers";
import type { Knockout } from "../src/results";
import type { State } from "../src/state";
import { explanation } from "./golden";
import { open, press, state } from "./panel";

let s: State;
let asked: unknown[][] = [];
const job = signal<Job | null>(null);
const kernel = (): Host => ({
  ...pageHost(),
  model: signal("a model"),
  job,
  measure: async (...what) => {
    asked.push(what);
  },
});

beforeEach(() => {
  asked = [];
  job.value = null;
});

/** Of “a red suitcase .”: the last row is the whole answer. */
const FOUND: Knockout = {
  kind: "knockout",
  about: { cut: ["image", "answer"] },
  depth: 3,
  aligned: true,
  windows: [
    [0, 1],
    [1, 2],
  ],
  words: [
    { word: "a", steps: [0], total: 0, drop: [0, 0] },
    { word: "red", steps: [1], total: 2, drop: [0.5, 1.5] },
    { word: "suitcase", steps: [2, 3], total: 4, drop: [3, -1] },
    { word: ".", steps: [4], total: 0.01, drop: [0, 0] },
    { word: "a red suitcase.", steps: [0, 1, 2, 3, 4], total: 6.01, drop: [3.5, 0.5] },
  ],
};

function show(build = (of: State) => knockout(of, (found) => windowsChart(of, found)), host = kernel()): HTMLElement {
  s = state(explanation("ordinary"), host);
  return open(s, build);
}

describe("what is lost", () => {
  it("adds up over the words in view", () => {
    show();
    expect(lossOf(s, FOUND)).toEqual({ name: "the whole answer", total: 6.01, drop: [3.5, 0.5] });
    s.chosen.value = [3];
    expect(lossOf(s, FOUND)).toEqual({ name: "“suitcase”", total: 4, drop: [3, -1] });
    s.chosen.value = [1, 2, 3];
    expect(lossOf(s, FOUND)).toEqual({ name: "“red” and “suitcase”", total: 6, drop: [3.5, 0.5] });
  });

  it("is said in plain words", () => {
    const say = (cut: string, total: number, drop: number[]) => inWords(cut, FOUND, { name: "“red”", total, drop });
    expect(say("image answer", 2, [0.5, 1.5])).toBe(
      "Without the answer’s own reads of the image, in all 3 layers, “red” loses 2.00 nats: " +
        "the image is read directly, by the word’s own position or an earlier one’s. " +
        "Of all windows, layers 1–2 alone cost most: 1.50.",
    );
    expect(say("image answer", 2, [0.1, 0.2])).toMatch(/cost most: 0\.20, so others make up for it\.$/);
    expect(say("image prompt", 0, [0, 0.01])).toMatch(
      /“red” loses nothing: it does not come this way\. No layers alone cost it anything\.$/,
    );
    expect(say("prompt answer", -0.5, [0.2, 0.1])).toContain("“red” gains 0.50 nats. Of all windows, layers 0–1");
  });
});

describe("the control", () => {
  it("asks for the chosen cut", () => {
    const panel = show();
    const choice = panel.querySelector<HTMLInputElement>("input[value='prompt answer']")!;
    choice.checked = true;
    choice.dispatchEvent(new Event("change"));
    panel.querySelector<HTMLButtonElement>("button")!.click();
    expect(asked).toEqual([["knockout", { cut: ["prompt", "answer"] }]]);
  });

  it("shows what was measured of that cut alone, and keeps the note on relayed content at hand", () => {
    const panel = show();
    s.results.value = [FOUND];
    expect(panel.querySelector(".shown svg")).not.toBeNull();
    expect([...panel.querySelectorAll("details")].at(-1)!.textContent).toContain("can silence a visual word");
    s.cut.value = "image prompt";
    expect(panel.querySelector(".shown svg")).toBeNull();
  });

  it("shows how far it is", () => {
    const panel = show();
    job.value = { kind: "knockout", text: "cutting", done: 1, total: 2, words: [], since: Date.now() };
    expect(panel.querySelector("progress")!.hidden).toBe(false);
    expect(panel.querySelector("[role=status]")!.textContent).toContain("cutting");
  });

  it.each([
    ["Layers", layersPanel],
    ["Flow", flowPanel],
  ])("in %s is hidden on a page by itself, unless a cut was made before", (_, build) => {
    const box = show(build, pageHost()).querySelector<HTMLElement>(".knockout")!;
    expect(box.hidden).toBe(true);
    s.results.value = [FOUND];
    expect(box.hidden).toBe(false);
    expect([...box.querySelectorAll("button")].every(({ hidden }) => hidden)).toBe(true);
    s.cut.value = "prompt answer";
    expect(box.textContent).toContain("This cut was not made before this copy was.");
  });
});

describe("the chart below the layer curve", () => {
  it("puts each window at its middle on the layers' axis, for the words in view", () => {
    const panel = show(layersPanel);
    s.results.value = [FOUND];
    s.chosen.value = [2, 3];
    const box = panel.querySelector(".knockout")!;
    const places = (dots: Iterable<Element>) =>
      [...dots].map((dot) => Number(dot.getAttribute("cx"))).sort((x, y) => x - y);
    const [a, b, c] = places(panel.querySelectorAll("figure .curve circle.visual"));
    const found = places(box.querySelectorAll("circle"));
    expect(found[0]).toBeCloseTo((a! + b!) / 2);
    expect(found[1]).toBeCloseTo((b! + c!) / 2);
    expect(box.querySelector("svg")!.getAttribute("aria-label")).toBe(
      "Nats that “suitcase” loses by window of layers: layers 0–1 3.00, layers 1–2 −1.00. In all layers 4.00.",
    );
    const rows = [...box.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent));
    expect(rows).toEqual([
      ["layers 0–1", "3.00"],
      ["layers 1–2", "−1.00"],
      ["all 3 layers", "4.00"],
    ]);
  });

  it("of other layers than those explained stands on an axis of its own", () => {
    const panel = show();
    s.results.value = [
      {
        ...FOUND,
        aligned: false,
        depth: 6,
        windows: [[4, 5]],
        words: FOUND.words.map((word) => ({ ...word, drop: [1] })),
      },
    ];
    expect([...panel.querySelectorAll(".axes text[text-anchor=middle]")].map(({ textContent }) => textContent)).toEqual(
      ["0", "1", "2", "3", "4", "5"],
    );
    expect(panel.textContent).toContain("not the layers above");
  });
});

describe("the matrix below the flow", () => {
  const matrix = (panel: HTMLElement) => panel.querySelector<HTMLElement>(".knockout .matrix")!;
  const said = (panel: HTMLElement) => panel.querySelector(".knockout .readout")!.textContent;

  it("names what is lost most, and takes the view to a word and a window", () => {
    const panel = show(flowPanel);
    s.results.value = [FOUND];
    expect(said(panel)).toBe(
      "Nats lost by window: most for “suitcase”, layers 0–1 · 3.00 nats lost, 4.00 in all 3 layers.",
    );
    const canvas = matrix(panel).querySelector("canvas")!;
    for (const key of ["ArrowRight", "Enter"]) press(canvas, key);
    expect(said(panel)).toBe("“red”, layers 1–2 · 1.50 nats lost, 2.00 in all 3 layers");
    expect([s.chosen.value, s.options.value.layers]).toEqual([[1], [1, 2]]);
  });

  it("is a table too, the whole answer last", () => {
    const panel = show(flowPanel);
    s.results.value = [FOUND];
    const rows = [...panel.querySelectorAll(".knockout tbody tr")].map((row) =>
      [...row.children].map((cell) => cell.textContent),
    );
    expect(rows.at(-1)).toEqual(["a red suitcase.", "6.01", "3.50", "0.50"]);
    expect(rows.length).toBe(5);
  });
});
