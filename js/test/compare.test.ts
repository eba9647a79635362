// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { agreement, pairOf, shares } from "../src/compare";
import type { Side } from "../src/facts";
import { mapOf } from "../src/maps";
import { comparePanel } from "../src/panels/compare";
import type { State } from "../src/state";
import { type Explanation, open as read } from "../src/wire";
import { explanation, golden, optionsOf } from "./golden";
import { connected, open, state } from "./panel";

const map = (...values: number[]): Float64Array => Float64Array.from(values);

describe("two maps", () => {
  it("are shares of their positive energy", () => {
    expect([...shares(map(1, 3, -2))]).toEqual([0.25, 0.75, -0.5]);
    expect([...shares(map(0, 0))]).toEqual([0, 0]);
  });

  it("that are proportional agree wholly", () => {
    const found = agreement(map(1, 2, 5), map(2, 4, 10));
    expect(found.overlap).toBeCloseTo(1, 12);
    expect(found.rank).toBeCloseTo(1, 12);
    expect(found.cosine).toBeCloseTo(1, 12);
  });

  it("agree as far as worked out by hand", () => {
    // Shares .1 .2 .3 .4 and .4 .4 .2 0: least .1 .2 .2 0. Ranks 1 2 3 4 and 3.5 3.5 2 1.
    const found = agreement(map(1, 2, 3, 4), map(4, 4, 2, 0));
    expect(found.overlap).toBeCloseTo(0.5, 12);
    expect(found.rank).toBeCloseTo(-4.5 / Math.sqrt(5 * 4.5), 12);
    expect(found.cosine).toBeCloseTo(18 / Math.sqrt(30 * 36), 12);
  });

  it("of which one is empty have no agreement", () => {
    const found = agreement(map(1, 2), map(0, 0));
    expect([found.overlap, found.rank]).toEqual([Number.NaN, Number.NaN]);
  });
});

function show(...sources: Explanation[]): [State, HTMLElement] {
  const s = state(sources);
  return [s, open(s, comparePanel).querySelector<HTMLElement>(".compare")!];
}

const choose = (panel: Element, label: string, value: string): void => {
  const box = [...panel.querySelectorAll("select")].find((each) => each.previousElementSibling?.textContent === label)!;
  box.value = value;
  box.dispatchEvent(new Event("change"));
};

/** The sum of each map that is drawn. */
const drawn = (panel: Element): number[] =>
  [...panel.querySelectorAll<HTMLElement>("figure:not([hidden]) canvas")].map(({ dataset }) => Number(dataset.sum));

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0);

const said = (panel: Element): string => panel.querySelector("[role=status]")!.textContent!;

/** The same answer with its words in another order, and other numbers: the golden case of another seed. */
function otherAnswer(): Explanation {
  const { document, payload } = golden("delta_near_zero");
  const [e] = read(
    document,
    Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0)),
  );
  return { ...e!, source: 1 };
}

describe("a pair of maps", () => {
  const side = (relu: boolean, e = explanation("ordinary")): Side => ({
    e,
    chosen: [1],
    method: "dexar",
    options: { ...optionsOf(golden("ordinary").expected[0]!), relu },
  });

  it("has one scale, symmetric where one of the two has a sign, and a difference cell by cell", () => {
    const [a, b] = [side(true), side(false)];
    const found = pairOf(a, b, true, "grey");
    const [one, other] = [a, b].map(({ e, options }) => mapOf(e, [1], options, "dexar"));
    expect(found.maps).toEqual([one, other]);
    const reach = Math.max(...one!, ...other!.map(Math.abs));
    expect(found.scale).toEqual({ colours: "blue_red", low: -reach, high: reach });
    expect(found.difference).toEqual(one!.map((value, i) => value - other![i]!));
    expect(pairOf(a, a, true, "grey").scale.colours).toBe("grey");
  });

  it("is of shares where values are of different units", () => {
    const found = pairOf(side(true), side(true), false, "grey");
    expect(sum(found.maps[0])).toBeCloseTo(1, 12);
    expect(found.unit).toBe("share of the map’s energy");
  });

  it("has no difference where the grids differ", () => {
    const other = { ...side(true, explanation("three_to_one")), chosen: [1] };
    expect(pairOf(side(true), other, true, "grey").difference).toBeNull();
  });
});

