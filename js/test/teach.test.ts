// @vitest-environment happy-dom
import { afterEach, describe, expect, it } from "vitest";
import { pageHost } from "../src/host";
import { rankOf } from "../src/maps";
import { createState, type State } from "../src/state";
import { mount } from "../src/view";
import type { LessonStep } from "../src/wire";
import { explanation, NAMES } from "./golden";

let s: State;
let root: HTMLElement;
let end = () => {};

function show(lesson: LessonStep[] = [], name = "ordinary"): void {
  root = document.createElement("main");
  document.body.append(root);
  s = createState([explanation(name)], pageHost());
  s.tab.value = "Teach";
  const unmount = mount(root, s, lesson);
  end = () => {
    unmount();
    s.end();
  };
}

afterEach(() => {
  end();
  document.body.replaceChildren();
});

const panel = () => root.querySelector<HTMLElement>(".lesson")!;
const next = () => panel().querySelector<HTMLButtonElement>(".next")!;
const back = () => panel().querySelector<HTMLButtonElement>(".back")!;
const text = (selector: string) => panel().querySelector(selector)?.textContent;
const press = (key: string, at: Element = document.body) =>
  at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const resting = () => [...root.querySelectorAll<HTMLElement>("*")].filter((part) => part.inert);

const THREE: LessonStep[] = [
  { text: "One.", state: { steps: [1], layer_mode: "single", layers: [1, 1] }, lock: true },
  { text: "Two.", state: { head_filter: "none" } },
  { text: "Three.", state: { steps: [] } },
];

describe("a lesson", () => {
  it("goes on and back, each step with all that was set up to it", () => {
    show(THREE);
    s.opacity.value = 0.5;
    expect([text(".figure"), next().textContent, back().hidden]).toEqual(["3 steps", "Start", true]);
    next().click();
    expect([text(".caption"), text(".figure")]).toEqual(["One.", "1 of 3"]);
    expect([s.chosen.value, s.from.value, s.to.value, s.headFilter.value]).toEqual([[1], expect.any(Number), 1, "max"]);
    next().click();
    s.to.value = 2; // by hand, in between
    next().click();
    expect([s.chosen.value, s.headFilter.value, s.to.value, next().textContent]).toEqual([[], "none", 1, "End"]);
    back().click();
    expect([s.chosen.value, s.headFilter.value, text(".caption")]).toEqual([[1], "none", "Two."]);
    back().click();
    expect([s.headFilter.value, back().getAttribute("aria-disabled")]).toEqual(["max", "true"]);
    back().click();
    expect(text(".caption")).toBe("One.");
    expect(s.opacity.value).toBe(0.5);
  });

  it("is turned by the keys of a presenter, which do nothing elsewhere", () => {
    show(THREE);
    press("PageDown");
    expect(text(".caption")).toBe("One.");
    press("PageDown");
    expect(text(".caption")).toBe("Two.");
    press("PageUp");
    expect(text(".caption")).toBe("One.");
    s.tab.value = "Filters";
    expect(press("PageDown")).toBe(true);
  });

  it("locks the controls, says so, and leaves itself and the picture usable; Esc unlocks", () => {
    show(THREE);
    next().click();
    const hint = panel().querySelector<HTMLElement>(":scope > .hint")!;
    expect([s.locked.value, hint.hidden, hint.textContent!.includes("Esc unlocks")]).toEqual([true, false, true]);
    for (const selector of [".words", ".layers", ".image .controls"])
      expect(root.querySelector(selector)!.closest("[inert]"), selector).not.toBeNull();
    for (const selector of [".lesson", ".lesson .next", ".stage", "[role=tab]", ".toolbar"])
      expect(root.querySelector(selector)!.closest("[inert]"), selector).toBeNull();
    const before = s.headFilter.value;
    expect(press("h")).toBe(false);
    expect([s.headFilter.value, hint.textContent]).toEqual([before, "Locked by the lesson: H. Esc unlocks."]);
    expect(press(" ", next())).toBe(true); // a button's own
    press("Escape");
    expect([s.locked.value, hint.hidden, resting()]).toEqual([false, true, []]);
    expect(s.chosen.value).toEqual([1]);
    press("h");
    expect(s.headFilter.value).toBe("none");
  });

  it("that is left unlocks and unveils, and goes on where it was", () => {
    show([THREE[1]!, { text: "Guess.", lock: true, quiz: { question: "Where?" } }]);
    next().click();
    next().click();
    expect([s.locked.value, s.veiled.value]).toEqual([true, true]);
    s.tab.value = "Filters";
    expect([s.locked.value, s.veiled.value, resting()]).toEqual([false, false, []]);
    s.tab.value = "Teach";
    expect(next().textContent).toBe("Go on with step 2");
    next().click();
    expect([text(".caption"), s.veiled.value]).toEqual(["Guess.", true]);
  });

  it("ends unlocked, and can be taken again", () => {
    show([{ text: "Only.", lock: true }]);
    next().click();
    next().click();
    expect([s.locked.value, next().textContent]).toEqual([false, "Start"]);
  });

  it("can be undone step by step", () => {
    show(THREE);
    next().click();
    expect(s.chosen.value).toEqual([1]);
    press("Escape");
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "z", ctrlKey: true, bubbles: true }));
    expect(s.chosen.value).toEqual([]);
  });
});

