// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { scoped } from "../src/dom";
import { pageHost } from "../src/host";
import { Kernel, PATIENCE } from "../src/kernel";
import { askPanel, remaining } from "../src/panels/ask";
import { mountAsk } from "../src/view";
import { FakeModel, settle } from "./model";

let model: FakeModel;
let kernel: Kernel;
let end = () => {};

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel();
  kernel = new Kernel(model);
});

afterEach(() => {
  end();
  kernel.end();
  document.body.replaceChildren();
  vi.useRealTimers();
});

function show(prompt?: string): HTMLElement {
  const [panel, unwatch] = scoped(() => askPanel(kernel, prompt));
  end = unwatch;
  document.body.append(panel);
  return panel;
}

const box = (panel: HTMLElement) => panel.querySelector("textarea")!;
const button = (panel: HTMLElement, name: string) =>
  [...panel.querySelectorAll("button")].find((each) => each.textContent === name);
const hint = (panel: HTMLElement) => panel.querySelector(".hint")!.textContent;
const status = (panel: HTMLElement) => panel.querySelector(".status")!.textContent;

function press(panel: HTMLElement, more: KeyboardEventInit = {}): boolean {
  return box(panel).dispatchEvent(
    new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...more }),
  );
}

const asked = () => model.sent.filter(({ kind }) => kind === "ask").map(({ prompt }) => prompt);

describe("a question", () => {
  it("is asked by the button or by Enter; Shift+Enter begins a line; nothing is not asked", () => {
    const panel = show("what is it?");
    model.greet();
    expect(box(panel).value).toBe("what is it?");
    expect(press(panel, { shiftKey: true })).toBe(true);
    expect(asked()).toEqual([]);
    expect(press(panel)).toBe(false);
    model.answer(model.request("ask").id, "done");
    box(panel).value = "  ";
    press(panel);
    box(panel).value = "where?";
    button(panel, "Ask")!.click();
    expect(asked()).toEqual(["what is it?", "where?"]);
  });

  it("shows the words as text, the progress and the time that is left", () => {
    vi.setSystemTime(0);
    const panel = show("what?");
    model.greet();
    press(panel);
    const { id } = model.request("ask");
    for (const text of ["a", "<b>", "cat</b>", "."]) model.answer(id, "word", { text });
    expect(panel.querySelector(".coming")!.textContent).toBe("a <b> cat</b>.");
    expect(panel.querySelector("b")).toBeNull();
    model.answer(id, "progress", { done: 0, total: 10, text: "explaining word 1 of 10" });
    vi.setSystemTime(4000);
    model.answer(id, "progress", { done: 2, total: 10, text: "explaining word 3 of 10" });
    const bar = panel.querySelector("progress")!;
    expect([bar.hidden, bar.getAttribute("value"), bar.getAttribute("max")]).toEqual([false, "2", "10"]);
    expect(status(panel)).toBe("explaining word 3 of 10, about 16 s left");
    model.answer(id, "done");
    expect([bar.hidden, status(panel)]).toEqual([true, ""]);
  });

  it("can be stopped, and says so; Enter does not stop it", async () => {
    const panel = show("what?");
    model.greet();
    press(panel);
    press(panel);
    expect(model.sent.some(({ kind }) => kind === "cancel")).toBe(false);
    button(panel, "Stop")!.click();
    expect(status(panel)).toBe("Stopping.");
    model.answer(model.request("ask").id, "cancelled");
    await settle();
    expect(status(panel)).toBe("Stopped.");
    expect(button(panel, "Ask")).toBeDefined();
    press(panel);
    expect(status(panel)).toBe("waiting");
  });

  it("is not hidden by a check that runs", () => {
    const panel = show("what?");
    model.greet();
    kernel.measure("check", { words: [[0]] }).catch(() => {});
    expect(button(panel, "Ask")).toBeDefined();
  });
});

describe("where nothing can be asked", () => {
  it("the panel says why, and rests", () => {
    const panel = show("what?");
    vi.advanceTimersByTime(PATIENCE);
    expect(panel.querySelector("fieldset")!.disabled).toBe(true);
    expect(hint(panel)).toBe(" ");
    model.greet({ model: false, name: "" });
    expect(panel.querySelector("fieldset")!.disabled).toBe(true);
    expect(hint(panel)).toContain("no model is in memory");
    model.greet();
    expect(panel.querySelector("fieldset")!.disabled).toBe(false);
  });

  it("as on a page, it is not shown", () => {
    const [panel, unwatch] = scoped(() => askPanel(pageHost(), "what?"));
    end = unwatch;
    expect(panel.hidden).toBe(true);
    expect(panel.childElementCount).toBe(0);
  });
});

