// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bytesOf, Kernel, PATIENCE } from "../src/kernel";
import { explanation } from "./golden";
import { FakeModel, settle } from "./model";

let model: FakeModel;
let kernel: Kernel;

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel();
  kernel = new Kernel(model);
});

afterEach(() => {
  kernel.end();
  vi.useRealTimers();
});

const PART = { blocks: [{ name: "norm", dtype: "f4", shape: [2], offset: 0 }] };
const TWO = new Uint8Array(new Float32Array([1, 2]).buffer);

describe("the greeting", () => {
  it("connects and names the model", () => {
    expect(kernel.connected.value).toBe(false);
    model.greet();
    expect([kernel.connected.value, kernel.model.value, kernel.problem.value]).toEqual([true, "lab/llava", ""]);
  });

  it("brings the image of a first question and a job that runs already", () => {
    const image = { src: "data:image/png;base64,AA", width: 2, height: 2 };
    model.greet({ model: true, name: "m", image, job: "from-python" });
    expect(kernel.picture.value).toEqual(image);
    expect(kernel.job.value?.kind).toBe("ask");
    kernel.cancel();
    expect(model.request("cancel").job).toBe("from-python");
  });

  it("that nobody answers leaves one calm sentence, until an answer comes late", () => {
    vi.advanceTimersByTime(PATIENCE);
    expect(kernel.connected.value).toBe(false);
    expect(kernel.problem.value).toBe("The kernel does not answer: it is busy, or gone. What is loaded still works.");
    model.greet();
    expect([kernel.connected.value, kernel.problem.value]).toEqual([true, ""]);
  });

  it("is sent again when the comm changes", () => {
    model.greet();
    model.emit("comm_live_update");
    expect(model.sent.filter(({ kind }) => kind === "hello")).toHaveLength(2);
  });
});

it("a kernel that died in silence is missed once somebody works the view", () => {
  model.greet();
  model.dead = true;
  kernel.stir();
  expect(kernel.connected.value).toBe(true); // it was heard of just now
  vi.advanceTimersByTime(PATIENCE + 1);
  kernel.stir();
  expect([kernel.connected.value, kernel.problem.value]).toEqual([false, expect.stringContaining("gone")]);
});

describe("messages", () => {
  it("of another version, an unknown kind or no shape change nothing", () => {
    const asked = kernel.ask("what?");
    let ended = false;
    asked.finally(() => {
      ended = true;
    });
    const { id } = model.request("ask");
    for (const odd of [null, undefined, 7, "text", [], {}, { dexar: 2 }, { dexar: 1, id, kind: "done" }])
      model.emit("msg:custom", odd);
    expect(kernel.connected.value).toBe(false);
    for (const kind of ["wat", "hello", "part", "html"]) model.answer(id, kind);
    model.answer("nobody", "done");
    expect(ended).toBe(false);
    expect(kernel.job.value?.text).toBe("waiting");
  });

  it("that report an error without a request are shown", () => {
    model.answer("", "error", { message: "layers: 99 is unknown" });
    expect(kernel.problem.value).toBe("layers: 99 is unknown");
  });

  it("begin anywhere in their buffer", () => {
    const buffer = new Uint8Array([9, 1, 2, 3, 9]).buffer;
    expect([...bytesOf(new DataView(buffer, 1, 3))]).toEqual([1, 2, 3]);
    expect([...bytesOf(buffer)]).toHaveLength(5);
    expect([...bytesOf("no bytes")]).toEqual([]);
  });
});

