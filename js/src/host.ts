/** What stands behind the view: a kernel that computes on request, or nothing but the page itself. */

import { type ReadonlySignal, signal } from "@preact/signals-core";
import type { Explanation, Picture } from "./wire";

/** What a model can be tested on; what it finds arrives in the state's `results`. */
export type Measured = "check" | "deletion" | "knockout";

export interface Job {
  kind: "ask" | "attribute" | Measured;
  text: string;
  done: number;
  total: number;
  /** The words that were generated so far. */
  words: readonly string[];
  /** When its present phase began, in milliseconds. */
  since: number;
}

export interface Host {
  /** A kernel stands, or stood, behind the view; else it is a page by itself. */
  live: boolean;
  /** Something beside the view asks for it, such as the scene builder: it has no question of its own. */
  driven: boolean;
  /** A kernel answers. */
  connected: ReadonlySignal<boolean>;
  /** Name of the model that can be asked; empty without one. */
  model: ReadonlySignal<string>;
  /** Names of the methods that the model can be asked for. */
  methods: ReadonlySignal<readonly string[]>;
  /** The one that runs, if any; a notebook may have begun it. */
  job: ReadonlySignal<Job | null>;
  /** What cannot be had now, in words. */
  problem: ReadonlySignal<string>;
  /** An image taken in by `load`, to be asked about. */
  picture: ReadonlySignal<Picture | null>;
  /** Have parts of the numbers brought; they arrive in the explanation. */
  want(e: Explanation, parts: string[]): Promise<void>;
  ask(prompt: string): Promise<void>;
  /** Test the answer in view, as Python's `measuring.py` does. */
  measure(kind: Measured, content: object): Promise<void>;
  /** Have a method give its maps of the answer; they arrive in the explanation. */
  attribute(method: string): Promise<void>;
  cancel(): void;
  load(file: File): Promise<void>;
  /** The view as one offline page. */
  page(): Promise<Uint8Array>;
}

/** Have parts brought, where some are missing; what fails is said in `problem`. */
export function bring(host: Host, e: Explanation, missing: string[] | null): void {
  if (missing?.length) host.want(e, missing).catch(() => {});
}

const refuse = () => Promise.reject(new Error("This copy has no model behind it: ask and check in a notebook."));

/** A page by itself. */
export function pageHost(): Host {
  const problem = signal("");
  return {
    live: false,
    driven: false,
    connected: signal(false),
    model: signal(""),
    methods: signal([]),
    job: signal(null),
    picture: signal(null),
    problem,
    want() {
      problem.value = "This copy does not hold the numbers for this choice; a notebook with its kernel does.";
      return Promise.resolve();
    },
    ask: refuse,
    measure: refuse,
    attribute: refuse,
    cancel() {},
    load: refuse,
    page: refuse,
  };
}
