/** The notebook's widget: the only file that knows its host. One session per model, shared by all its views. */

import { effect, type Signal, signal, untracked } from "@preact/signals-core";
import { el } from "./dom";
import { bytesOf, Kernel, type Model } from "./kernel";
import { shield } from "./keys";
import { createState, type State } from "./state";
import style from "./style.css";
import { followTheme } from "./theme";
import { NAMES, readTraits, type Traits, writeTraits } from "./traits";
import { complain, mount, mountAsk } from "./view";
import { type Document, open } from "./wire";

/** How often, in milliseconds, the kernel hears of a change. */
const PACE = 50;

class Session {
  kernel: Kernel;
  /** What is shown; null before the first answer, an error if it cannot be read. */
  content: Signal<State | Error | null> = signal(null);
  lesson: Document["lesson"] = [];
  #model: Model;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ends: (() => void)[] = [];
  #unsync = () => {};
  #loading = 0;

  constructor(model: Model) {
    this.#model = model;
    this.kernel = new Kernel(model);
    this.#on("change:_document", () => this.#load());
    for (const name of NAMES) this.#on(`change:${name}`, () => this.#heard(name));
    this.#load();
  }

  end(): void {
    this.#unsync();
    for (const end of this.#ends) end();
    clearTimeout(this.#timer);
    this.kernel.end();
  }

  #on(event: string, listen: () => void): void {
    this.#model.on(event, listen);
    this.#ends.push(() => this.#model.off(event, listen));
  }

  #load(): void {
    this.#unsync();
    const loading = ++this.#loading;
    const fail = (error: unknown) => {
      if (loading === this.#loading) this.content.value = error instanceof Error ? error : new Error(String(error));
    };
    const text = this.#model.get("_document") as string;
    if (!text) this.content.value = null;
    else this.#read(text).then(([s, lesson]) => loading === this.#loading && this.#show(s, lesson), fail);
  }

  async #read(text: string): Promise<[State, Document["lesson"]]> {
    const document = JSON.parse(text) as Document;
    const sources = open(document, bytesOf(this.#model.get("_payload")));
    // What is too large for the notebook's file comes by message.
    const apart = sources.filter(({ header }) => !header.blocks.length);
    await Promise.all(apart.map((e) => this.kernel.want(e, e.header.opening)));
    return [createState(sources, this.kernel), document.lesson];
  }

  #show(s: State, lesson: Document["lesson"]): void {
    this.lesson = lesson;
    writeTraits(s, Object.fromEntries(NAMES.map((name) => [name, this.#model.get(name)])) as Partial<Traits>);
    const unsync = effect(() => this.#tell(readTraits(s)));
    this.#unsync = () => {
      unsync();
      s.end();
      this.#unsync = () => {};
    };
    this.content.value = s;
  }

  /** Hand on what differs, at the kernel's pace. */
  #tell(traits: Traits): void {
    const changed = NAMES.filter((name) => !same(traits[name], this.#model.get(name)));
    for (const name of changed) this.#model.set(name, traits[name]);
    if (!changed.length || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#model.save_changes();
    }, PACE);
  }

  #heard(name: keyof Traits): void {
    const s = this.content.peek();
    const value = this.#model.get(name);
    if (!s || s instanceof Error || same(readTraits(s)[name], value)) return;
    writeTraits(s, { [name]: value } as Partial<Traits>);
  }
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

const sessions = new Map<string, Session>();

function sessionOf(model: Model): Session {
  const id = String(model.get("_id"));
  const known = sessions.get(id);
  if (known) return known;
  const session = new Session(model);
  sessions.set(id, session);
  return session;
}

interface Props {
  model: Model;
  el: HTMLElement;
  signal?: AbortSignal;
}

function initialize({ model, signal }: Omit<Props, "el">): () => void {
  const id = String(model.get("_id"));
  const session = sessionOf(model);
  const end = () => {
    session.end();
    if (sessions.get(id) === session) sessions.delete(id);
  };
  model.on("destroy", end);
  signal?.addEventListener("abort", end);
  return end;
}

function show(root: HTMLElement, session: Session, content: State | Error | null): () => void {
  if (content instanceof Error) return complain(root, content);
  return content ? mount(root, content, session.lesson) : mountAsk(root, session.kernel);
}

function render({ model, el: place }: Props): () => void {
  const session = sessionOf(model);
  const root = el("div", { class: "dexar embedded" });
  place.append(el("style", {}, style), root);
  shield(root);
  const unfollow = followTheme(root);
  let take = () => {};
  const follow = effect(() => {
    const content = session.content.value;
    untracked(() => {
      take();
      take = show(root, session, content);
    });
  });
  return () => {
    follow();
    take();
    unfollow();
    place.replaceChildren();
  };
}

export default { initialize, render };
