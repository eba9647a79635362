// @vitest-environment happy-dom
import { signal } from "@preact/signals-core";
import { describe, expect, it, vi } from "vitest";
import { columnOf, columnScales, commonScale, rowsOf, shareOf } from "../src/columns";
import { agreement } from "../src/compare";
import { record, settingsLine, shownSide, unitOf } from "../src/facts";
import { bytes } from "../src/format";
import { mapOf, needed } from "../src/maps";
import { limitsOf, methodsOf, titleOf } from "../src/methods";
import { csvOf } from "../src/numbers";
import { comparePanel } from "../src/panels/compare";
import { imagePanel } from "../src/panels/image";
import { summary } from "../src/panels/reading";
import { pythonOf } from "../src/python";
import type { State } from "../src/state";
import { readTraits } from "../src/traits";
import type { Explanation } from "../src/wire";
import { explanation, golden } from "./golden";
import { connected, open, press, state } from "./panel";

const made = (): Explanation => explanation("with_methods");
const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0);
const map = (...values: number[]): Float64Array => Float64Array.from(values);

describe("the methods of an explanation", () => {
  it("begin with the paper's and end with the controls", () => {
    expect(methodsOf(made())).toEqual(["dexar", "rise", "integrated_gradients", "tam", "iia", "centre"]);
    expect(methodsOf(explanation("ordinary"))).toEqual(["dexar"]);
    expect(methodsOf(explanation("with_attention"))).toEqual(["dexar", "attention"]);
  });

  it("have Python's titles, or their names where nothing is known of them", () => {
    const e = made();
    expect(["dexar", "rise", "some_method"].map((name) => titleOf(e, name))).toEqual(["DEX-AR", "Rise", "some method"]);
  });

  it("that share a name with what is made here give way to it, where its numbers are there", () => {
    const e = made();
    const rise = e.header.methods[0]!;
    for (const name of ["dexar", "attention"]) {
      e.header.methods.push({ ...rise, name });
      for (const block of ["", "/answer"]) e.blocks.set(`method/${name}${block}`, e.blocks.get(`method/rise${block}`)!);
    }
    const s = state(e);
    const own = s.map.value;
    expect(mapOf(e, [], s.options.value, "dexar")).toEqual(own);
    expect(mapOf(e, [], s.options.value, "attention")).toEqual(mapOf(e, [], s.options.value, "rise"));
    e.header.attention = true;
    expect(needed(e, [0], s.options.value, "attention")).toEqual(["attention"]);
  });

  it("need their part, and have no map of a step that they left out", () => {
    const e = made();
    const { options } = state(e);
    const own = (entries: number[], method: string) => needed(e, entries, options.value, method);
    expect([own([0], "iia"), own([0, 1], "iia"), own([0], "tam"), own([0], "unknown")]).toEqual([null, [], [], null]);
    e.blocks.delete("method/rise");
    expect(own([0], "rise")).toEqual(["method/rise"]);
  });
});