describe("the place of a lesson", () => {
  it("is another one while it runs, and it is brought into sight where it was begun", () => {
    show(THREE);
    const seen: unknown[] = [];
    panel().scrollIntoView = (how) => seen.push(how);
    next().click();
    expect([panel().classList.contains("running"), seen]).toEqual([true, [{ block: "nearest" }]]);
    for (let i = 0; i < 3; i++) next().click();
    expect([panel().classList.contains("running"), seen.length]).toEqual([false, 1]);
  });
});

describe("a quiz", () => {
  it("that comes first begins at once: who has seen the map cannot guess any more", () => {
    show([CHOICES, THREE[2]!]);
    expect([s.veiled.value, text(".figure"), text(".caption")]).toEqual([true, "1 of 2", "T"]);
    end();
    document.body.replaceChildren();
    show([THREE[2]!, CHOICES]);
    expect([s.veiled.value, text(".figure"), next().textContent]).toEqual([false, "2 steps", "Start"]);
  });

  const CHOICES: LessonStep = { text: "T", quiz: { question: "Which?", choices: ["cat", "<b>dog</b>"], answer: 1 } };

  it.each([
    [0, "Not quite: it is “<b>dog</b>”."],
    [1, "Right: it is “<b>dog</b>”."],
  ])("of choices hides the map until one is taken: %i", (choice, verdict) => {
    show([CHOICES]);
    expect([s.veiled.value, text(".verdict"), panel().querySelector("b")]).toEqual([true, "", null]);
    const buttons = [...panel().querySelectorAll<HTMLButtonElement>(".quiz button")];
    buttons[choice]!.click();
    buttons[1 - choice]!.click();
    expect([s.veiled.value, text(".verdict")]).toEqual([false, verdict]);
    expect(buttons.map((each) => each.getAttribute("aria-pressed"))).toEqual(
      choice ? ["false", "true"] : ["true", "false"],
    );
  });

  it("can be given up", () => {
    show([CHOICES, THREE[2]!]);
    expect(next().textContent).toBe("Show the map");
    next().click();
    expect([s.veiled.value, text(".verdict"), next().textContent]).toEqual([
      false,
      "The answer: it is “<b>dog</b>”.",
      "Next",
    ]);
  });

  it("of a place says how near the guess is on the map", () => {
    show([{ text: "T", state: { steps: [1] }, quiz: { question: "Where?" } }]);
    s.picked.value = 5;
    const rank = rankOf(s.map.value, 5);
    expect(rank).toBeGreaterThan(1);
    expect([s.veiled.value, text(".verdict")]).toEqual([
      false,
      `Your guess, row 2, column 2, has rank ${rank} of 12 cells.`,
    ]);
  });

  it.each([
    [0, "lies in"], // 10 × 10 pixels, as every cell
    [1, "lies in"], // half of it
    [2, "misses"],
    [4, "touches"], // two tenths
    [11, "misses"],
  ])("of a place knows the part that was asked for: cell %i", (cell, said) => {
    show([{ text: "T", quiz: { question: "Where?", answer: [0, 0, 15, 12] } }]);
    s.picked.value = cell;
    expect(text(".verdict")).toContain(`It ${said} the part that was asked for`);
  });

  it("of a place tells a right guess from a map that is weak there", () => {
    const quiz = { question: "Where?", answer: [0, 0, 40, 30] as [number, number, number, number] };
    show([
      { text: "T", quiz },
      { text: "U", quiz },
    ]);
    const order = [...s.map.value.keys()].sort((a, b) => s.map.value[a]! - s.map.value[b]!);
    s.picked.value = order[0]!;
    expect(text(".verdict")).toMatch(/It lies in the part that was asked for, yet the map is weak there\.$/);
    next().click();
    expect(s.picked.value).toBeNull();
    s.picked.value = order.at(-1)!;
    expect(text(".verdict")).toMatch(/is the map’s peak\. It lies in the part that was asked for\.$/);
  });

  it("with an empty map ranks nothing", () => {
    show([{ text: "T", quiz: { question: "Where?" } }], "all_silenced");
    s.picked.value = 0;
    expect(text(".verdict")).toBe("Your guess, row 1, column 1, is on no map.");
  });
});

describe("the lesson that every view brings along", () => {
  it.each(NAMES)("leads through the explanation at hand: %s", (name) => {
    show([], name);
    const captions: string[] = [];
    for (next().click(); s.locked.value || text(".caption"); next().click()) {
      if (!s.veiled.value && text(".caption") !== captions.at(-1)) captions.push(text(".caption")!);
      expect(captions.length).toBeLessThan(9);
    }
    expect(captions).toHaveLength(5);
    expect(captions.join(" ")).not.toMatch(/undefined|NaN/);
  });

  it("names the word that the image drove most, and a silenced one", () => {
    show([], "text_100_times");
    next().click();
    const weights = [...root.querySelectorAll<HTMLElement>(".word")].map((word) => [
      Number(word.dataset.weight),
      word.textContent,
    ]);
    const [, best] = weights.sort((a, b) => Number(b[0]) - Number(a[0]))[0]!;
    const [least, silent] = weights.find(([weight]) => !weight) ?? [];
    expect(least).toBe(0);
    expect(text(".quiz")).toContain(`“${best}”`);
    for (let i = 0; i < 4; i++) next().click();
    expect(text(".caption")).toContain("is silenced");
    expect(silent).toBeDefined();
  });
});
