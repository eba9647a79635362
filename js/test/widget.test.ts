// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PATIENCE } from "../src/kernel";
import widget from "../src/widget";
import { golden } from "./golden";
import { carried, FakeModel, settle } from "./model";

const ends: (() => void)[] = [];

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  for (const end of ends.splice(0)) end();
  document.body.replaceChildren();
  vi.useRealTimers();
});

function show(model: FakeModel): HTMLElement {
  const place = document.createElement("div");
  document.body.append(place);
  ends.push(widget.render({ model, el: place }));
  return place;
}

/** A model as a host begins it, with one view. */
async function start(values: Record<string, unknown> = carried("ordinary")): Promise<[FakeModel, HTMLElement]> {
  const model = new FakeModel(values);
  ends.push(widget.initialize({ model }));
  const place = show(model);
  await settle();
  return [model, place];
}

const chosen = (place: HTMLElement) =>
  [...place.querySelectorAll("[role=option]")].flatMap((word, i) =>
    word.getAttribute("aria-selected") === "true" ? [i] : [],
  );
const click = (place: HTMLElement, word: number) => place.querySelectorAll<HTMLElement>("[role=option]")[word]!.click();

describe("a view of a model", () => {
  it("begins with what the traits say", async () => {
    const [, place] = await start({ ...carried("ordinary"), steps: [1], opacity: 0.25, head_filter: "none" });
    expect(chosen(place)).toEqual([1]);
    const counts = place.querySelector<HTMLElement>(".counts")!.dataset;
    expect(counts.kept).toBe(counts.heads);
  });

  it("tells the kernel what was chosen, many changes at once, and never what was not", async () => {
    const [model, place] = await start();
    model.greet();
    vi.advanceTimersByTime(50);
    const before = model.saved;
    for (const word of [0, 1, 0, 1]) click(place, word);
    expect(model.get("steps")).toEqual([1]);
    expect(model.get("step")).toBe(1);
    expect(model.saved).toBe(before);
    vi.advanceTimersByTime(50);
    expect(model.saved).toBe(before + 1);
    expect([model.get("head_filter"), model.get("layers")]).toEqual(["max", [0, 2]]);
  });

  it("tells a kernel that does not answer once it does", async () => {
    const [model, place] = await start();
    click(place, 1);
    vi.advanceTimersByTime(PATIENCE);
    expect(model.saved).toBe(0);
    model.greet();
    expect(model.saved).toBe(1);
  });

  it("follows what Python or a link sets", async () => {
    const [model, place] = await start();
    model.update({ steps: [1], step: 1 });
    await settle();
    expect(chosen(place)).toEqual([1]);
    model.update({ step: null, steps: [] });
    await settle();
    expect(chosen(place)).toEqual([]);
    model.set("step", 0);
    await settle();
    expect(chosen(place)).toEqual([0]);
  });

  it("does not tell Python what follows from its own change: that would undo its next one", async () => {
    const [model, place] = await start();
    model.greet();
    vi.advanceTimersByTime(50);
    const before = model.saved;
    model.update({ layer_mode: "single" });
    await settle();
    model.update({ layers: [1, 1] });
    await settle();
    vi.advanceTimersByTime(50);
    expect([model.saved, model.get("layers")]).toEqual([before, [1, 1]]);
    expect(place.querySelector(".layers .figure")!.textContent).toBe("layer 1 of 0–2");
  });

  it("reads a run of layers by their mode, as Python does, and whatever came first", async () => {
    const [, place] = await start({ ...carried("ordinary"), layer_mode: "single", layers: [0, 2] });
    const figure = place.querySelector(".layers .figure")!;
    expect(figure.textContent).toBe("layer 2 of 0–2");
    const [model, other] = await start();
    model.update({ layer_mode: "cumulative" });
    await settle();
    model.update({ layers: [1, 1] });
    await settle();
    expect(other.querySelector(".layers .figure")!.textContent).toBe("layers 0–1");
  });

  it("stays together with the other views of it", async () => {
    const [model, first] = await start();
    const second = show(model);
    click(second, 1);
    expect(chosen(first)).toEqual([1]);
    expect(model.sent.filter(({ kind }) => kind === "hello")).toHaveLength(1);
  });

  it("goes away alone; the others stay", async () => {
    const [model, first] = await start();
    const second = show(model);
    ends.pop()!();
    expect(second.childElementCount).toBe(0);
    click(first, 1);
    expect(chosen(first)).toEqual([1]);
  });
});

