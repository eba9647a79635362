// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { historyOf, MOST, PAUSE } from "../src/history";
import { pageHost } from "../src/host";
import { applyPreset, createState, type State } from "../src/state";
import { readTraits } from "../src/traits";
import { explanation } from "./golden";

let s: State;

beforeEach(() => {
  vi.useFakeTimers();
  s = createState([explanation("twelve_layers")], pageHost());
  historyOf(s);
});

afterEach(() => {
  s.end();
  vi.useRealTimers();
});

/** A change that stands by itself. */
function change(act: () => void): void {
  vi.advanceTimersByTime(PAUSE + 1);
  act();
}

const steps = () => [historyOf(s).past.value.length, historyOf(s).future.value.length];

describe("undo and redo", () => {
  it("go back and on through all that makes a view", () => {
    const views = [readTraits(s)];
    const acts = [
      () => (s.chosen.value = [1]),
      () => (s.heads.value = new Set([0, 3])),
      () => applyPreset(s, "released"),
      () => (s.layerMode.value = "single"),
      () => (s.layerMode.value = "cumulative"),
      () =>
        (s.region.value = [
          [0, 0],
          [5, 0],
          [5, 5],
        ]),
      () => (s.display.value = { ...s.display.value, clip: 99 }),
    ];
    for (const act of acts) {
      change(act);
      views.push(readTraits(s));
    }
    expect(steps()).toEqual([acts.length, 0]);
    for (let i = acts.length - 1; i >= 0; i--) {
      historyOf(s).undo();
      expect(readTraits(s)).toEqual(views[i]);
    }
    for (let i = 1; i <= acts.length; i++) {
      historyOf(s).redo();
      expect(readTraits(s)).toEqual(views[i]);
    }
    expect(steps()).toEqual([acts.length, 0]);
  });

  it("have nothing to do at either end", () => {
    const before = readTraits(s);
    historyOf(s).undo();
    historyOf(s).redo();
    expect(readTraits(s)).toEqual(before);
    expect(steps()).toEqual([0, 0]);
  });

  it("take a drag as one change", () => {
    for (let i = 0; i < 20; i++) {
      vi.advanceTimersByTime(PAUSE - 1);
      s.opacity.value = i / 20;
    }
    expect(steps()).toEqual([1, 0]);
    historyOf(s).undo();
    expect(s.opacity.value).toBe(0.75);
  });

  it("take a run through the layers as one change, however slow", () => {
    s.playing.value = true;
    for (const layer of [0, 1, 2]) change(() => (s.to.value = layer));
    s.playing.value = false;
    expect(steps()).toEqual([1, 0]);
    change(() => (s.to.value = 5));
    expect(steps()).toEqual([2, 0]);
  });

  it("keep nothing of what was taken back at once", () => {
    change(() => (s.headFilter.value = "none"));
    s.headFilter.value = "max";
    expect(steps()).toEqual([0, 0]);
  });

  it("forget what was undone when something else is done", () => {
    change(() => (s.chosen.value = [1]));
    historyOf(s).undo();
    expect(steps()).toEqual([0, 1]);
    change(() => (s.chosen.value = [2]));
    expect(steps()).toEqual([1, 0]);
  });

  it("separate a change right after an undo from it", () => {
    change(() => (s.chosen.value = [1]));
    historyOf(s).undo();
    s.chosen.value = [2];
    historyOf(s).undo();
    expect(s.chosen.value).toEqual([]);
  });

  it("leave out what passes: the pointer, a held key, notes, the open tab", () => {
    for (const act of [
      () => (s.cell.value = 3),
      () => (s.bare.value = true),
      () => (s.playing.value = true),
      () => (s.tab.value = "Heads"),
      () => (s.notes.value = [{ steps: [1], word: "a", tag: "odd", text: "" }]),
    ])
      change(act);
    expect(steps()).toEqual([0, 0]);
    change(() => (s.opacity.value = 0.5));
    historyOf(s).undo();
    expect([s.tab.value, s.notes.value.length]).toEqual(["Heads", 1]);
  });

  it("remember a bounded number of views", () => {
    for (let i = 0; i < MOST + 20; i++) change(() => (s.opacity.value = i / 1000));
    expect(steps()).toEqual([MOST, 0]);
  });
});

it("a state has one history, whoever asks", () => {
  expect(historyOf(s)).toBe(historyOf(s));
});
