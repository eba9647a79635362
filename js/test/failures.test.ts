// @vitest-environment happy-dom
import { signal } from "@preact/signals-core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { scoped } from "../src/dom";
import { type Host, type Job, pageHost } from "../src/host";
import { listen } from "../src/keys";
import { sumMap } from "../src/maps";
import { drawing } from "../src/panels/draw";
import { failuresPanel, notesCsv } from "../src/panels/failures";
import type { Check, Finding } from "../src/results";
import { createState, type State } from "../src/state";
import type { Explanation, Region } from "../src/wire";
import { explanation } from "./golden";

let end: (() => void) | undefined;
let s: State;
let stage: HTMLElement;
let below: HTMLElement;
let panel: HTMLElement;

/** The stage is as large as the image, so that a client's pixel is the image's. */
function show(e: Explanation, host: Host = pageHost()): void {
  s = createState([e], host);
  const { width, height } = e.header.image;
  stage = document.createElement("div");
  stage.append(document.createElement("canvas"));
  stage.getBoundingClientRect = () => new DOMRect(0, 0, width, height);
  stage.setPointerCapture = () => {};
  const root = document.createElement("main");
  document.body.append(root);
  const [, unwatch] = scoped(() => {
    below = drawing(s, stage);
    panel = failuresPanel(s);
    root.append(stage, below, panel);
  });
  const unlisten = listen(s, root);
  end = () => {
    unwatch();
    unlisten();
    s.end();
  };
}

beforeEach(() => show(explanation("with_attention")));

afterEach(() => {
  end?.();
  end = undefined;
  document.body.replaceChildren();
});

function drag(...points: [number, number][]): void {
  const kinds = ["pointerdown", ...points.slice(1).map(() => "pointermove"), "pointerup"];
  kinds.forEach((kind, i) => {
    const [clientX, clientY] = points[Math.min(i, points.length - 1)]!;
    stage.dispatchEvent(new PointerEvent(kind, { clientX, clientY, bubbles: true, pointerId: 1 }));
  });
}

const draw = (mode: string, ...points: [number, number][]) => {
  const input = below.querySelector<HTMLInputElement>(`input[value=${mode}]`)!;
  input.checked = true;
  input.dispatchEvent(new Event("change"));
  drag(...points);
};

const press = (key: string, more: KeyboardEventInit = {}) =>
  stage.firstElementChild!.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }),
  );

const said = () => [...below.querySelectorAll("[role=status]")].map((line) => line.textContent);
const cellsOf = (table: Element) =>
  [...table.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent));
const section = (title: string) =>
  [...panel.querySelectorAll("section")].find((part) => part.textContent!.startsWith(title))!;
const named = (place: Element, text: string) =>
  [...place.querySelectorAll("button")].find((button) => button.textContent!.startsWith(text))!;