describe("a view of a ready-made map", () => {
  const view = (method: string, chosen: number[] = []): State => {
    const s = state(made());
    s.method.value = method;
    s.chosen.value = chosen;
    return s;
  };

  it("follows the word, and neither layers nor filters", () => {
    const s = view("rise", [1]);
    const { steps } = golden("with_methods").methods.rise!;
    expect(sum(s.map.value)).toBeCloseTo(sum(steps[1]!), 5);
    const before = [...s.map.value];
    s.to.value = 0;
    s.headFilter.value = "none";
    s.relu.value = false;
    expect([...s.map.value]).toEqual(before);
    expect(settingsLine(shownSide(s))).toBe("Rise, whatever the layers and filters");
    expect(open(s, imagePanel).querySelector<HTMLElement>(".limits")!.hidden).toBe(true);
  });

  it("is one map for every word where the method has one alone, and says so", () => {
    const s = view("tam", [1]);
    const { answer } = golden("with_methods").methods.tam!;
    expect(sum(s.map.value)).toBeCloseTo(sum(answer), 4);
    expect([...s.wordMaps.value.values()].map((each) => sum(each!))).toEqual(
      [...s.wordMaps.value].map(() => sum(s.map.value)),
    );
    expect(settingsLine(shownSide(s))).toContain("one map for the whole answer");
    expect(open(s, imagePanel).textContent).toContain("whichever word is chosen");
  });

  it("says what its numbers are, and how the words' make up the answer's", () => {
    const unit = (method: string, chosen: number[]) => unitOf(shownSide(view(method, chosen)));
    expect(unit("iia", [1])).toBe("made-up units");
    expect(unit("iia", [])).toBe("made-up units, summed over the words");
    expect(unit("rise", [])).toBe("sum of words’ maps, each scaled 0–1");
    expect(unit("tam", [1])).toBe("made-up units");
  });

  it("marks a control and an empty map", () => {
    const s = view("centre");
    expect(limitsOf(s.e, "centre")).toMatch(/^A chance control/);
    expect(settingsLine(shownSide(s))).toContain("chance control");
    for (const block of ["", "/answer"]) s.e.blocks.get(`method/centre${block}`)!.data.fill(0);
    s.e.revision.value++;
    expect(summary(s)).toBe("The map is empty: Centre finds nothing in the image here.");
  });

  it("is exported as it is shown: no option that does not touch it, and Python's own call", () => {
    const s = view("integrated_gradients", [1]);
    expect(pythonOf(s)).toContain('heat = e.attributions["integrated_gradients"].heatmap([1])\nvalues = heat.values');
    expect(pythonOf(view("tam", [1]))).toContain('e.attributions["tam"].sequence_map()');
    expect(readTraits(s).method).toBe("integrated_gradients");
    const about = record(s);
    expect([about.method, about.unit, about.precision]).toEqual(["integrated_gradients", "logit", "32 bits"]);
    expect(about).not.toHaveProperty("head_filter");
    const rows = csvOf(s)
      .split("\n")
      .filter((line) => !line.startsWith("#"));
    expect(rows.slice(1, -1).every((line) => line.startsWith("map,"))).toBe(true);
    expect(rows).toHaveLength(s.e.size.cells + 2);
  });

  it("is chosen above the image, among all that there are", () => {
    const s = state(made());
    const box = open(s, imagePanel).querySelector<HTMLSelectElement>(".about select")!;
    expect([...box.options].map(({ text }) => text)).toEqual([
      "DEX-AR",
      "Rise",
      "Integrated gradients",
      "Tam",
      "Iia",
      "Centre",
    ]);
    box.value = "iia";
    box.dispatchEvent(new Event("change"));
    expect(s.method.value).toBe("iia");
  });
});

describe("the scales of the table", () => {
  const maps = [map(0, 8), map(1, 3), map(2, 7), null];

  it("are each map's, or one of a method's words beside the whole answer's", () => {
    const grey = { colours: "grey" };
    expect(columnScales(maps, "own", "grey", 100)).toEqual([
      { ...grey, low: 0, high: 8 },
      { ...grey, low: 1, high: 3 },
      { ...grey, low: 2, high: 7 },
      null,
    ]);
    const words = { ...grey, low: 1, high: 7 };
    expect(columnScales(maps, "method", "grey", 100)).toEqual([{ ...grey, low: 0, high: 8 }, words, words, null]);
  });

  it("are one of all shares, which a few large negative values do not spread", () => {
    expect(commonScale([map(0, 0.2), map(0.5, 0.1)], "grey", 100)).toEqual({ colours: "grey", low: 0, high: 0.5 });
    expect(commonScale([map(0, 0.2), map(-9, 1)], "grey", 100)).toEqual({ colours: "blue_red", low: -1, high: 1 });
    expect(commonScale([null], "grey", 99)).toEqual({ colours: "grey", low: 0, high: 0 });
  });

  it("share no energy where there is none", () => {
    expect([...shareOf(map(1, 3))]).toEqual([0.25, 0.75]);
    expect([...shareOf(map(-1, -3))]).toEqual([0, 0]);
  });
});

const table = (panel: Element): HTMLElement => panel.querySelector<HTMLElement>(".methods")!;
const texts = (root: Element, selector: string): string[] =>
  [...root.querySelectorAll(selector)].map(({ textContent }) => textContent!);
const cellAt = (panel: Element, row: number, col: number): HTMLElement =>
  panel.querySelectorAll("tbody tr")[row]!.querySelectorAll("td")[col]!;
const sumAt = (panel: Element, row: number, col: number): number =>
  Number(cellAt(panel, row, col).querySelector("canvas")!.dataset.sum);

