// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import builder from "../src/builder";
import { PATIENCE } from "../src/kernel";
import type { Thing } from "../src/scene";
import { FakeModel } from "./model";

const WORLD = {
  objects: ["cat", "boat"],
  props: ["checker", "tracks"],
  colours: { red: "rgb(212 38 40)", blue: "rgb(40 80 215)", green: "rgb(40 160 60)" },
  backgrounds: ["water", "grass"],
  trained: 1,
  most: 3,
  model: "lab/llava",
};
const CAT: Thing = { name: "cat", colour: "red", x: 0.25, y: 0.5, size: 0.25, flip: false, look: null };
const BOAT: Thing = { ...CAT, name: "boat", colour: "blue", x: 0.75 };

let model: FakeModel;
let root: HTMLElement;
let end = () => {};
let urls = 0;

beforeEach(() => {
  vi.useFakeTimers();
  URL.createObjectURL = () => `blob:${++urls}`;
  URL.revokeObjectURL = () => {};
  show({});
});

afterEach(() => {
  end();
  document.body.replaceChildren();
  vi.useRealTimers();
});

function show(values: Record<string, unknown>): void {
  end();
  document.body.replaceChildren();
  model = new FakeModel({
    _world: WORLD,
    _pictures: new DataView(new ArrayBuffer(6)),
    _drawn: { things: [CAT, BOAT], ends: [2, 4, 6] },
    things: [CAT, BOAT],
    background: "grass",
    prompt: "what?",
    truths: { "what?": "A <b>red</b> cat." },
    ...values,
  });
  root = document.createElement("div");
  document.body.append(root);
  end = builder.render({ model, el: root });
}

const things = () => model.get("things") as Thing[];
const handles = () => [...root.querySelectorAll<HTMLElement>(".thing")];
const handle = (index: number) => handles()[index]!;
const picture = (index: number) => handle(index).querySelector("img")!.src;
const rows = () => [...root.querySelectorAll<HTMLElement>(".things li")];
const control = (index: number, place: number) => rows()[index]!.querySelectorAll("select")[place]!;
const at = (index: number) => things()[index]!;
const named = (name: string) => [...root.querySelectorAll("button")].find(({ textContent }) => textContent === name)!;
const press = (node: Element, key: string) =>
  node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
function choose(node: Element, value: string): void {
  (node as HTMLSelectElement).value = value;
  node.dispatchEvent(new Event(node instanceof HTMLSelectElement ? "change" : "input", { bubbles: true }));
}

it("shows every thing where it is, by name, and a true answer as text", () => {
  expect(handles().map((node) => node.getAttribute("aria-label"))).toEqual([
    "red cat, 25 % from the left, 50 % from the top",
    "blue boat, 75 % from the left, 50 % from the top",
  ]);
  const { left, top, width } = handle(0).style;
  expect([left, top, width]).toEqual(["12.5%", "37.5%", "25%"]);
  expect(handles().map((node) => node.querySelector("img")!.src)).toEqual([`blob:${urls - 1}`, `blob:${urls}`]);
  expect(root.querySelector("details p")!.textContent).toBe("A <b>red</b> cat.");
});

it("moves by keys at once, and tells the kernel at its pace", () => {
  const cat = handle(0);
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown"]) press(cat, key);
  expect(cat.style.left).toBe(`${100 * (Math.round(384 * (0.25 + 2 / 48)) / 384 - 0.125)}%`);
  expect(model.saved).toBe(0);
  vi.advanceTimersByTime(60);
  expect(model.saved).toBe(1);
  expect(at(0)).toEqual({ ...CAT, x: 0.25 + 2 / 48, y: 0.5 + 8 / 384 });
  expect(at(1)).toEqual(BOAT);
});

it("keeps things within the scene, and sizes within what is drawn", () => {
  for (let i = 0; i < 60; i++) press(handle(0), "ArrowLeft");
  for (let i = 0; i < 60; i++) press(handle(0), "-");
  expect([at(0).x, at(0).size]).toEqual([0, 0.1]);
});

it("drags by the pointer", () => {
  Object.defineProperty(root.querySelector(".stage"), "clientWidth", { value: 384 });
  const boat = handle(1);
  boat.setPointerCapture = () => {};
  const pointer = (name: string, clientX: number) =>
    boat.dispatchEvent(new PointerEvent(name, { clientX, clientY: 100, button: 0, bubbles: true }));
  pointer("pointerdown", 100);
  pointer("pointermove", 52);
  expect(at(1).x).toBe(0.75 - 48 / 384);
  pointer("pointerup", 52);
  pointer("pointermove", 300);
  expect(at(1).x).toBe(0.75 - 48 / 384);
});

it("adds in a free colour, changes and removes; a full scene takes no more objects but props", () => {
  const more = [...root.querySelectorAll("select")].find((one) => one.options[0]?.text === "Add …")!;
  choose(more, "cat");
  expect(at(2)).toMatchObject({ name: "cat", colour: "green" });
  expect(root.textContent).toContain("More than 1 objects");
  const groups = [...more.querySelectorAll("optgroup")];
  expect(groups.map(({ children }) => children[0]!.hasAttribute("disabled"))).toEqual([true, false]);
  choose(more, "checker");
  expect(rows()).toHaveLength(4);
  choose(control(0, 0), "blue");
  choose(control(1, 1), "cat");
  expect(things().map(({ colour, name }) => `${colour} ${name}`)).toEqual([
    "blue cat",
    "blue cat",
    "green cat",
    "white checker",
  ]);
  rows()[0]!.querySelector("button")!.click();
  press(handle(0), "Delete");
  expect(things().map(({ name }) => name)).toEqual(["cat", "checker"]);
});

it("shows a thing's picture until the kernel has drawn it anew, and then that", () => {
  const before = picture(0);
  choose(control(0, 0), "green");
  expect(picture(0)).toBe(before);
  model.update({ _drawn: { things: [{ ...CAT, colour: "green" }, BOAT], ends: [2, 4, 6] } });
  expect(picture(0)).toBe(`blob:${urls - 1}`);
});

it("asks about what is shown: changes go first", () => {
  press(handle(0), "ArrowLeft");
  named("Ask").click();
  expect([model.saved, model.sent]).toEqual([1, [{ kind: "ask" }]]);
  expect(root.querySelector(".status")!.textContent).toContain("Asked");
  model.emit("msg:custom", { kind: "error", of: "ask", message: "The question is empty." });
  expect(root.querySelector(".status")!.textContent).toBe("The question is empty.");
  named("Ask").click();
  vi.advanceTimersByTime(PATIENCE + 1);
  expect(root.querySelector(".status")!.textContent).toContain("does not answer");
  model.dead = true;
  named("Another scene").click();
  expect(root.querySelector(".status")!.textContent).toContain("no kernel");
});

it("cannot ask without a model, nor an empty question", () => {
  const box = root.querySelector<HTMLInputElement>("input[type=text]")!;
  choose(box, "  ");
  expect(named("Ask").disabled).toBe(true);
  choose(box, "where?");
  expect([named("Ask").disabled, model.get("prompt")]).toEqual([false, "where?"]);
  show({ _world: { ...WORLD, model: "" } });
  expect(named("Ask").disabled).toBe(true);
  expect(root.querySelector(".status")!.textContent).toContain("SceneBuilder(vlm)");
});

it("follows what Python sets, and leaves no listener behind", () => {
  model.update({ things: [BOAT], background: "water" });
  expect(handles()).toHaveLength(1);
  expect(root.querySelector("select")!.value).toBe("water");
  end();
  end = () => {};
  expect(model.listeners).toBe(0);
});