describe("results", () => {
  const result = (text: string) => [
    { kind: "finding", about: { name: "register" }, text, cells: [], regions: [], notes: [] },
  ];

  it("come with the model, follow what Python sets, and are never sent back", async () => {
    const open = { display: { tab: "Failures" } };
    const [model, place] = await start({ ...carried("ordinary"), ...open, _results: result("One register.") });
    const told = () => place.querySelector(".failures section")!.textContent;
    expect(told()).toContain("One register.");
    model.update({ _results: result("None.") });
    expect(told()).toContain("None.");
    model.greet();
    click(place, 1);
    vi.advanceTimersByTime(50);
    expect(model.get("_results")).toEqual(result("None."));
  });

  it("of an answer before are gone with it", async () => {
    const [model, place] = await start({ ...carried("ordinary"), _results: result("Old.") });
    model.update({ ...carried("one_step"), _results: [], display: { tab: "Failures" } });
    await settle();
    expect(place.textContent).not.toContain("Old.");
  });
});

describe("a new document", () => {
  it("keeps how it is drawn and takes what comes with it, and sends nothing old back", async () => {
    const [model, place] = await start();
    click(place, 1);
    model.update({ display: { smooth: false, fade: false, blend: "normal", clip: 100, scale: "own", tab: "Filters" } });
    await settle();
    expect(model.get("layers")).toEqual([0, 2]);
    model.update({ steps: [], step: null, layers: [2, 11], ...carried("twelve_layers") });
    await null;
    expect(chosen(place)).toEqual([1]); // the old view shows its own until the new one is there
    await settle();
    vi.advanceTimersByTime(100);
    expect(model.get("layers")).toEqual([2, 11]);
    expect(model.get("steps")).toEqual([]);
    expect(place.querySelector("canvas")!.classList.contains("cells")).toBe(true);
    expect(place.querySelector(".answer")!.textContent).toContain(golden("twelve_layers").document.sources[0]!.answer);
  });

  it("is read when its payload has come, though a host tells of it first", async () => {
    const [model, place] = await start();
    const { _document, _payload } = carried("one_step");
    model.set("_document", _document);
    model.set("_payload", _payload);
    await settle();
    const [, other] = await start(carried("one_step"));
    const sums = [place, other].map((each) => each.querySelector("canvas")!.dataset.sum);
    expect(sums[0]).toBe(sums[1]);
    expect(Number(sums[0])).toBeGreaterThan(0);
  });

  it("replaces the first question, and who types goes on", async () => {
    const [model, place] = await start({});
    model.greet();
    place.querySelector("textarea")!.focus();
    model.update(carried("ordinary"));
    await settle();
    expect(place.querySelectorAll("[role=option]").length).toBeGreaterThan(1);
    expect(document.activeElement).toBe(place.querySelector("textarea"));
  });

  it("that cannot be read says why, and the next one is shown", async () => {
    const [model, place] = await start({
      ...carried("ordinary", (document) => {
        document.version = 99;
      }),
    });
    expect(place.querySelector("[role=alert]")!.textContent).toContain("format version 99");
    model.update({ _document: "{ broken" });
    await settle();
    expect(place.querySelector("[role=alert]")).not.toBeNull();
    model.update(carried("one_cell"));
    await settle();
    expect(place.querySelector("[role=alert]")).toBeNull();
    expect(place.querySelector("canvas")).not.toBeNull();
  });

  it("opens its own lesson, unless another tab was left open", async () => {
    const lesson = (document: { lesson: unknown }) => {
      document.lesson = [{ text: "Look." }];
    };
    const [, place] = await start(carried("ordinary", lesson));
    expect(place.querySelector(".lesson .figure")!.textContent).toBe("1 step");
    const [, other] = await start({ ...carried("ordinary", lesson), display: { tab: "Filters" } });
    expect(other.querySelector(".lesson")).toBeNull();
  });
});

describe("a document that brings a further method", () => {
  const before = () =>
    carried("with_methods", ({ sources }) => {
      const header = sources[0]!;
      header.methods = header.methods.filter(({ name }) => name !== "iia");
      header.opening = header.opening.filter((name) => name !== "method/iia");
      header.blocks = header.blocks.filter(({ name }) => !name.startsWith("method/iia"));
    });
  const columns = (place: HTMLElement) =>
    [...place.querySelectorAll(".methods thead th")].map((head) => head.textContent);
  const boxOf = (place: HTMLElement) => place.querySelector<HTMLSelectElement>(".compare select")!;

  it("adds it, and leaves the view as it is", async () => {
    const [model, place] = await start(before());
    click(place, 1);
    boxOf(place).value = "method/tam";
    boxOf(place).dispatchEvent(new Event("change"));
    const map = place.querySelector(".image .stage canvas");
    expect(columns(place)).not.toContain("Iia");
    model.update(carried("with_methods"));
    await settle();
    expect(columns(place)).toContain("Iia");
    expect([...boxOf(place).options].map(({ value }) => value)).toContain("method/iia");
    expect([chosen(place), boxOf(place).value]).toEqual([[1], "method/tam"]);
    expect(place.querySelector(".image .stage canvas")).toBe(map);
    click(place, 2);
    expect(model.get("steps")).toEqual([2, 3]); // what is chosen is still told
  });

  it("has its maps fetched where they did not come along", async () => {
    const [model] = await start(before());
    model.greet();
    model.update(
      carried("with_methods", ({ sources }) => {
        sources[0]!.blocks = [];
      }),
    );
    await settle();
    expect(model.request("part").name).toBe("method/iia");
  });

  it("that cannot be read says why", async () => {
    const [model, place] = await start(before());
    model.update({ ...carried("with_methods"), _payload: new DataView(new ArrayBuffer(8)) });
    await settle();
    expect(place.querySelector("[role=alert]")!.textContent).toContain("cut short");
  });
});