describe("the table of words and methods", () => {
  it("has the whole answer and every word in a row, and every method in a column", () => {
    const s = state(made());
    const panel = table(open(s, comparePanel));
    expect(texts(panel, "tbody th")).toEqual(["Whole answer", "a", "red", "suitcase"]);
    expect(texts(panel, "thead th")).toEqual(["DEX-AR", "Rise", "Integrated gradients", "Tam", "Iia", "Centrecontrol"]);
    const wanted = golden("with_methods").methods;
    expect(sumAt(panel, 0, 0)).toBe(sum(s.map.value));
    expect(sumAt(panel, 0, 1)).toBeCloseTo(sum(wanted.rise!.answer), 4);
    expect(sumAt(panel, 2, 2)).toBeCloseTo(sum(wanted.integrated_gradients!.steps[1]!), 4);
    const both = [2, 3].map((step) => sum(wanted.integrated_gradients!.steps[step]!));
    expect(sumAt(panel, 3, 2)).toBeCloseTo(both[0]! + both[1]!, 4);
  });

  it("says where a map is the whole answer's, or where there is none", () => {
    const panel = table(open(state(made()), comparePanel));
    expect([cellAt(panel, 1, 3), cellAt(panel, 1, 4), cellAt(panel, 2, 4)].map((cell) => cell.textContent)).toEqual([
      "as above",
      "none",
      "",
    ]);
    expect(cellAt(panel, 1, 3).getAttribute("aria-label")).toBe("a, Tam: as above, one map for the whole answer.");
    expect(cellAt(panel, 2, 4).getAttribute("aria-label")).toMatch(/^red, Iia: peak at row \d, column \d\.$/);
  });

  it("tells what each method took", () => {
    const panel = table(open(state(made()), comparePanel));
    const rows = [...panel.querySelectorAll("tfoot tr:not([hidden])")].map((row) => texts(row, "th, td"));
    expect(rows[0]).toEqual(["Seconds", "–", "2", "2", "0.75", "2", "2"]);
    expect(rows[1]).toEqual(["its own", "–", "1.25", "1.25", "0.5", "1.25", "1.25"]);
    expect(rows[2]).toEqual(["Memory", "–", "3.0 MB", "3.0 MB", "–", "3.0 MB", "3.0 MB"]);
    expect(rows[3]).toEqual(["Passes", "–", "24 · 8", "24 · 8", "1 · 0", "24 · 8", "24 · 8"]);
    expect([0, 900, 1_500, 123_456, 2.5e9].map(bytes)).toEqual(["0 B", "900 B", "1.5 kB", "123 kB", "2.5 GB"]);
  });

  it("shows shares of energy on one scale, or a method's on its own", () => {
    const panel = table(open(state(made()), comparePanel));
    const choose = (value: string) => panel.querySelector<HTMLInputElement>(`input[value=${value}]`)!.click();
    expect(panel.querySelector<HTMLElement>(".legend")!.hidden).toBe(true);
    choose("share");
    expect(sumAt(panel, 2, 1)).toBeCloseTo(1, 9);
    expect(panel.querySelector<HTMLElement>(".legend")!.hidden).toBe(false);
    expect(panel.querySelector<HTMLElement>("tfoot tr")!.hidden).toBe(true);
    choose("method");
    const [head, ...ends] = texts(panel.querySelector("tfoot tr")!, "th, td");
    expect([head, ends[3]]).toEqual(["Scale", "–"]); // its words have no maps
    expect([ends[1], ends[2]]).toEqual([
      expect.stringMatching(/^[\d.]+ – [\d.]+$/),
      expect.stringMatching(/^± [\d.]+$/),
    ]);
  });

  it("leaves the controls out on request", () => {
    const panel = table(open(state(made()), comparePanel));
    panel.querySelector<HTMLInputElement>("input[type=checkbox]")!.click();
    expect(texts(panel, "thead th").at(-1)).toBe("Iia");
  });

  it("chooses a map's word, and its method as B; by click or key", () => {
    const s = state(made());
    const panel = open(s, comparePanel);
    const b = () =>
      [...panel.querySelectorAll("select")].find((box) => box.previousElementSibling?.textContent === "B")!;
    cellAt(table(panel), 2, 1).click();
    expect([s.chosen.value, b().value, s.method.value]).toEqual([[1], "method/rise", "dexar"]);
    cellAt(table(panel), 3, 0).click(); // what is shown already stays what it is compared with
    expect([s.chosen.value, b().value]).toEqual([[2, 3], "method/rise"]);
    const marked = [...table(panel).querySelectorAll("td[aria-selected=true]")];
    expect(marked).toEqual([cellAt(table(panel), 3, 0), cellAt(table(panel), 3, 1)]);
    cellAt(table(panel), 0, 0).focus();
    for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp"])
      expect(press(document.activeElement!, key)).toBe(false);
    expect(document.activeElement).toBe(cellAt(table(panel), 0, 2));
    expect(table(panel).querySelectorAll("td[tabindex='0']")).toHaveLength(1);
    press(document.activeElement!, "Enter");
    expect([s.chosen.value, b().value]).toEqual([[], "method/integrated_gradients"]);
  });

  it("follows layers and filters in the paper's column alone", () => {
    const s = state(made());
    const panel = table(open(s, comparePanel));
    const before = [sumAt(panel, 2, 0), sumAt(panel, 2, 1)];
    s.layerMode.value = "single";
    s.to.value = 0;
    expect(sumAt(panel, 2, 0)).not.toBe(before[0]);
    expect(sumAt(panel, 2, 1)).toBe(before[1]);
  });

  it("gives nothing away while a guess is asked for", () => {
    const s = state(made());
    const panel = table(open(s, comparePanel));
    s.veiled.value = true;
    expect(panel.querySelectorAll("canvas:not([data-sum=''])")).toHaveLength(0);
    expect(cellAt(panel, 2, 1).getAttribute("aria-label")).toContain("hidden until");
    expect(cellAt(panel, 2, 1).textContent).toBe("");
  });

  it("is not there for one method alone", () => {
    expect(table(open(state(explanation("ordinary")), comparePanel)).hidden).toBe(true);
  });

  it("asks a kernel for maps that are not here", () => {
    const e = made();
    for (const name of ["method/rise", "method/rise/answer"]) e.blocks.delete(name);
    const asked: string[][] = [];
    const host = connected((_, parts) => asked.push(parts));
    const s = state(e, host);
    const panel = table(open(s, comparePanel));
    expect(asked).toContainEqual(["method/rise"]);
    expect(cellAt(panel, 1, 1).textContent).toBe("none");
    expect(columnOf(s, "rise", rowsOf(e)).every((each) => each === null)).toBe(true);
  });
});

