// @vitest-environment happy-dom
import { signal } from "@preact/signals-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { extent, percentile, tokenMap } from "../src/maps";
import { imagePanel } from "../src/panels/image";
import { reading, summary } from "../src/panels/reading";
import { verdict } from "../src/panels/words";
import { shownScale } from "../src/scale";
import { difference, explanation, golden, quantised } from "./golden";
import { connected, open, state } from "./panel";

afterEach(() => {
  vi.restoreAllMocks();
});

const text = (panel: HTMLElement, selector: string) => panel.querySelector(selector)!.textContent;
const ticks = (panel: HTMLElement) => [...panel.querySelectorAll(".ticks span")].map(({ textContent }) => textContent);

describe("the line above the map", () => {
  it("names what narrows the map down, and takes it back", () => {
    const s = state(explanation("ordinary"));
    const panel = open(s, imagePanel);
    const line = panel.querySelector<HTMLElement>(".limits")!;
    expect(line.hidden).toBe(true);
    s.layerMode.value = "single";
    s.to.value = 1;
    s.heads.value = new Set([0, 2]);
    s.headFilter.value = "none";
    s.relu.value = false;
    expect(text(panel, ".limits span")).toBe(
      "layer 1 only · 2 of 6 heads chosen · head filter: none · with negative gradients",
    );
    s.relu.value = true;
    s.e.header.attention = true;
    s.e.blocks.set("attention", { ...s.e.blocks.get("maps/none")! });
    s.method.value = "attention";
    expect(text(panel, ".limits span")).toBe("layer 1 only"); // no filter touches it
    s.method.value = "dexar";
    line.querySelector("button")!.click();
    expect(line.hidden).toBe(true);
    expect(s.options.value).toMatchObject({ layers: [0, 2], heads: null, headFilter: "max", relu: true });
  });
});

describe("the colours", () => {
  it("span the map, or every word's map by one scale", () => {
    const s = state(explanation("ordinary"));
    s.chosen.value = [0];
    expect([shownScale(s).low, shownScale(s).high]).toEqual(extent(s.map.value));
    s.display.value = { ...s.display.value, scale: "shared" };
    const words = [...s.wordMaps.value.values()].map((map) => extent(map!));
    const all = [Math.min(...words.map(([low]) => low)), Math.max(...words.map(([, high]) => high))];
    for (const chosen of [[0], [1], [2, 3]]) {
      s.chosen.value = chosen;
      expect([shownScale(s).low, shownScale(s).high]).toEqual(all);
    }
    s.chosen.value = []; // another unit: no word's scale
    expect([shownScale(s).low, shownScale(s).high]).toEqual(extent(s.map.value));
  });

  it("end at a percentile, which the legend says", () => {
    const s = state(explanation("ordinary"));
    s.chosen.value = [1];
    const panel = open(s, imagePanel);
    expect(ticks(panel)[2]).not.toContain("≥");
    s.display.value = { ...s.display.value, clip: 90 };
    expect(shownScale(s).high).toBeCloseTo(percentile(s.map.value, 90), 12);
    expect(ticks(panel)[2]).toMatch(/^≥ /);
  });

  it("say their unit, and diverge about zero for signed gradients", () => {
    const s = state(explanation("ordinary"));
    const panel = open(s, imagePanel);
    expect(text(panel, ".unit")).toBe("sum of words’ maps, each scaled 0–1, times word weight");
    s.chosen.value = [1];
    s.relu.value = false;
    const { colours, low, high } = shownScale(s);
    expect([colours, low]).toEqual(["blue_red", -high]);
    expect(panel.textContent).toContain("blue against the word, red for it");
  });
});

describe("the overlay", () => {
  it("is drawn once for the changes of one frame", () => {
    const frames = new Map<number, FrameRequestCallback>();
    let serial = 0;
    vi.stubGlobal("requestAnimationFrame", (draw: FrameRequestCallback) => frames.set(++serial, draw) && serial);
    vi.stubGlobal("cancelAnimationFrame", (id: number) => frames.delete(id));
    const s = state(explanation("ordinary"));
    const panel = open(s, imagePanel);
    s.chosen.value = [1];
    s.opacity.value = 0.5;
    s.to.value = 1;
    s.display.value = { ...s.display.value, blend: "multiply" };
    expect(frames.size).toBe(1);
    for (const draw of frames.values()) draw(0);
    expect(panel.querySelector("canvas")!.style.mixBlendMode).toBe("multiply");
    vi.unstubAllGlobals();
  });

  it("is hidden, words and all, until a guess is made", () => {
    const s = state(explanation("ordinary"));
    const panel = open(s, imagePanel);
    s.veiled.value = true;
    s.cell.value = 3;
    expect(panel.querySelector("canvas")!.getAttribute("aria-label")).toBe(
      "The map is hidden until the guess is made.",
    );
    expect(panel.querySelector<HTMLElement>(".legend")!.hidden).toBe(true);
    expect(text(panel, ".readout")).toBe("row 1, column 4 · pixels 30–40 × 0–10");
  });

  it("can be the attention itself, where its rows were kept", () => {
    expect(open(state(explanation("ordinary")), imagePanel).textContent).not.toContain("Raw attention");
    const s = state(explanation("with_attention"));
    const panel = open(s, imagePanel);
    panel.querySelector<HTMLInputElement>("input[value=attention]")!.click();
    expect(s.method.value).toBe("attention");
    expect(difference(s.map.value, golden("with_attention").attention[0]!.map)).toBeLessThan(0.005);
    expect(text(panel, ".unit")).toMatch(/^attention, mean over heads/);
    expect(panel.textContent).toContain("no filter applies");
  });
});