describe("a part", () => {
  it("is asked for once while it is on its way, and taken in", async () => {
    const e = explanation("ordinary");
    const both = Promise.all([kernel.want(e, ["norm"]), kernel.want(e, ["norm"])]);
    expect(model.sent.filter(({ kind }) => kind === "part")).toHaveLength(1);
    expect(model.request("part")).toMatchObject({ source: 0, name: "norm" });
    model.answer(model.request("part").id, "part", PART, TWO);
    await both;
    expect([...e.blocks.get("norm")!.data]).toEqual([1, 2]);
    kernel.want(e, ["norm"]);
    expect(model.sent.filter(({ kind }) => kind === "part")).toHaveLength(2);
  });

  it("that comes late is still taken", async () => {
    const e = explanation("ordinary");
    const wanted = kernel.want(e, ["norm"]);
    vi.advanceTimersByTime(PATIENCE);
    expect(kernel.problem.value).toContain("does not answer");
    model.answer(model.request("part").id, "part", PART, TWO);
    await wanted;
    expect(e.blocks.has("norm")).toBe(true);
    expect(kernel.problem.value).toBe("");
  });

  it.each([
    ["without a description", {}, TWO],
    ["that is cut short", PART, TWO.slice(0, 4)],
    ["without its bytes", PART, undefined],
  ])("%s is refused in words", async (_, content, bytes) => {
    const e = explanation("ordinary");
    const wanted = kernel.want(e, ["norm"]);
    model.answer(model.request("part").id, "part", content, bytes);
    await expect(wanted).rejects.toThrow();
    expect(kernel.problem.value).toContain("numbers cannot be read");
    expect(e.blocks.has("norm")).toBe(false);
  });

  it("that the kernel refuses says why, and the next request takes the word back", async () => {
    const e = explanation("ordinary");
    model.greet();
    const wanted = kernel.want(e, ["norm"]);
    model.answer(model.request("part").id, "error", { message: "There is no part 'norm'." });
    await expect(wanted).rejects.toThrow("There is no part 'norm'.");
    expect(kernel.problem.value).toBe("There is no part 'norm'.");
    kernel.want(e, ["detail"]);
    expect(kernel.problem.value).toBe("");
  });
});