describe("numbers that were not saved with the notebook", () => {
  const apart = () =>
    carried("ordinary", ({ sources }) => {
      sources[0]!.blocks = [];
      sources[0]!.opening = ["open"];
    });

  it("come from the kernel", async () => {
    const [model, place] = await start(apart());
    expect(place.textContent).toContain("on their way");
    const { document, payload } = golden("ordinary");
    const bytes = Uint8Array.from(Buffer.from(payload, "base64"));
    expect(model.request("part").name).toBe("open");
    model.answer(model.request("part").id, "part", { blocks: document.sources[0]!.blocks }, bytes);
    await settle();
    expect(place.querySelector("canvas")).not.toBeNull();
  });

  it("are missing in words where no kernel answers", async () => {
    const [, place] = await start(apart());
    vi.advanceTimersByTime(PATIENCE);
    expect(place.textContent).toContain("were not saved with the notebook");
  });
});

describe("a notebook without its kernel", () => {
  it("shows what it holds, with one calm sentence", async () => {
    const model = new FakeModel(carried("ordinary"));
    model.dead = true;
    ends.push(widget.initialize({ model }));
    const place = show(model);
    await settle();
    const said = [...place.querySelectorAll<HTMLElement>(".notice")].filter((line) => !line.hidden);
    expect(said.map((line) => line.textContent)).toEqual([
      "The kernel does not answer: it is busy, or gone. What is loaded still works.",
    ]);
    click(place, 1);
    expect(chosen(place)).toEqual([1]);
    expect(place.querySelector(".summary")!.textContent).toMatch(/^Peak |^The map/);
  });
});

describe("the end of a model", () => {
  it.each(["destroy", "abort", "returned"])("by %s leaves no listener, and no change is saved", async (how) => {
    const model = new FakeModel(carried("ordinary"));
    const abort = new AbortController();
    const end = widget.initialize({ model, signal: abort.signal });
    const place = show(model);
    await settle();
    model.greet();
    vi.advanceTimersByTime(100);
    const saved = model.saved;
    click(place, 1);
    if (how === "destroy") model.emit("destroy");
    else if (how === "abort") abort.abort();
    else end();
    const kept = model.listeners;
    expect(kept).toBeLessThanOrEqual(1);
    vi.advanceTimersByTime(PATIENCE);
    expect(model.saved).toBe(saved);
    click(place, 0);
    expect(model.get("steps")).toEqual([1]);
  });

  it("while its document is read shows nothing more", async () => {
    const model = new FakeModel(carried("ordinary"));
    const end = widget.initialize({ model });
    const place = show(model);
    end();
    await settle();
    expect(place.querySelector("canvas")).toBeNull();
    expect(model.get("steps")).toBeUndefined();
  });
});

it("two models that share this module, as in marimo, are two sessions", async () => {
  const [one, first] = await start();
  const [other, second] = await start(carried("one_step"));
  click(first, 1);
  vi.advanceTimersByTime(100);
  expect(one.get("steps")).toEqual([1]);
  expect(other.get("steps")).toEqual([]);
  expect(second.querySelectorAll("[role=option]")).toHaveLength(1);
  one.emit("destroy");
  click(second, 0);
  expect(other.get("steps")).toEqual([0]);
});

it("a host that hands out one model as several objects still has one session", async () => {
  const [model, first] = await start();
  const proxy = Object.assign(Object.create(model) as FakeModel, { get: model.get });
  const second = show(proxy);
  click(second, 2);
  expect(chosen(first)).toEqual([2]);
});

it("the module does nothing before it is asked to", async () => {
  vi.resetModules();
  const listen = vi.spyOn(document, "addEventListener");
  const make = vi.spyOn(document, "createElement");
  await import("../src/widget");
  expect([listen.mock.calls.length, make.mock.calls.length]).toEqual([0, 0]);
});