describe("an image", () => {
  const file = (size = 4, name = "cat.png") => new File([new Uint8Array(size)], name, { type: "image/png" });
  const bring = (panel: HTMLElement, kind: "drop" | "paste", files: File[]) => {
    const event = new Event(kind, { bubbles: true, cancelable: true });
    Object.assign(event, { [kind === "drop" ? "dataTransfer" : "clipboardData"]: { files } });
    panel.dispatchEvent(event);
    return event;
  };

  it.each(["drop", "paste"] as const)("comes by %s, and not to the notebook too", async (kind) => {
    const panel = show("what?");
    model.greet();
    const heard = vi.fn();
    document.body.addEventListener(kind, heard, { once: true });
    expect(bring(panel, kind, [file()]).defaultPrevented).toBe(true);
    expect(heard).not.toHaveBeenCalled();
    await settle();
    expect(model.request("image").name).toBe("cat.png");
    model.answer(model.request("image").id, "image", {
      image: { src: "data:image/png;base64,AA", width: 1, height: 1 },
    });
    await settle();
    const shown = panel.querySelector("img")!;
    expect([shown.hidden, shown.getAttribute("src")]).toEqual([false, "data:image/png;base64,AA"]);
  });

  it("comes by the file chooser", async () => {
    const panel = show("what?");
    model.greet();
    const input = panel.querySelector<HTMLInputElement>("input[type=file]")!;
    const open = vi.spyOn(input, "click").mockImplementation(() => {});
    button(panel, "Choose an image")!.click();
    expect(open).toHaveBeenCalled();
    Object.defineProperty(input, "files", { value: [file(4, "dog.jpg")] });
    input.dispatchEvent(new Event("change"));
    await settle();
    expect(model.request("image").name).toBe("dog.jpg");
  });

  it("that is too large is not sent", () => {
    const panel = show("what?");
    model.greet();
    bring(panel, "drop", [file(8_100_000, "huge.png")]);
    expect(status(panel)).toBe("“huge.png” has 8.1 MB; an image of at most 8 MB can be sent.");
    expect(model.sent.some(({ kind }) => kind === "image")).toBe(false);
  });

  it("pasted as text is text", () => {
    const panel = show("what?");
    model.greet();
    expect(bring(panel, "paste", []).defaultPrevented).toBe(false);
  });
});

describe("the first question", () => {
  it("shows its image, or asks for one", () => {
    const root = document.createElement("div");
    document.body.append(root);
    end = mountAsk(root, kernel);
    model.greet();
    expect(hint(root)).toContain("Drop an image here");
    box(root).value = "what?";
    press(root);
    expect(asked()).toEqual([]);
    model.greet({ model: true, name: "m", image: { src: "data:image/png;base64,AA", width: 1, height: 1 } });
    expect(root.querySelector("img")!.hidden).toBe(false);
    press(root);
    expect(asked()).toEqual(["what?"]);
  });

  it("that the kernel refuses says why", async () => {
    const root = document.createElement("div");
    end = mountAsk(root, kernel);
    model.greet({ model: true, name: "m", image: { src: "data:,", width: 1, height: 1 } });
    box(root).value = "what?";
    press(root);
    model.answer(model.request("ask").id, "error", { message: "Out of memory." });
    await settle();
    expect(root.querySelector(".problem")!.textContent).toBe("Out of memory.");
  });
});

it("the time left is said in seconds, then in minutes, and not where nobody knows", () => {
  vi.setSystemTime(10_000);
  const job = { kind: "ask" as const, text: "", words: [], since: 0 };
  expect(remaining({ ...job, done: 1, total: 4 })).toBe(", about 30 s left");
  expect(remaining({ ...job, done: 1, total: 31 })).toBe(", about 5 min left");
  expect(remaining({ ...job, done: 0, total: 4 })).toBe("");
  expect(remaining({ ...job, done: 3, total: 0 })).toBe("");
  expect(remaining({ ...job, done: 10, total: 11 })).toBe("");
});

describe("beside a scene builder", () => {
  it("there is no second question: it says where to ask, shows the answer coming, and can stop it", () => {
    model.set("_driven", true);
    const panel = show();
    model.greet();
    expect([panel.querySelector("textarea"), panel.querySelector("input"), button(panel, "Ask")!.hidden]).toEqual([
      null,
      null,
      true,
    ]);
    expect(hint(panel)).toBe("Ask in the scene builder; the answer appears here.");
    model.answer("b", "progress", { text: "reading", done: 1, total: 4 });
    expect(button(panel, "Stop")!.hidden).toBe(false);
    button(panel, "Stop")!.click();
    expect(model.request("cancel").job).toBe("b");
  });
});
