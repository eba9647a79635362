// @vitest-environment happy-dom
import { signal } from "@preact/signals-core";
import { beforeEach, describe, expect, it } from "vitest";
import { type Host, type Job, pageHost } from "../src/host";
import { topCells } from "../src/panels/deletion";
import type { Deletion } from "../src/results";
import type { State } from "../src/state";
import { explanation } from "./golden";
import { open, state } from "./panel";

let s: State;
let asked: unknown[][];
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

function show(host = kernel()): HTMLElement {
  s = state(explanation("with_attention"), host);
  return open(s, topCells);
}

const VIEW = {
  method: "dexar",
  layers: [0, 2],
  heads: null,
  head_filter: "max",
  filler_filter: "max",
  text_set: "all",
  relu: true,
  preset: "paper",
};

const curve = (more: Partial<Deletion> = {}): Deletion => ({
  kind: "deletion",
  about: { ...VIEW, steps: [1] } as Deletion["about"],
  how: "mean",
  status: "ok",
  fractions: [0, 0.1, 0.5],
  own: [-0.5, -3, -6],
  mean: [-0.5, -0.6, -1],
  low: [-0.5, -0.9, -2],
  high: [-0.5, -0.5, -0.4],
  lost: 3.3,
  chance: 0.21,
  p: 0.05,
  randoms: 19,
  verdict: "above chance",
  ...more,
});

const go = (panel: HTMLElement) => panel.querySelector("button")!;
const said = (panel: HTMLElement) => panel.querySelector("figure + .hint")?.textContent ?? "";

describe("the test of the top cells", () => {
  it("is asked for with the words and the map in view", () => {
    const panel = show();
    expect(go(panel).textContent).toBe("Test the whole answer’s top cells");
    s.chosen.value = [2, 3];
    expect(go(panel).textContent).toBe("Test this word’s top cells");
    s.to.value = 1;
    s.headFilter.value = "none";
    go(panel).click();
    const view = { ...VIEW, layers: [0, 1], head_filter: "none" };
    expect(asked).toEqual([["deletion", { steps: [2, 3], view, how: "mean" }]]);
  });

  it("draws the word's own order, the mean of random ones and their band, and says what they mean", () => {
    const panel = show();
    s.chosen.value = [1];
    s.results.value = [curve()];
    const picture = panel.querySelector("svg")!;
    const points = (selector: string) => picture.querySelector(selector)!.getAttribute("points")!.split(" ");
    // from −6 at the foot, 126, to −0.4 at the head, 10; shares of 0.5 from 44 to 408
    expect(points("polyline.visual")).toEqual(["44.0,12.1", "116.8,63.9", "408.0,126.0"]);
    expect([points("polyline.text").length, points(".chance").length]).toEqual([3, 6]);
    expect(said(panel)).toBe(
      "Hiding DEX-AR’s largest cells first, with the mean colour, costs “red” 3.30 nats on average up to 50 % of the cells; " +
        "in random order 0.21, and none of 19 random orders costs as much (p = 0.05): the map finds cells that it needs.",
    );
    expect(picture.getAttribute("aria-label")).toBe(said(panel));
  });

  it("is a table too", () => {
    const panel = show();
    s.chosen.value = [1];
    s.results.value = [curve()];
    const rows = [...panel.querySelectorAll("tbody tr")].map((row) =>
      [...row.children].map((cell) => cell.textContent),
    );
    expect(rows[1]).toEqual(["10 %", "−3.00", "−0.60", "−0.90 to −0.50"]);
    expect(rows.length).toBe(3);
  });

  it.each([
    ["at chance", 0.4, "7 of 19 random orders cost as much (p = 0.40): the map finds them no better than chance."],
    ["below chance", 1, "19 of 19 random orders cost as much (p = 1.00): what it needs lies elsewhere."],
    ["no effect", 0.05, "it does not depend on what was hidden."],
  ])("has words for %s", (verdict, p, words) => {
    const panel = show();
    s.chosen.value = [1];
    s.results.value = [curve({ verdict, p })];
    expect(said(panel)).toContain(words);
  });

  it("without random orders draws the curve alone", () => {
    const panel = show();
    s.chosen.value = [1];
    const none = { randoms: 0, p: null, chance: null, verdict: "too few random orders" };
    s.results.value = [curve(none)];
    expect(panel.querySelector(".chance, polyline.text")).toBeNull();
    expect(panel.querySelectorAll("thead th").length).toBe(2);
    expect(panel.textContent).not.toContain("NaN");
  });

  it("of a word without a map says why there is no curve", () => {
    const panel = show();
    s.chosen.value = [1];
    s.results.value = [curve({ status: "silenced", own: [null], lost: null, p: null, verdict: "silenced" })];
    expect(panel.textContent).toContain("The map of “red” is silenced: it has no top cells to hide.");
    expect(panel.querySelector("svg")).toBeNull();
  });

  it("does not hold for another word or another map", () => {
    const panel = show();
    s.chosen.value = [1];
    s.results.value = [curve()];
    s.relu.value = false;
    expect(panel.querySelector("svg")).toBeNull();
    s.relu.value = true;
    s.chosen.value = [0];
    expect(panel.querySelector("svg")).toBeNull();
    s.chosen.value = [1];
    expect(panel.querySelector("svg")).not.toBeNull();
  });

  it("cannot be made of the attention that is summed here", () => {
    const panel = show();
    s.method.value = "attention";
    expect(go(panel).disabled).toBe(true);
    expect(panel.textContent).toContain("Choose DEX-AR or another method’s map");
  });

  it("shows how far it is, and can be stopped", () => {
    const panel = show();
    job.value = { kind: "deletion", text: "scoring", done: 2, total: 8, words: [], since: Date.now() };
    const bar = panel.querySelector("progress")!;
    expect([bar.hidden, bar.value, bar.max, go(panel).disabled]).toEqual([false, 2, 8, true]);
    expect(panel.querySelector("[role=status]")!.textContent).toContain("scoring");
  });
});

describe("on a page by itself", () => {
  it("is hidden where nothing was tested, and else leads to what was", () => {
    const panel = show(pageHost());
    expect(panel.hidden).toBe(true);
    s.results.value = [curve()];
    expect(panel.hidden).toBe(false);
    const buttons = [...panel.querySelectorAll("button")].filter((button) => !button.closest("[hidden]"));
    expect(buttons.map(({ textContent }) => textContent)).toEqual(["red"]);
    buttons[0]!.click();
    expect(s.chosen.value).toEqual([1]);
    expect(panel.querySelector("svg")).not.toBeNull();
  });
});
