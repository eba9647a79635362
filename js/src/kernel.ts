/** The kernel behind a widget: requests by custom message, as Python's `messages.py` answers them. */

import { batch, type Signal, signal } from "@preact/signals-core";
import type { Check, Host, Job } from "./host";
import type { BlockSpec } from "./tensor";
import { type Explanation, type Outline, type Picture, receive } from "./wire";

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
  dexar?: number;
  id: string;
  kind: string;
  message?: string;
  text?: string;
  done?: number;
  total?: number;
  name?: string;
  source?: number;
  model?: boolean;
  blocks?: BlockSpec[];
  checks?: Check[];
  image?: Picture;
}

interface Pending {
  resolve(message: Message, bytes: Uint8Array): void;
  reject(error: Error): void;
  heard: boolean;
}

/** How long a kernel may keep silent before it is called busy or gone. */
const PATIENCE = 6000;
const SILENT = "The kernel does not answer: it is busy, or gone. What is loaded still works.";

/** A host's bytes, wherever they begin in their buffer. */
export function bytesOf(value: unknown): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return new Uint8Array();
}

export class Kernel implements Host {
  connected = signal(false);
  model = signal("");
  job: Signal<Job | null> = signal(null);
  problem = signal("");
  picture: Signal<Picture | null> = signal(null);
  #wire: Model;
  #pending = new Map<string, Pending>();
  /** Parts on their way. */
  #wanted = new WeakMap<Explanation, Map<string, Promise<void>>>();
  #stem = Math.random().toString(36).slice(2);
  #count = 0;
  #jobId = "";
  #listen = (content: Message, buffers?: unknown[]) => this.#hear(content, bytesOf(buffers?.[0]));
  #greet = () => void this.#request("hello", {}).catch(() => {});

  constructor(wire: Model) {
    this.#wire = wire;
    wire.on("msg:custom", this.#listen as never);
    wire.on("comm_live_update", this.#greet);
    this.#greet();
  }

  end(): void {
    this.#wire.off("msg:custom", this.#listen as never);
    this.#wire.off("comm_live_update", this.#greet);
    this.#pending.clear();
  }

  async want(e: Explanation, parts: string[]): Promise<void> {
    const coming = parts.map((name) => {
      const known = this.#wanted.get(e)?.get(name);
      if (known) return known;
      const part = this.#request("part", { source: e.source, name })
        .then(([message, bytes]) => receive(e, message.blocks ?? [], bytes))
        .finally(() => this.#wanted.get(e)?.delete(name));
      const mine = this.#wanted.get(e) ?? new Map<string, Promise<void>>();
      this.#wanted.set(e, mine.set(name, part));
      return part;
    });
    await Promise.all(coming);
  }

  async ask(prompt: string): Promise<void> {
    await this.#run("ask", { prompt });
  }

  async check(words: number[][], region: Outline, how: string): Promise<Check[]> {
    return (await this.#run("check", { words, region, how }))[0].checks ?? [];
  }

  cancel(): void {
    if (this.#jobId) void this.#request("cancel", { job: this.#jobId }).catch(() => {});
  }

  async load(file: File): Promise<void> {
    const bytes = await file.arrayBuffer();
    const [{ image }] = await this.#request("image", { name: file.name }, [bytes]);
    this.picture.value = image ?? null;
  }

  async page(): Promise<Uint8Array> {
    return (await this.#request("html", {}))[1];
  }

  async #run(kind: Job["kind"], content: object): Promise<[Message, Uint8Array]> {
    this.#jobId = this.#nextId();
    this.job.value = { kind, text: "waiting", done: 0, total: 0, words: [], since: Date.now() };
    try {
      return await this.#request(kind, content, [], this.#jobId);
    } finally {
      this.job.value = null;
      this.#jobId = "";
    }
  }

  #nextId = (): string => `${this.#stem}-${++this.#count}`;

  #request(
    kind: string,
    content: object,
    buffers: ArrayBuffer[] = [],
    id = this.#nextId(),
  ): Promise<[Message, Uint8Array]> {
    return new Promise((resolve, reject) => {
      const pending: Pending = { resolve: (message, bytes) => resolve([message, bytes]), reject, heard: false };
      this.#pending.set(id, pending);
      try {
        this.#wire.send({ dexar: 2, id, kind, ...content }, undefined, buffers);
      } catch {
        this.#pending.delete(id);
        this.#lost();
        reject(new Error(SILENT));
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
    if (message?.dexar !== 2) return;
    if (!this.connected.value) this.problem.value = "";
    this.connected.value = true;
    const pending = this.#pending.get(message.id);
    if (pending) pending.heard = true;
    if (message.kind === "progress" || message.kind === "word") this.#follow(message);
    else {
      this.#pending.delete(message.id);
      if (message.kind === "hello") this.model.value = message.model ? (message.name ?? "a model") : "";
      if (pending) this.#answer(pending, message, bytes);
    }
  }

  #answer(pending: Pending, message: Message, bytes: Uint8Array): void {
    if (message.kind === "error") {
      this.problem.value = message.message ?? "The kernel could not answer.";
      pending.reject(new Error(this.problem.value));
    } else if (message.kind === "cancelled") pending.reject(new Error("Stopped."));
    else {
      if (message.kind !== "hello") this.problem.value = "";
      pending.resolve(message, bytes);
    }
  }

  #follow({ id, kind, text = "", done = 0, total = 0 }: Message): void {
    const job = this.job.value;
    if (!job || id !== this.#jobId) return;
    this.job.value = kind === "word" ? { ...job, words: [...job.words, text] } : { ...job, text, done, total };
  }
}
