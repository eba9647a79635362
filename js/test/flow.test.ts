// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { flowOf, flowPanel } from "../src/panels/flow";
import type { State } from "../src/state";
import { need } from "../src/wire";
import { explanation } from "./golden";
import { open, press, state } from "./panel";

let s: State;

function show(): HTMLElement {
  s = state(explanation("ordinary"));
  return open(s, flowPanel);
}

const said = (panel: HTMLElement) => panel.querySelector(".readout")!.textContent!;

describe("the flow", () => {
  it("is each step's and layer's largest sensitivity over the heads that count", () => {
    show();
    const visual = need(s.e, "visual/max").data;
    const most = (at: number) => Math.max(visual[2 * at]!, visual[2 * at + 1]!);
    expect([...flowOf(s).visual]).toEqual(Array.from({ length: 15 }, (_, at) => most(at)));
    s.heads.value = new Set([0, 3]);
    const [a, b, c] = [visual[0]!, visual[3]!, 0];
    expect([...flowOf(s).visual.slice(0, 3)]).toEqual([a, b, c]);
  });

  it("names where the image is read most", () => {
    const panel = show();
    const { visual } = flowOf(s);
    const best = visual.indexOf(Math.max(...visual));
    const word = s.e.header.words.find(({ steps }) => steps.includes(Math.floor(best / 3)))!.text;
    expect(said(panel)).toContain(
      `The image is read most for “${word}” at step ${Math.floor(best / 3)} in layer ${best % 3} (`,
    );
  });

  it("joins a word's tokens under one name", () => {
    const names = [...show().querySelectorAll<HTMLElement>(".heading span")];
    expect(names.map(({ textContent }) => textContent)).toEqual(["a", "red", "suitcase", "."]);
    expect(names.map(({ style }) => style.width)).toEqual(["20%", "20%", "40%", "20%"]);
  });

  it("takes the view to a square's word and layer, and to a label's alone", () => {
    const panel = show();
    for (const key of ["ArrowDown", "ArrowRight", "ArrowRight", "Enter"]) press(panel.querySelector("canvas")!, key);
    expect(said(panel)).toMatch(/^“suitcase” at step 2, layer 1 · image /);
    expect(s.chosen.value).toEqual([2, 3]);
    expect(s.options.value.layers).toEqual([1, 1]);
    for (const key of ["ArrowUp", "ArrowUp"]) press(panel.querySelector("canvas")!, key);
    expect(said(panel)).toMatch(/^“suitcase” at step 2, all layers · image /);
    for (const key of ["ArrowRight", "Enter"]) press(panel.querySelector("canvas")!, key);
    expect(said(panel)).toMatch(/^“suitcase” at step 3, all layers/);
    for (const key of ["ArrowRight", "Enter"]) press(panel.querySelector("canvas")!, key);
    expect(s.chosen.value).toEqual([4]);
    expect(s.options.value.layers).toEqual([1, 1]);
    press(panel.querySelector("canvas")!, "ArrowDown");
    for (let i = 0; i < 5; i++) press(panel.querySelector("canvas")!, "ArrowLeft");
    expect(said(panel)).toMatch(/^all words, layer 2 · image /);
    press(panel.querySelector("canvas")!, "Enter");
    expect(s.chosen.value).toEqual([4]);
    expect(s.options.value.layers).toEqual([2, 2]);
  });
});