describe("drawing on the image", () => {
  it("drags a box of whole pixels, clipped to the image", () => {
    draw("box", [30.4, 35], [48, 38], [70, 60]);
    expect(s.region.value).toEqual([30, 35, 50, 40]);
    // the lower right cell, 10 × 10, and half of the one beside it; each for its lower half
    expect([...s.coverage.value!].map((share, cell) => [cell, share]).filter(([, share]) => share)).toEqual([
      [18, 0.5],
      [19, 0.5],
    ]);
    expect(said()[1]).toContain("The region is 5.00 % of the map");
  });

  it("draws a lasso, without points where the hand trembles", () => {
    draw("lasso", [10, 10], [10.1, 10.1], [30, 10], [30, 30]);
    expect(s.region.value).toEqual([
      [10, 10],
      [30, 10],
      [30, 30],
    ]);
  });

  it("a click looks a cell up, and puts it away again", () => {
    drag([12, 3]);
    expect(s.picked.value).toBe(1);
    drag([12, 3]);
    expect(s.picked.value).toBeNull();
    draw("box", [12, 13]);
    expect([s.picked.value, s.region.value]).toEqual([6, null]);
  });

  it("keys pick the cell under the cursor, grow a box of cells and clear both", () => {
    s.cell.value = 6;
    press("Enter");
    expect(s.picked.value).toBe(6);
    press("ArrowRight", { shiftKey: true });
    press("ArrowDown", { shiftKey: true });
    expect([s.cell.value, s.region.value]).toEqual([12, [10, 10, 30, 30]]);
    press("ArrowUp", { shiftKey: true });
    press("ArrowUp", { shiftKey: true });
    expect(s.region.value).toEqual([10, 0, 30, 20]);
    press("ArrowLeft"); // begins anew from where the cursor then is
    s.cell.value = 19;
    press("ArrowRight", { shiftKey: true });
    expect(s.region.value).toEqual([40, 30, 50, 40]);
    s.chosen.value = [0];
    press("Escape");
    expect([s.region.value, s.picked.value, s.chosen.value]).toEqual([null, null, [0]]);
    press("Escape");
    expect(s.chosen.value).toEqual([]);
  });

  it("says which words use a cell, each by its own map", () => {
    s.picked.value = 3;
    for (const [word, share] of s.lookup.value!) {
      const entries = word.steps.map((step) => s.e.entryOf.get(step)!);
      const map = sumMap(s.e, entries, s.options.value);
      expect(share).toBeCloseTo(map[3]! / map.reduce((a, b) => a + b, 0), 12);
    }
    expect(said()[0]).toMatch(/^Share of each word’s energy in row 1, column 4: “.+” [\d.]+ % \(rank \d+\)/);
  });

  it("keeps what it knows to itself while a guess is asked for", () => {
    s.picked.value = 3;
    s.region.value = [0, 0, 10, 10];
    s.veiled.value = true;
    expect(said()).toEqual(["", ""]);
  });
});

describe("named regions", () => {
  it("can be chosen, also those that are masks alone", () => {
    end?.();
    const e = explanation("with_attention");
    const coverage = Array.from({ length: 20 }, (_, cell) => Number(cell < 5));
    e.header.regions = [{ name: "top", outline: null, coverage }];
    show(e);
    const select = below.querySelector("select")!;
    expect([...select.options].map((option) => option.textContent)).toEqual(["drawn", "top"]);
    select.value = "top";
    select.dispatchEvent(new Event("change"));
    expect([...s.coverage.value!]).toEqual(coverage);
    expect(stage.querySelector(".region path")!.getAttribute("d")).toContain("M0 0H10");
  });
});

describe("register patches", () => {
  it("are marked on the image while the tab is open", () => {
    const marked = () => stage.querySelector(".outliers path")!.getAttribute("d");
    expect(marked()).toBeNull();
    s.tab.value = "Failures";
    expect(marked()).toBe("M0 0H10M0 10H10M0 0V10M10 0V10");
  });

  it("show their share of cells, of attention and of the map, for the words in view", () => {
    const shares = () => cellsOf(section("Register")).map(([, share]) => Number.parseFloat(share!));
    const share = (method: "attention" | "dexar", entries: number[]) => {
      const map = sumMap(s.e, entries, s.options.value, method);
      return (100 * map[0]!) / map.reduce((a, b) => a + b, 0);
    };
    s.chosen.value = [1, 2];
    const [cells, attention, map] = shares();
    expect(cells).toBe(5);
    expect(attention).toBeCloseTo(share("attention", [1, 2]), 1);
    expect(map).toBeCloseTo(share("dexar", [1, 2]), 1);
  });

  it.each(["ordinary", "one_cell", "summary_only"])("without numbers say how to get them: %s", (name) => {
    end?.();
    show(explanation(name));
    expect(section("Register").textContent).toContain(
      "dx.explain(vlm, image, prompt, patch_norm=True, attention=True)",
    );
    expect(section("Register").querySelector("table")).toBeNull();
  });
});