describe("a job", () => {
  it("reports its words and progress, and ends", async () => {
    model.greet();
    const asked = kernel.ask("what is it?");
    const { id, prompt } = model.request("ask");
    expect(prompt).toBe("what is it?");
    model.answer(id, "word", { text: "a" });
    model.answer(id, "word", { text: " cat" });
    vi.setSystemTime(1000);
    model.answer(id, "progress", { done: 0, total: 8, text: "explaining" });
    vi.setSystemTime(3000);
    model.answer(id, "progress", { done: 2, total: 8, text: "explaining" });
    expect(kernel.job.value).toMatchObject({
      words: ["a", " cat"],
      done: 2,
      total: 8,
      text: "explaining",
      since: 1000,
    });
    model.answer(id, "done");
    await asked;
    expect(kernel.job.value).toBeNull();
  });

  it("that is stopped says so, and is no problem", async () => {
    model.greet();
    const asked = kernel.ask("what?");
    kernel.cancel();
    expect(model.request("cancel").job).toBe(model.request("ask").id);
    model.answer(model.request("cancel").id, "done");
    expect(kernel.job.value).not.toBeNull();
    model.answer(model.request("ask").id, "cancelled");
    await expect(asked).rejects.toThrow("Stopped.");
    expect([kernel.job.value, kernel.problem.value]).toEqual([null, ""]);
  });

  it("waits behind another one; the first is shown and stopped first", async () => {
    model.greet();
    const asked = kernel.ask("what?");
    const checked = kernel.measure("check", { words: [[0, 1]], region: [0, 0, 5, 5], how: "mean" });
    expect(kernel.job.value?.kind).toBe("ask");
    model.answer(model.request("ask").id, "done");
    await asked;
    expect(kernel.job.value?.kind).toBe("check");
    const { id } = model.request("check");
    expect(model.request("check")).toMatchObject({ words: [[0, 1]], region: [0, 0, 5, 5], how: "mean" });
    model.answer(id, "done");
    await checked;
    expect(kernel.job.value).toBeNull();
  });

  it.each([
    ["deletion", { steps: [1], view: { method: "dexar" }, how: "blur" }],
    ["knockout", { cut: ["image", "answer"] }],
  ] as const)("of kind %s says what to test, tells how far it is, and can be stopped", async (kind, content) => {
    model.greet();
    const asked = kernel.measure(kind, content);
    expect(model.request(kind)).toMatchObject(content);
    model.answer(model.request(kind).id, "progress", { done: 1, total: 4, text: "scoring" });
    expect(kernel.job.value).toMatchObject({ kind, done: 1, total: 4 });
    kernel.cancel();
    model.answer(model.request("cancel").id, "done");
    model.answer(model.request(kind).id, "cancelled");
    await expect(asked).rejects.toThrow("Stopped.");
    expect([kernel.job.value, kernel.problem.value]).toEqual([null, ""]);
  });

  it("has a method give its maps, of those that the kernel named", async () => {
    model.greet({ model: true, name: "m", methods: ["grad_cam", "rise"] });
    expect(kernel.methods.value).toEqual(["grad_cam", "rise"]);
    const asked = kernel.attribute("rise");
    const { id, method } = model.request("attribute");
    expect([method, kernel.job.value?.kind]).toEqual(["rise", "attribute"]);
    model.answer(id, "progress", { done: 3, total: 200, text: "hiding" });
    expect(kernel.job.value).toMatchObject({ done: 3, total: 200, text: "hiding" });
    model.answer(id, "done");
    await asked;
    expect(kernel.job.value).toBeNull();
  });

  it("that a notebook began is shown and can be stopped", () => {
    model.greet();
    model.answer("theirs", "progress", { done: 1, total: 4, text: "answering" });
    expect(kernel.job.value).toMatchObject({ text: "answering" });
    kernel.cancel();
    expect(model.request("cancel").job).toBe("theirs");
    model.answer("theirs", "cancelled");
    expect(kernel.job.value).toBeNull();
  });

  it("can be given up when the kernel is gone", async () => {
    model.greet();
    const asked = kernel.ask("what?");
    vi.advanceTimersByTime(PATIENCE);
    expect(kernel.connected.value).toBe(false);
    kernel.cancel();
    await expect(asked).rejects.toThrow("does not answer");
    expect(kernel.job.value).toBeNull();
  });

  it("that had ended before it could be stopped leaves no complaint", async () => {
    model.greet();
    const asked = kernel.ask("what?");
    kernel.cancel();
    model.answer(model.request("ask").id, "done");
    model.answer(model.request("cancel").id, "error", { message: "No job is running; it may have ended." });
    await asked;
    await settle();
    expect(kernel.problem.value).toBe("");
  });
});

it("a lost comm ends requests in words", async () => {
  model.greet();
  model.dead = true;
  await expect(kernel.ask("what?")).rejects.toThrow("does not answer");
  expect([kernel.connected.value, kernel.job.value]).toEqual([false, null]);
  await expect(kernel.page()).rejects.toThrow("does not answer");
});

it("an image travels as its file's bytes, and its preview comes back until it was asked about", async () => {
  model.greet();
  const loading = kernel.load(new File([new Uint8Array([1, 2, 3])], "cat.png"));
  await settle();
  expect(model.request("image").name).toBe("cat.png");
  expect([...new Uint8Array(model.buffers.at(-1)![0]!)]).toEqual([1, 2, 3]);
  model.answer(model.request("image").id, "image", { image: { src: "data:,", width: 1, height: 1 }, notices: [] });
  await loading;
  expect(kernel.picture.value?.src).toBe("data:,");
  const asked = kernel.ask("what?");
  model.answer(model.request("ask").id, "done");
  await asked;
  expect(kernel.picture.value).toBeNull();
});

it("nothing is heard or said after its end", () => {
  kernel.end();
  expect(model.listeners).toBe(0);
  model.greet();
  vi.advanceTimersByTime(PATIENCE);
  expect([kernel.connected.value, kernel.problem.value]).toEqual([false, ""]);
});
