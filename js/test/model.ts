/** A host's model without a host: anywidget's, as far as the widget uses it. */

import { VERSION } from "../src/wire";
import { golden } from "./golden";

type Listen = (...args: never[]) => void;

export interface Sent {
  id: string;
  kind: string;
  [name: string]: unknown;
}

let serial = 0;

export class FakeModel {
  /** What was sent to the kernel, and how often changes were saved. */
  sent: Sent[] = [];
  buffers: ArrayBuffer[][] = [];
  saved = 0;
  /** A comm that is gone throws. */
  dead = false;
  #values: Record<string, unknown>;
  #listeners = new Map<string, Set<Listen>>();

  constructor(values: Record<string, unknown> = {}) {
    this.#values = { _id: `model${++serial}`, _document: "", _payload: new DataView(new ArrayBuffer(0)), ...values };
  }

  get = (name: string): unknown => this.#values[name];

  set(name: string, value: unknown): void {
    const before = this.#values[name];
    this.#values[name] = value;
    if (before !== value) this.emit(`change:${name}`);
  }

  save_changes(): void {
    this.saved++;
  }

  send(content: unknown, _callbacks?: unknown, buffers?: ArrayBuffer[] | ArrayBufferView[]): void {
    if (this.dead) throw new Error("Comm is disposed");
    this.sent.push(content as Sent);
    this.buffers.push((buffers ?? []) as ArrayBuffer[]);
  }

  on(event: string, listen: Listen): void {
    this.#listeners.set(event, (this.#listeners.get(event) ?? new Set()).add(listen));
  }

  off(event?: string | null, listen?: Listen | null): void {
    if (event && listen) this.#listeners.get(event)?.delete(listen);
  }

  emit(event: string, ...args: unknown[]): void {
    for (const listen of [...(this.#listeners.get(event) ?? [])]) listen(...(args as never[]));
  }

  get listeners(): number {
    return [...this.#listeners.values()].reduce((sum, { size }) => sum + size, 0);
  }

  // The kernel's side

  /** The last request of a kind. */
  request(kind: string): Sent {
    const found = this.sent.filter((message) => message.kind === kind).at(-1);
    if (!found) throw new Error(`Nothing of kind ${kind} was sent, but ${this.sent.map((message) => message.kind)}`);
    return found;
  }

  answer(id: string, kind: string, content: object = {}, bytes?: Uint8Array): void {
    this.emit(
      "msg:custom",
      { dexar: VERSION, id, kind, ...content },
      bytes ? [new DataView(bytes.slice().buffer)] : [],
    );
  }

  greet(content: object = { model: true, name: "lab/llava" }): void {
    this.answer(this.request("hello").id, "hello", content);
  }

  /** All at once, as a kernel's update comes: every value is there before the first change is told. */
  update(values: Record<string, unknown>): void {
    const changed = Object.keys(values).filter((name) => this.#values[name] !== values[name]);
    Object.assign(this.#values, values);
    for (const name of changed) this.emit(`change:${name}`);
  }
}

/** A golden case as the two traits carry it. */
export function carried(name: string, change: (document: ReturnType<typeof golden>["document"]) => void = () => {}) {
  const { document, payload } = golden(name);
  change(document);
  const bytes = Uint8Array.from(Buffer.from(payload, "base64"));
  return { _document: JSON.stringify(document), _payload: new DataView(bytes.buffer) };
}

/** Let promises and microtasks run. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await null;
};
