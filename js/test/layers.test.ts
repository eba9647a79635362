// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { layersPanel } from "../src/panels/layers";
import { lensOf } from "../src/panels/lens";
import type { State } from "../src/state";
import { difference, explanation, golden } from "./golden";
import { close, open, state } from "./panel";

let s: State;

function show(name: string): HTMLElement {
  s = state(explanation(name));
  return open(s, layersPanel);
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const button = (panel: HTMLElement, name: string) =>
  [...panel.querySelectorAll("button")].find(({ textContent }) => textContent === name)!;
const motion = (reduced: boolean) =>
  vi.spyOn(window, "matchMedia").mockImplementation((query) => ({ matches: reduced, media: query }) as MediaQueryList);

describe("play", () => {
  it("goes one layer at a time from the first and stops at the last", () => {
    const panel = show("twelve_layers");
    button(panel, "Play").click();
    expect([s.layerMode.value, s.to.value]).toEqual(["single", 0]);
    vi.advanceTimersByTime(250 * 3);
    expect(s.to.value).toBe(3);
    vi.advanceTimersByTime(250 * 8);
    expect([s.to.value, s.playing.value]).toEqual([11, true]);
    vi.advanceTimersByTime(250);
    expect([s.to.value, s.playing.value]).toEqual([11, false]);
    expect(button(panel, "Play")).toBeDefined();
  });

  it("starts again where it loops, and pauses where asked", () => {
    const panel = show("twelve_layers");
    s.layerMode.value = "cumulative";
    s.to.value = 10;
    [...panel.querySelectorAll("label")].find(({ textContent }) => textContent === "Loop")!.click();
    button(panel, "Play").click();
    vi.advanceTimersByTime(500);
    expect([s.layerMode.value, s.to.value]).toEqual(["cumulative", 0]);
    button(panel, "Pause").click();
    vi.advanceTimersByTime(5000);
    expect(s.to.value).toBe(0);
  });

  it("moves a range as it is", () => {
    const panel = show("twelve_layers");
    s.from.value = 9;
    s.to.value = 11;
    button(panel, "Play").click();
    expect([s.from.value, s.to.value]).toEqual([0, 2]);
    vi.advanceTimersByTime(250);
    expect([s.from.value, s.to.value]).toEqual([1, 3]);
  });

  it("takes two seconds for a layer where motion is unwelcome", () => {
    motion(true);
    button(show("twelve_layers"), "Play").click();
    vi.advanceTimersByTime(1999);
    expect(s.to.value).toBe(0);
    vi.advanceTimersByTime(1);
    expect(s.to.value).toBe(1);
  });

  it("ends with the view", () => {
    button(show("twelve_layers"), "Play").click();
    close();
    vi.advanceTimersByTime(5000);
    expect(s.to.value).toBe(0);
  });

  it("does not tell a screen reader every layer", () => {
    const panel = show("twelve_layers");
    const name = panel.querySelector(".head [role=status]")!;
    expect(name.hasAttribute("aria-live")).toBe(false);
    button(panel, "Play").click();
    expect(name.getAttribute("aria-live")).toBe("off");
  });
});

describe("the curve", () => {
  it("is not drawn anew while only the layers change", () => {
    const panel = show("twelve_layers");
    const line = () => panel.querySelector("polyline.visual");
    const before = line();
    s.to.value = 5;
    s.from.value = 2;
    expect(line()).toBe(before);
    expect(Number(panel.querySelector(".band")!.getAttribute("width"))).toBeCloseTo((4 * (420 - 44 - 12)) / 12);
    s.chosen.value = [1];
    expect(line()).not.toBe(before);
  });
});

describe("the lens", () => {
  it("has Python's logits, ranks and words", () => {
    show("with_attention");
    const { logit, rank, top } = golden("with_attention").lens!;
    const { steps, layers } = s.e.size;
    const read = Array.from({ length: steps }, (_, entry) => lensOf(s, entry));
    expect(
      difference(
        read.flatMap(({ logits }) => logits),
        logit,
      ),
    ).toBeLessThan(1e-6);
    expect(read.flatMap(({ ranks }) => ranks)).toEqual(rank);
    expect(read.flatMap(({ words }) => words.flat())).toEqual(top);
    expect(read[0]!.words.length).toBe(layers);
  });

  it("tells the last chosen layer's rank, logit and first words", () => {
    const panel = show("with_attention");
    expect(panel.querySelector(".lens")!.textContent).toContain("Choose a word");
    s.chosen.value = [1];
    const { rank, top } = golden("with_attention").lens!;
    const said = () => panel.querySelector(".lens .hint")!.textContent!;
    expect(said()).toMatch(
      new RegExp(`^After layer 2, “red” has rank ${rank[5]} and logit .*“${top[10]}” and “${top[11]}”`),
    );
    s.to.value = 1;
    expect(said()).toMatch(new RegExp(`^After layer 1, “red” has rank ${rank[4]} `));
    const label = panel.querySelector(".lens svg")!.getAttribute("aria-label");
    expect(label).toContain(`0: ${rank[3]}, 1: ${rank[4]}, 2: ${rank[5]}.`);
  });

  it("that was not kept says how to get it", () => {
    expect(show("ordinary").textContent).toContain("dx.explain(…, lens=True)");
  });
});