describe("the comparison", () => {
  it("opens on the unfiltered map and shares of energy, as the units differ", () => {
    const e = explanation("ordinary");
    const [s, panel] = show(e);
    const plain = { ...s.options.value, headFilter: "none", fillerFilter: "none" } as const;
    const [a, b] = [shares(s.map.value), shares(mapOf(e, [], plain, "dexar"))];
    expect(drawn(panel)).toEqual([sum(a), sum(b), sum(a.map((value, i) => value - b[i]!))]);
    expect(panel.querySelector(".segmented")!.hasAttribute("hidden")).toBe(true);
    expect(said(panel)).toMatch(/peak.*rank the cells alike.*energy lies in the same cells/s);
  });

  it("shows raw values where the unit is the same", () => {
    const e = explanation("ordinary");
    const [s, panel] = show(e);
    s.chosen.value = [1];
    choose(panel, "B", "signed");
    const signed = mapOf(e, [1], { ...s.options.value, relu: false }, "dexar");
    expect(drawn(panel).slice(0, 2)).toEqual([sum(s.map.value), sum(signed)]);
    expect(panel.querySelector(".unit")!.textContent).toBe("logit per unit of attention, times head weight");
  });

  it("finds the word in another answer by its text, or lets one be chosen", () => {
    const [e, other] = [explanation("ordinary"), otherAnswer()];
    const [s, panel] = show(e, other);
    s.chosen.value = [1];
    expect(drawn(panel)[1]).toBe(sum(mapOf(other, [1], s.options.value, "dexar")));
    choose(panel, "Word", "0");
    expect(drawn(panel)[1]).toBe(sum(mapOf(other, [0], s.options.value, "dexar")));
  });

  it("says that the other answer lacks the word", () => {
    const other = otherAnswer();
    other.header.words[1]!.text = "blue";
    const [s, panel] = show(explanation("ordinary"), other);
    s.chosen.value = [1];
    expect(said(panel)).toContain("lacks this word");
    expect(drawn(panel)).toEqual([]);
  });

  it("draws no difference between grids that differ", () => {
    const [, panel] = show(explanation("ordinary"), { ...explanation("three_to_one"), source: 1 });
    expect(drawn(panel)).toHaveLength(2);
    expect(said(panel)).toContain("grids differ");
  });

  it("says what a copy without a kernel does not hold", () => {
    const e = explanation("ordinary");
    for (const name of [...e.blocks.keys()]) if (name.includes("tensor/")) e.blocks.delete(name);
    const [, panel] = show(e);
    choose(panel, "B", "signed");
    expect(said(panel)).toContain("does not hold B’s numbers");
    expect(drawn(panel)).toEqual([]);
  });

  it("asks a kernel for the other explanation's parts and shows them when they come", async () => {
    const [e, other] = [explanation("ordinary"), otherAnswer()];
    const full = new Map(other.blocks);
    for (const name of [...other.blocks.keys()]) if (name.includes("tensor/")) other.blocks.delete(name);
    const asked: unknown[] = [];
    const host = connected((of, parts) => {
      asked.push([of.source, parts]);
      for (const [name, block] of full) of.blocks.set(name, block);
      of.revision.value++;
    });
    const s = state([e, other], host);
    s.chosen.value = [1];
    s.relu.value = false;
    const panel = open(s, comparePanel);
    expect(asked).toEqual([[1, ["tensor/1"]]]);
    expect(drawn(panel)[1]).toBe(sum(mapOf(other, [1], s.options.value, "dexar")));
  });

  it("keeps a hidden map hidden", () => {
    const [s, panel] = show(explanation("ordinary"));
    s.veiled.value = true;
    expect(drawn(panel)).toEqual([]);
    expect(said(panel)).toContain("hidden until");
  });
});
