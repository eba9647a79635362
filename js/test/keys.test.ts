// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { pageHost } from "../src/host";
import { KEYS, shield } from "../src/keys";
import { createState, type State } from "../src/state";
import { mount } from "../src/view";
import { explanation } from "./golden";

let s: State;
let root: HTMLElement;
let ends: (() => void)[] = [];

/** A view on a page of its own, or in a notebook around it. */
function show(embedded = false): void {
  root = document.createElement("div");
  if (embedded) root.className = "embedded";
  document.body.append(root);
  s = createState([explanation("ordinary")], pageHost());
  ends = [mount(root, s), s.end, ...(embedded ? [shield(root)] : [])];
}

beforeEach(() => show());

afterEach(() => {
  for (const end of ends) end();
  document.body.replaceChildren();
});

/** False where the view took the key. */
const press = (key: string, more: KeyboardEventInit = {}, at: Element = root): boolean =>
  at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));

const add = (html: "input" | "textarea" | "select"): HTMLElement => root.appendChild(document.createElement(html));

describe("keys", () => {
  it("do what the help says", () => {
    press("ArrowRight");
    expect(s.chosen.value).toEqual([0]);
    press("[");
    expect([s.layerMode.value, s.to.value]).toEqual(["single", 2]);
    press("A");
    expect(s.layerMode.value).toBe("range");
    press("f");
    expect(s.fillerFilter.value).toBe("none");
    press("u");
    expect(s.bare.value).toBe(true);
    document.dispatchEvent(new KeyboardEvent("keyup", { key: "U" }));
    expect(s.bare.value).toBe(false);
    press(" ");
    expect(s.playing.value).toBe(true);
    press("Escape");
    expect(s.chosen.value).toEqual([]);
    const help = root.querySelector("dialog")!.textContent!;
    for (const { text } of KEYS) expect(help).toContain(text);
  });

  it("held down are let go in a notebook too, which hears none of them", () => {
    for (const end of ends) end();
    show(true);
    press("u");
    expect(s.bare.value).toBe(true);
    root.dispatchEvent(new KeyboardEvent("keyup", { key: "u", bubbles: true }));
    expect(s.bare.value).toBe(false);
  });

  it("stay with a control that needs them", () => {
    for (const [key, tag] of [
      ["h", "textarea"],
      ["h", "input"],
      ["[", "select"],
    ] as const) {
      expect(press(key, {}, add(tag)), `${key} in a ${tag}`).toBe(true);
    }
    expect(press(" ", {}, root.querySelector("button")!)).toBe(true);
    const slider = root.querySelector("input[type=range]")!;
    expect([press("ArrowRight", {}, slider), press("h", {}, slider)]).toEqual([true, false]);
    expect([s.chosen.value, s.headFilter.value, s.playing.value]).toEqual([[], "none", false]);
  });

  it("reach the brackets on every layout, and leave shortcuts to the browser", () => {
    expect(press("]", { altKey: true, ctrlKey: true })).toBe(false);
    expect(s.layerMode.value).toBe("single");
    for (const more of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }]) {
      expect(press("h", more)).toBe(true);
      expect(press("s", more)).toBe(true);
    }
    expect(press("]", { ctrlKey: true })).toBe(true);
    expect(s.headFilter.value).toBe("max");
  });

  it("rest while the help is open", () => {
    press("?");
    expect(root.querySelector("dialog")!.open).toBe(true);
    expect(press("h")).toBe(true);
    root.querySelector("dialog")!.close();
    expect(press("h")).toBe(false);
  });
});

describe("undo and redo", () => {
  it("go by the chords of every system", () => {
    s.chosen.value = [1];
    for (const [undo, redo] of [
      [{ ctrlKey: true }, { key: "Z", ctrlKey: true, shiftKey: true }],
      [{ metaKey: true }, { key: "y", ctrlKey: true }],
    ]) {
      expect(press("z", undo)).toBe(false);
      expect(s.chosen.value).toEqual([]);
      expect(press(redo!.key!, redo)).toBe(false);
      expect(s.chosen.value).toEqual([1]);
    }
  });

  it("are the text's own where text is typed", () => {
    s.chosen.value = [1];
    expect(press("z", { ctrlKey: true }, add("textarea"))).toBe(true);
    expect(s.chosen.value).toEqual([1]);
  });

  it("are buttons that say whether there is something to take back", () => {
    const [undo, redo] = [...root.querySelectorAll<HTMLButtonElement>(".toolbar button")];
    const rests = () => [undo, redo].map((each) => each!.getAttribute("aria-disabled"));
    expect(rests()).toEqual(["true", "true"]);
    s.chosen.value = [1];
    expect(rests()).toEqual(["false", "true"]);
    undo!.click();
    expect([s.chosen.value, rests()]).toEqual([[], ["true", "false"]]);
    redo!.click();
    expect(s.chosen.value).toEqual([1]);
  });
});

describe("full screen", () => {
  const button = () => [...root.querySelectorAll("button")].find((each) => each.textContent === "Full screen")!;

  it("is not offered where the browser refuses it", () => {
    expect(button().hidden).toBe(true);
  });

  it("shows the view alone, and says so", () => {
    for (const end of ends) end();
    Object.assign(document, { fullscreenEnabled: true, fullscreenElement: null });
    show();
    root.requestFullscreen = vi.fn(async () => {
      Object.assign(document, { fullscreenElement: root });
      document.dispatchEvent(new Event("fullscreenchange"));
    });
    expect([button().hidden, button().getAttribute("aria-pressed")]).toEqual([false, "false"]);
    button().click();
    expect(button().getAttribute("aria-pressed")).toBe("true");
    document.exitFullscreen = vi.fn(async () => {});
    button().click();
    expect(document.exitFullscreen).toHaveBeenCalled();
    Object.assign(document, { fullscreenEnabled: false, fullscreenElement: null });
  });
});

describe("in a notebook", () => {
  let heard: string[];
  const listen = (event: KeyboardEvent) => void heard.push(event.key);

  beforeEach(() => {
    for (const end of ends) end();
    document.body.replaceChildren();
    show(true);
    heard = [];
    document.addEventListener("keydown", listen);
  });

  afterEach(() => document.removeEventListener("keydown", listen));

  it("keys act while the view has the focus, and the notebook's are its own elsewhere", () => {
    press("h");
    expect([s.headFilter.value, heard]).toEqual(["none", []]);
    press("h", {}, document.body);
    expect([s.headFilter.value, heard]).toEqual(["none", ["h"]]);
  });

  it("no plain key of the view is the notebook's too, but shortcuts are", () => {
    for (const key of ["d", "b", "Enter", "x"]) press(key);
    press("Enter", { shiftKey: true }, add("textarea"));
    press("z", { ctrlKey: true });
    expect(heard).toEqual([]);
    press("s", { ctrlKey: true });
    expect(heard).toEqual(["s"]);
  });

  it("a click into the view takes the focus", () => {
    root.querySelector("h1")!.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    expect(document.activeElement).toBe(root);
  });
});
