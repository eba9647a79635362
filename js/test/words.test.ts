// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { wordsPanel } from "../src/panels/words";
import type { State } from "../src/state";
import { explanation } from "./golden";
import { open, press, state } from "./panel";

let s: State;
let panel: HTMLElement;

function show(): HTMLElement[] {
  s = state(explanation("ordinary"));
  panel = open(s, wordsPanel);
  return [...panel.querySelectorAll<HTMLElement>("[role=option]")];
}

const parts = (option: HTMLElement) => [...option.querySelectorAll<HTMLElement>(".part")];

describe("a word of several tokens", () => {
  it("opens in place, and gives each part by click", () => {
    const suitcase = show()[2]!;
    expect(parts(suitcase)).toEqual([]);
    suitcase.click();
    expect(parts(suitcase).map(({ textContent }) => textContent)).toEqual(["suit", "case"]);
    parts(suitcase)[1]!.click();
    expect(s.chosen.value).toEqual([3]);
    expect(parts(suitcase)[1]!.className).toBe("part chosen");
    expect(panel.querySelector(".reason")!.textContent).toMatch(/^“case” of “suitcase” /);
    parts(suitcase)[1]!.click();
    expect(s.chosen.value).toEqual([2, 3]);
  });

  it("is opened and walked by keys, and closes when another is chosen", () => {
    const [, red, suitcase] = show();
    press(suitcase!, "ArrowDown");
    expect(s.chosen.value).toEqual([2]);
    press(suitcase!, "ArrowDown");
    expect(s.chosen.value).toEqual([3]);
    press(suitcase!, "ArrowDown");
    expect(s.chosen.value).toEqual([3]);
    press(suitcase!, "ArrowUp");
    press(suitcase!, "ArrowUp");
    expect(s.chosen.value).toEqual([2, 3]);
    red!.click();
    expect(parts(suitcase!)).toEqual([]);
    expect(suitcase!.textContent).toBe("suitcase");
  });

  it("adds a single part to other words with Ctrl", () => {
    const [a, , suitcase] = show();
    suitcase!.click();
    parts(suitcase!)[0]!.dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
    expect(s.chosen.value).toEqual([3]);
    a!.dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
    expect(s.chosen.value).toEqual([0, 3]);
  });
});

describe("a word", () => {
  it("says how sure the model was, its parts multiplied", () => {
    const [a, , suitcase] = show();
    expect(a!.title).toContain("probability 61 % (log −0.500)");
    expect(suitcase!.title).toContain("probability 37 % (log −1.00), 2 parts");
    suitcase!.click();
    expect(panel.querySelector(".reason")!.textContent).toContain("It had probability 37 % (log −1.00).");
  });

  it("lights up by its share in the cell that was picked", () => {
    const options = show();
    const uses = () => options.map((option) => Number(option.style.getPropertyValue("--use")));
    expect(uses()).toEqual([0, 0, 0, 0]);
    s.picked.value = 5;
    const shares = s.e.header.words.map((word) => s.lookup.value!.get(word)!);
    const most = Math.max(...shares.filter((share) => share > 0));
    expect(uses()).toEqual(shares.map((share) => Math.max(0, share || 0) / most));
    const used = options[shares.indexOf(most)]!;
    expect(used.getAttribute("aria-description")).toBe(`${Math.round(100 * most)} % of its map in the picked cell`);
    s.picked.value = null;
    expect(uses()).toEqual([0, 0, 0, 0]);
  });
});