describe("silenced words", () => {
  it("are listed with the reason, and chosen with a click", () => {
    end?.();
    show(explanation("all_silenced"));
    const items = [...section("Silenced").querySelectorAll("li")];
    expect(items.length).toBe(s.counts.value.words);
    expect(items[1]!.textContent).toMatch(/^red is silenced, the text wins: text .+ on “<s>”/);
    items[1]!.querySelector("button")!.click();
    expect(s.chosen.value).toEqual([1]);
    s.region.value = [0, 0, 10, 10];
    expect(cellsOf(section("Does"))[0]!.slice(1)).toEqual(["–", "–", "–"]);
    expect(said()[1]).toContain("no word’s map has any");
  });
});

describe("the spurious check", () => {
  const REGION: Region = [0, 0, 50, 20];

  function kernel() {
    const job = signal<Job | null>(null);
    const asked: unknown[] = [];
    let cancelled = 0;
    const host: Host = {
      ...pageHost(),
      connected: signal(true),
      model: signal("a model"),
      job,
      measure: async (...what) => {
        asked.push(what);
      },
      cancel: () => {
        cancelled++;
      },
    };
    return { host, job, asked, cancelled: () => cancelled };
  }

  const check = (steps: number[], hidden: number, kept: number, p: number | null = 0.05): Check => ({
    steps,
    word: "",
    log_prob: -1,
    hidden,
    kept,
    ...(p === null ? { chance: null, low: null, high: null } : { chance: 0.1, low: -0.012, high: 2.5 }),
    p,
    randoms: p === null ? 0 : 19,
  });

  const measured = (...checks: Check[]) => {
    s.results.value = [{ kind: "check", about: { region: REGION }, how: "blur", checks }];
  };

  it("asks about every word and the whole answer at once", () => {
    end?.();
    const { host, asked } = kernel();
    show(explanation("with_attention"), host);
    s.region.value = REGION;
    named(section("Does"), "Hide it").click();
    expect(asked).toEqual([["check", { words: [[0], [1], [2, 3], [0, 1, 2, 3]], region: REGION, how: "mean" }]]);
  });

  it("says where each word comes from, what is lost, and what chance would lose", () => {
    s.region.value = REGION;
    const part = section("Does");
    expect(part.querySelectorAll("thead th").length).toBe(4);
    measured(check([0], -1.1, -6.2), check([1], -4, -1), check([2, 3], -4, -1, 0.3), check([0, 1, 2, 3], -4, -1, null));
    const rows = cellsOf(part);
    expect(rows.map((row) => row[0])).toEqual(["a", "red", "suitcase", "Whole answer"]);
    expect(rows.map((row) => row.slice(1, 6))).toEqual([
      ["outside", "0.10", "0.10 (−0.01 to 2.50)", "0.05", "5.20"],
      ["inside", "3.00", "0.10 (−0.01 to 2.50)", "0.05", "0.00"],
      ["inside?", "3.00", "0.10 (−0.01 to 2.50)", "0.30", "0.00"],
      ["inside", "3.00", "–", "–", "0.00"],
    ]);
    s.chosen.value = [1];
    const said = () => part.querySelector(".scroll")!.parentElement!.nextElementSibling!.textContent;
    expect(said()).toMatch(
      /“red” loses 3\.00 nats without the region, 0\.10 \(−0\.01 to 2\.50\) without a random one; none of 19 random regions costs as much \(p = 0\.05\)\. Without the rest it loses 0\.00: it comes from inside the region; the map .+\.$/,
    );
    s.chosen.value = [2, 3];
    expect(said()).toContain("5 of 19 random regions cost as much (p = 0.30): no more than chance.");
    s.chosen.value = [];
    expect(said()).toMatch(
      /The whole answer loses 3\.00 nats without the region\. Without the rest it loses 0\.00: it comes/,
    );
    expect(part.textContent).toContain("Hidden with a blur. By chance: the mean of 19 random regions");
    named(part, "Whole answer").click();
    expect(s.chosen.value).toEqual([]);
    s.region.value = [0, 0, 50, 19]; // another region: what was measured does not hold for it
    expect(cellsOf(part)[0]!.length).toBe(4);
  });

  it("shows how far it is, and can be stopped", () => {
    end?.();
    const { host, job, cancelled } = kernel();
    show(explanation("with_attention"), host);
    s.region.value = REGION;
    const bar = section("Does").querySelector("progress")!;
    expect(bar.hidden).toBe(true);
    job.value = { kind: "check", text: "scoring the answer (pass 2 of 3)", done: 1, total: 3, words: [], since: 0 };
    expect([bar.hidden, bar.max, bar.value, named(section("Does"), "Hide it").disabled]).toEqual([false, 3, 1, true]);
    expect(section("Does").querySelector("[role=status]")!.textContent).toContain("pass 2 of 3");
    named(section("Does"), "Stop").click();
    expect(cancelled()).toBe(1);
  });

  it("on a page by itself is greyed out, with the line of Python that does it", () => {
    s.chosen.value = [1];
    s.region.value = REGION;
    expect(named(section("Does"), "Hide it").disabled).toBe(true);
    expect(section("Does").textContent).toContain('dx.check(e, step="red", region=[0,0,50,20])');
  });

  it("without a region asks for one", () => {
    expect(section("Does").querySelector("table")!.closest("[hidden]")).not.toBeNull();
    expect(section("Does").textContent).toContain("Draw a box");
  });
});