describe("the pair below", () => {
  it("opens on another method, and compares values of one unit as they are", () => {
    const s = state(made());
    s.method.value = "iia";
    s.chosen.value = [1];
    const panel = open(s, comparePanel).querySelector(".compare")!;
    const boxes = [...panel.querySelectorAll("select")];
    expect(boxes.map(({ value }) => value)).toContain("method/dexar");
    const b = boxes.find(({ value }) => value === "method/dexar")!;
    expect([...b.options].map(({ text }) => text)).toContain("Centre (chance control)");
    b.value = "method/rise";
    b.dispatchEvent(new Event("change"));
    const figures = [...panel.querySelectorAll<HTMLElement>("figure:not([hidden]) canvas")].map(
      ({ dataset }) => dataset.sum,
    );
    const maps = ["iia", "rise"].map((method) => mapOf(s.e, [1], s.options.value, method));
    expect(figures.slice(0, 2)).toEqual(maps.map((each) => String(sum(each))));
    expect(panel.querySelector("[role=status]")!.textContent).toContain(
      `${Math.round(100 * agreement(maps[0]!, maps[1]!).overlap)} %`,
    );
  });
});

describe("a further method", () => {
  it("is offered where a model stands behind the view, and asked for", () => {
    const attribute = vi.fn(() => Promise.resolve());
    const host = {
      ...connected(() => {}),
      model: signal("lab/llava"),
      methods: signal(["dexar", "grad_cam", "rise", "tam"]),
      attribute,
    };
    const s = state(made(), host);
    const panel = open(s, comparePanel).querySelector<HTMLElement>(".computing")!;
    expect(panel.hidden).toBe(false);
    const box = panel.querySelector("select")!;
    expect([...box.options].map(({ text }) => text)).toEqual(["grad cam", "DEX-AR"]); // whose map is there
    box.value = "grad_cam";
    box.dispatchEvent(new Event("change"));
    panel.querySelector("button")!.click();
    expect(attribute).toHaveBeenCalledWith("grad_cam");
  });

  it("is not offered by a page", () => {
    expect(open(state(made()), comparePanel).querySelector<HTMLElement>(".computing")!.hidden).toBe(true);
  });
});
