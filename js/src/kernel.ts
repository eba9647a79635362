/** The kernel behind a widget: requests by custom message, as Python's `messages.py` answers them. */

import { batch, computed, signal } from "@preact/signals-core";
import type { Host, Job, Measured } from "./host";
import type { BlockSpec } from "./tensor";
import { type Explanation, type Picture, receive, VERSION } from "./wire";

/** What a host hands a widget (anywidget's model), as far as it is used here. */
export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[] | ArrayBufferView[]): void;
  on(event: string, listen: (...args: never[]) => void): void;
  off(event?: string | null, listen?: ((...args: never[]) => void) | null): void;
}

interface Message {
  dexar: number;
  id: string;
  kind: string;
  message?: string;
  text?: string;
  done?: number;
  total?: number;
  name?: string;
  model?: boolean;
  methods?: string[];
  job?: string | null;
  blocks?: BlockSpec[];
  image?: Picture | null;
}

/** What is asked, and the kind of message that answers it. */
const ANSWERS = {
  hello: "hello",
  part: "part",
  ask: "done",
  check: "done",
  deletion: "done",
  knockout: "done",
  attribute: "done",
  cancel: "done",
  image: "image",
  html: "html",
};

type Kind = keyof typeof ANSWERS;
type Answer = [Message, Uint8Array];

interface Pending {
  kind: Kind;
  resolve(answer: Answer): void;
  reject(error: Error): void;
  heard: boolean;
}

/** How long, in milliseconds, a kernel may keep silent before it is called busy or gone. */
export const PATIENCE = 6000;
const SILENT = "The kernel does not answer: it is busy, or gone. What is loaded still works.";

/** A host's bytes, wherever they begin in their buffer. */
export function bytesOf(value: unknown): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return new Uint8Array();
}