describe("the summary", () => {
  it("tells the share inside a region", () => {
    const s = state(explanation("ordinary"));
    s.chosen.value = [1];
    s.region.value = [0, 0, 40, 30];
    expect(summary(s)).toMatch(/The region holds 100 % of it\.$/);
    s.region.value = [0, 0, 20, 30];
    const left = s.map.value.filter((_, cell) => cell % 4 < 2).reduce((a, b) => a + b, 0);
    const share = Math.round((100 * left) / s.map.value.reduce((a, b) => a + b, 0));
    expect(summary(s)).toContain(`The region holds ${share} % of it.`);
  });

  it("says that numbers are on their way, did not come, or are not in this copy", () => {
    const e = quantised(explanation("ordinary"));
    const s = state(
      e,
      connected(() => {}),
    );
    s.heads.value = new Set([0]);
    s.chosen.value = [1];
    expect(summary(s)).toMatch(/^The numbers for this choice are on their way; .* Peak/);
    s.host.problem = signal("There are no numbers for it.");
    expect(summary(s)).toMatch(/^The numbers for this choice did not come; .* Peak/);
    const page = state(e);
    page.heads.value = new Set([0]);
    page.chosen.value = [1];
    expect(summary(page)).toMatch(/^The numbers for this choice are not in this copy; /);
    const kept = state(explanation("summary_only"));
    kept.heads.value = new Set([0]);
    expect(summary(kept)).toMatch(/were not kept/);
  });
});

describe("an empty map", () => {
  it("says so when the chosen heads are in other layers, and so does the word", () => {
    const s = state(explanation("ordinary"));
    s.chosen.value = [1];
    s.heads.value = new Set([0]); // layer 0, head 0
    [s.from.value, s.to.value] = [1, 1];
    expect(summary(s)).toContain("none of the chosen heads is in these layers");
    expect(verdict(s, [1])).toContain("none of the chosen heads is in these layers");
    s.from.value = 0;
    expect(summary(s)).not.toContain("none of the chosen heads");
    expect(verdict(s, [1])).not.toContain("none of the chosen heads");
  });
});

describe("a cell's reading", () => {
  it("has place, value, rank and top heads", () => {
    const s = state(explanation("ordinary"));
    s.chosen.value = [1];
    const map = tokenMap(s.e, 1, s.options.value);
    const rank = 1 + map.filter((value) => value > map[5]!).length;
    expect(reading(s, 5)).toMatch(
      new RegExp(`^row 2, column 2 · .* · rank ${rank} of 12 · pixels 10–20 × 10–20 · layer \\d head \\d \\d+ %`),
    );
  });

  it("asks a kernel for the step's gradients once a cell is pointed at", () => {
    const asked: string[] = [];
    const host = connected((_, parts) => asked.push(...parts));
    const s = state(quantised(explanation("ordinary")), host);
    open(s, imagePanel);
    s.chosen.value = [2, 3];
    expect(asked).toEqual([]);
    s.cell.value = 4;
    expect(asked).toEqual(["tensor/2", "tensor/3"]);
  });

  it("stays when a finger lifts, and goes when a mouse leaves", () => {
    const s = state(explanation("ordinary"));
    const canvas = open(s, imagePanel).querySelector<HTMLCanvasElement>(".stage canvas")!;
    vi.spyOn(canvas, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, 400, 300));
    const at = { clientX: 150, clientY: 250, bubbles: true };
    canvas.dispatchEvent(new PointerEvent("pointerdown", { ...at, pointerType: "touch" }));
    canvas.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "touch" }));
    expect(s.cell.value).toBe(9);
    canvas.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "mouse" }));
    expect(s.cell.value).toBeNull();
  });
});