describe("findings", () => {
  const FOUND: Finding = {
    kind: "finding",
    about: { name: "spurious" },
    text: "“red” comes from <b>the stamp</b>.",
    cells: [3, 4],
    regions: [{ name: "the stamp", outline: [30, 0, 50, 10] }],
    notes: [{ steps: [1], word: "red", tag: "spurious", text: "It loses 3 nats." }],
  };

  it("are hidden while there are none, then tell their sentence and lead to words and regions", () => {
    const part = section("Found by");
    expect(part.hidden).toBe(true);
    s.results.value = [FOUND];
    expect(part.hidden).toBe(false);
    expect(part.querySelector("p")!.textContent).toBe(FOUND.text);
    expect(part.querySelector("p b")).toBeNull();
    named(part, "red").click();
    expect(s.chosen.value).toEqual([1]);
    expect(named(part, "red").title).toBe("It loses 3 nats.");
    named(part, "Show the stamp").click();
    expect(s.region.value).toEqual([30, 0, 50, 10]);
    expect(part.textContent).toContain("2 cells dotted");
  });

  it("have their cells dotted on the image while the tab is open", () => {
    s.tab.value = "Failures";
    s.results.value = [FOUND];
    expect(stage.querySelector(".outliers path")!.getAttribute("d")).toContain("M30 0H40");
    s.tab.value = "Flow";
    expect(stage.querySelector(".outliers path")!.getAttribute("d")).toBeNull();
  });
});

describe("notes", () => {
  const list = () => [...section("Notes").querySelectorAll("li")].map((item) => item.textContent);

  it("are made with one key, one for each choice of words", () => {
    s.chosen.value = [2, 3];
    press("3");
    expect(s.tab.value).toBe("Failures");
    press("1");
    s.chosen.value = [];
    press("5");
    expect(s.notes.value).toEqual([
      { steps: [2, 3], word: "suitcase", tag: "ok", text: "" },
      { steps: [], word: "", tag: "other", text: "" },
    ]);
    expect(list()).toEqual(["suitcaseokRemove", "whole answerotherRemove"]);
    named(section("Notes").querySelector("ul")!, "Remove").click();
    expect(list()).toEqual(["whole answerotherRemove"]);
  });

  it("are saved as CSV, quotes and commas within a cell", () => {
    s.e.header.prompt = 'what, "exactly"?';
    s.chosen.value = [1];
    press("2");
    expect(notesCsv(s)).toBe(
      '"word","steps","tag","remark","prompt","answer","model"\r\n' +
        `"red","1","register","","what, ""exactly""?","a red suitcase","a made-up model"\r\n`,
    );
  });
});