export class Kernel implements Host {
  live = true;
  connected = signal(false);
  model = signal("");
  methods = signal<readonly string[]>([]);
  problem = signal("");
  picture = signal<Picture | null>(null);
  #jobs = signal<readonly (Job & { id: string })[]>([]);
  job = computed<Job | null>(() => this.#jobs.value[0] ?? null);
  #wire: Model;
  #pending = new Map<string, Pending>();
  /** Parts on their way. */
  #wanted = new WeakMap<Explanation, Map<string, Promise<void>>>();
  #stem = Math.random().toString(36).slice(2);
  #count = 0;
  /** When the kernel was last heard of, or asked whether it is there. */
  #heardAt = 0;
  #listen = (content: Message, buffers?: unknown[]) => this.#hear(content, bytesOf(buffers?.[0]));
  /** What fails is said in `problem`. */
  #greet = () => void this.#request("hello", {}).catch(() => {});

  constructor(wire: Model) {
    this.#wire = wire;
    wire.on("msg:custom", this.#listen);
    wire.on("comm_live_update", this.#greet);
    this.#greet();
  }

  /** Asked anew for each view: a widget learns that it is driven after it was made. */
  get driven(): boolean {
    return Boolean(this.#wire.get("_driven"));
  }

  end(): void {
    this.#wire.off("msg:custom", this.#listen);
    this.#wire.off("comm_live_update", this.#greet);
    this.#pending.clear();
  }

  /** Somebody works the view: a kernel that was silent for long is asked whether it is still there. */
  stir(): void {
    if (this.connected.peek() && Date.now() - this.#heardAt > PATIENCE) this.#greet();
  }

  async want(e: Explanation, parts: string[]): Promise<void> {
    const coming = this.#wanted.get(e) ?? new Map<string, Promise<void>>();
    this.#wanted.set(e, coming);
    for (const name of parts.filter((part) => !coming.has(part))) {
      const part = this.#request("part", { source: e.source, name });
      const taken = part.then(([message, bytes]) => this.#take(e, message, bytes));
      coming.set(
        name,
        taken.finally(() => coming.delete(name)),
      );
    }
    await Promise.all(parts.map((name) => coming.get(name)));
  }

  async ask(prompt: string): Promise<void> {
    await this.#run("ask", { prompt });
    this.picture.value = null;
  }

  async measure(kind: Measured, content: object): Promise<void> {
    await this.#run(kind, content);
  }

  async attribute(method: string): Promise<void> {
    await this.#run("attribute", { method });
  }

  cancel(): void {
    const id = this.#jobs.peek()[0]?.id;
    if (!id) return;
    const fail = (why: string) => this.#jobs.peek().some((job) => job.id === id) && this.#fail(id, why);
    this.#request("cancel", { job: id }).catch((error: Error) => fail(error.message));
    if (!this.connected.peek()) fail(SILENT);
  }

  async load(file: File): Promise<void> {
    const bytes = await file.arrayBuffer();
    const [{ image }] = await this.#request("image", { name: file.name }, [bytes]);
    this.picture.value = image ?? null;
  }

  async page(): Promise<Uint8Array> {
    return (await this.#request("html", {}))[1];
  }

  #take(e: Explanation, { blocks }: Message, bytes: Uint8Array): void {
    try {
      if (!Array.isArray(blocks)) throw new Error("They came without a description.");
      receive(e, blocks, bytes);
    } catch (error) {
      this.problem.value = `The kernel’s numbers cannot be read. ${(error as Error).message}`;
      throw error;
    }
  }

  async #run(kind: Job["kind"], content: object): Promise<Answer> {
    const id = this.#nextId();
    this.#begin(id, kind);
    try {
      return await this.#request(kind, content, [], id);
    } finally {
      this.#forget(id);
    }
  }

  #begin(id: string, kind: Job["kind"]): void {
    const job = { id, kind, text: "waiting", done: 0, total: 0, words: [], since: Date.now() };
    this.#jobs.value = [...this.#jobs.peek(), job];
  }

  #forget(id: string): void {
    this.#pending.delete(id);
    this.#jobs.value = this.#jobs.peek().filter((job) => job.id !== id);
  }

  #nextId = (): string => `${this.#stem}-${++this.#count}`;

  #request(kind: Kind, content: object, buffers: ArrayBuffer[] = [], id = this.#nextId()): Promise<Answer> {
    if (kind !== "hello" && this.connected.peek()) this.problem.value = "";
    this.#heardAt = Date.now();
    return new Promise((resolve, reject) => {
      const pending: Pending = { kind, resolve, reject, heard: false };
      this.#pending.set(id, pending);
      try {
        this.#wire.send({ dexar: VERSION, id, kind, ...content }, undefined, buffers);
      } catch {
        this.#lost();
        this.#fail(id, SILENT);
      }
      // A late answer is still taken: a kernel without a thread for messages answers after the running cell.
      setTimeout(() => this.#pending.has(id) && !pending.heard && this.#lost(), PATIENCE);
    });
  }

  #lost(): void {
    batch(() => {
      this.connected.value = false;
      this.problem.value = SILENT;
    });
  }

  #hear(message: Message, bytes: Uint8Array): void {
    if (message?.dexar !== VERSION || typeof message.kind !== "string") return;
    batch(() => {
      if (!this.connected.value) this.problem.value = "";
      this.connected.value = true;
      this.#heardAt = Date.now();
      const { id, kind } = message;
      const pending = this.#pending.get(id);
      if (pending) pending.heard = true;
      if (kind === "progress" || kind === "word") this.#follow(message);
      else if (kind === "error") this.#fail(id, message.message ?? "The kernel could not answer.");
      else if (kind === "cancelled") this.#fail(id, "Stopped.", true);
      else if (!pending || kind === ANSWERS[pending.kind]) this.#settle(message, bytes);
    });
  }

  #settle(message: Message, bytes: Uint8Array): void {
    const pending = this.#pending.get(message.id);
    if (message.kind === "hello") this.#greeted(message);
    this.#forget(message.id);
    pending?.resolve([message, bytes]);
  }

  #greeted({ model, name, methods = [], image, job }: Message): void {
    this.model.value = model ? name || "a model" : "";
    this.methods.value = methods;
    if (image) this.picture.value = image;
    if (job && !this.#jobs.value.some(({ id }) => id === job)) this.#begin(job, "ask");
  }

  #fail(id: string, why: string, calm = false): void {
    const pending = this.#pending.get(id);
    if (!calm && pending?.kind !== "cancel") this.problem.value = why;
    this.#forget(id);
    pending?.reject(new Error(why));
  }

  #follow({ id, kind, text = "", done = 0, total = 0 }: Message): void {
    if (!this.#jobs.value.some((job) => job.id === id)) this.#begin(id, "ask");
    this.#jobs.value = this.#jobs.value.map((job) => {
      if (job.id !== id) return job;
      if (kind === "word") return { ...job, words: [...job.words, text] };
      return { ...job, text, done, total, since: done && done >= job.done ? job.since : Date.now() };
    });
  }
}
