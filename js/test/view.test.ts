// @vitest-environment happy-dom
import { afterEach, describe, expect, it } from "vitest";
import { stepWeights } from "../src/filters";
import { pageHost } from "../src/host";
import { createState } from "../src/state";
import { complain, mount } from "../src/view";
import type { Explanation } from "../src/wire";
import { explanation, golden, optionsOf } from "./golden";

let end: (() => void) | undefined;

function show(e: Explanation): HTMLElement {
  const root = document.createElement("main");
  document.body.append(root);
  const s = createState([e], pageHost());
  const unmount = mount(root, s);
  end = () => {
    unmount();
    s.end();
  };
  return root;
}

afterEach(() => {
  end?.();
  end = undefined;
  document.body.replaceChildren();
});

const press = (key: string, more: KeyboardEventInit = {}) =>
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));

const options = (root: HTMLElement) => [...root.querySelectorAll<HTMLElement>("[role=option]")];

const selected = (root: HTMLElement) =>
  options(root).flatMap((option, i) => (option.getAttribute("aria-selected") === "true" ? [i] : []));

describe("the words", () => {
  it("stand in the answer's own spacing, with sub-words joined", () => {
    const root = show(explanation("ordinary"));
    expect(options(root).map((option) => option.textContent)).toEqual(["a", "red", "suitcase", "."]);
    expect(root.querySelector(".wordlist")?.textContent).toBe("a red suitcase.");
  });

  it("carry the largest weight of their parts", () => {
    const e = explanation("ordinary");
    const weights = stepWeights(e, optionsOf(golden("ordinary").expected[0]!));
    const found = options(show(e)).map((option) => Number(option.dataset.weight));
    expect(found).toEqual([weights[0], weights[1], Math.max(weights[2]!, weights[3]!), weights[4]]);
  });

  it("grow a run from the word chosen last, and lose it on Escape", () => {
    const root = show(explanation("ordinary"));
    options(root)[1]!.click();
    press("ArrowRight", { shiftKey: true });
    expect(selected(root)).toEqual([1, 2]);
    press("ArrowLeft", { shiftKey: true });
    press("ArrowLeft", { shiftKey: true });
    expect(selected(root)).toEqual([0, 1]);
    press("Escape");
    expect(selected(root)).toEqual([]);
  });

  it("that were not explained cannot be chosen", () => {
    const e = explanation("ordinary");
    const partly = { ...e, entryOf: new Map([...e.entryOf].filter(([step]) => step !== 1)) };
    const root = show(partly);
    const [, red] = options(root);
    red!.click();
    expect(selected(root)).toEqual([]);
    expect(red!.getAttribute("aria-label")).toBe("red, not explained");
  });
});

describe("the view", () => {
  it("counts what Python counts after every filter key", () => {
    const root = show(explanation("ordinary"));
    const line = root.querySelector<HTMLElement>(".counts")!;
    const { expected } = golden("ordinary");
    expect([Number(line.dataset.kept), Number(line.dataset.silenced)]).toEqual([
      expected[0]!.kept,
      expected[0]!.silencedWords,
    ]);
    press("h");
    expect(Number(line.dataset.kept)).toBe(expected[1]!.kept);
    press("h");
    press("f");
    expect([Number(line.dataset.kept), Number(line.dataset.silenced)]).toEqual([expected[2]!.kept, 0]);
  });

  it("leaves keys with a modifier to the browser", () => {
    const root = show(explanation("ordinary"));
    const before = root.querySelector(".counts")!.textContent;
    expect(press("h", { ctrlKey: true })).toBe(true);
    expect(root.querySelector(".counts")!.textContent).toBe(before);
  });

  it("stops listening and watching when it is taken away", () => {
    const root = show(explanation("ordinary"));
    const line = root.querySelector<HTMLElement>(".counts")!;
    const before = line.textContent;
    end?.();
    end = undefined;
    expect(root.childElementCount).toBe(0);
    expect(press("h")).toBe(true);
    expect(line.textContent).toBe(before);
  });

  it("says what is wrong with data it cannot read, as text", () => {
    const root = document.createElement("main");
    complain(root, new Error("<b>broken</b>"));
    expect(root.querySelector("b")).toBeNull();
    expect(root.textContent).toContain("<b>broken</b>");
  });
});
