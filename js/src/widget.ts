/** The notebook's widget: the only file that knows its host. One session per model, shared by all its views. */

import { effect, type Signal, signal, untracked } from "@preact/signals-core";
import { el } from "./dom";
import { bytesOf, Kernel, type Model } from "./kernel";
import { shield } from "./keys";
import { type Result, same } from "./results";
import { createState, type State } from "./state";
import style from "./style.css";
import { followTheme } from "./theme";
import { NAMES, readTraits, type Traits, writeTraits } from "./traits";
import { complain, mount, mountAsk, mountWait } from "./view";
import { type Document, type Explanation, grow, isGrown, open } from "./wire";

/** How often, in milliseconds, the kernel hears of a change. */
const PACE = 50;

/** What is shown: an explanation, why there is none, a first question to ask, or numbers to wait for. */
type Content = State | Error | "ask" | "wait";

class Session {
  kernel: Kernel;
  content: Signal<Content> = signal("ask");
  lesson: Document["lesson"] = [];
  #model: Model;
  /** The state that the model's traits are those of; none while a new document is read. */
  #state: State | null = null;
  #news = new Set<keyof Traits>();
  #listening = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #unsaved = false;
  #ends: (() => void)[] = [];
  #unfollow = () => {};
  #loading = 0;

  constructor(model: Model) {
    this.#model = model;
    this.kernel = new Kernel(model);
    this.#on("change:_document", () => this.#change());
    for (const name of NAMES) this.#on(`change:${name}`, () => this.#hear(name));
    this.#on("change:_results", () => {
      if (this.#state) this.#state.results.value = this.#results();
    });
    const resume = effect(() => {
      if (this.kernel.connected.value) this.#save();
    });
    this.#ends.push(resume);
    this.#load();
  }

  end(): void {
    this.#leave();
    for (const end of this.#ends.splice(0)) end();
    clearTimeout(this.#timer);
    this.kernel.end();
  }

  #on(event: string, listen: () => void): void {
    this.#model.on(event, listen);
    this.#ends.push(() => this.#model.off(event, listen));
  }

  /** Traits that change from now on belong to another document. */
  #leave(): number {
    this.#state = null;
    this.#unfollow();
    this.#unfollow = () => {};
    return ++this.#loading;
  }

  /** A document that brings further methods' maps leaves the view as it is; any other replaces it. */
  async #change(): Promise<void> {
    const s = this.#state;
    try {
      const document = this.#document();
      if (!s || !document || !isGrown(s.sources, document)) return await this.#load();
      await null; // as below
      grow(s.sources, document, bytesOf(this.#model.get("_payload")));
    } catch {
      await this.#load(); // it says what is wrong
    }
  }

  #document(): Document | null {
    return JSON.parse((this.#model.get("_document") as string) || "null") as Document | null;
  }

  #results = (): readonly Result[] => (this.#model.get("_results") as readonly Result[] | undefined) ?? [];

  async #load(): Promise<void> {
    const loading = this.#leave();
    await null; // some hosts set one trait after the other: the payload may come next
    let content: Content = "ask";
    try {
      const document = this.#document();
      const sources = document && (await this.#read(document));
      if (loading !== this.#loading) return;
      if (sources) content = this.#follow(createState(sources, this.kernel, this.#results()), document.lesson);
    } catch (error) {
      content = error instanceof Error ? error : new Error(String(error));
    }
    if (loading === this.#loading) this.content.value = content;
  }

  async #read(document: Document): Promise<Explanation[]> {
    const sources = open(document, bytesOf(this.#model.get("_payload")));
    // What is too large for the notebook's file comes by message.
    const apart = sources.filter(({ header }) => !header.blocks.length);
    if (apart.length && this.content.peek() === "ask") this.content.value = "wait";
    await Promise.all(apart.map((e) => this.kernel.want(e, e.header.opening)));
    return sources;
  }

  #follow(s: State, lesson: Document["lesson"]): State {
    this.lesson = lesson;
    if (lesson.length) s.tab.value = "Teach";
    writeTraits(s, this.#told(NAMES));
    this.#state = s;
    const untell = effect(() => this.#tell(readTraits(s)));
    this.#unfollow = () => {
      untell();
      s.end();
    };
    return s;
  }

  #told = (names: readonly (keyof Traits)[]): Partial<Traits> =>
    Object.fromEntries(
      names.map((name) => [name, this.#model.get(name)] as const).filter(([, value]) => value !== undefined),
    );

  /** Hand on what differs, at the kernel's pace. */
  #tell(traits: Traits): void {
    if (this.#listening) return;
    const changed = NAMES.filter((name) => !same(traits[name], this.#model.get(name)));
    for (const name of changed) this.#model.set(name, traits[name]);
    if (!changed.length || this.#unsaved) return;
    this.#unsaved = true;
    this.#timer = setTimeout(() => {
      this.kernel.stir();
      this.#save();
    }, PACE);
  }

  /** A kernel that does not answer hears of it once it does. */
  #save(): void {
    if (!this.#unsaved || !this.kernel.connected.peek()) return;
    this.#unsaved = false;
    this.#model.save_changes();
  }

  /** What the model was told at once is taken in at once. */
  #hear(name: keyof Traits): void {
    if (!this.#news.size) queueMicrotask(() => this.#takeIn());
    this.#news.add(name);
  }

  #takeIn(): void {
    const names = [...this.#news];
    this.#news.clear();
    const s = this.#state;
    if (!s) return;
    const known = untracked(() => readTraits(s));
    // What follows here from one trait (one layer only: so these layers) may be overtaken by what Python sets next.
    this.#listening = true;
    writeTraits(s, this.#told(names.filter((name) => !same(known[name], this.#model.get(name)))));
    this.#listening = false;
  }
}

/** By the Explorer's own id: a host may hand out several objects for one model, and share this module among all. */
const sessions = new Map<string, Session>();

function sessionOf(model: Model): Session {
  const id = String(model.get("_id"));
  const session = sessions.get(id) ?? new Session(model);
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

function show(root: HTMLElement, { kernel, lesson }: Session, content: Content): () => void {
  if (content === "ask") return mountAsk(root, kernel);
  if (content === "wait") return mountWait(root, kernel);
  return content instanceof Error ? complain(root, content) : mount(root, content, lesson);
}

/** Fill a place anew; who was typing there goes on, and else the keys stay with the view. */
function replace(root: HTMLElement, fill: () => void): void {
  const at = (root.getRootNode() as ShadowRoot).activeElement;
  const held = root.contains(at) ? at : null;
  fill();
  const heir = held?.matches("textarea") ? root.querySelector("textarea") : null;
  if (held) (heir ?? root).focus({ preventScroll: true });
}

function render({ model, el: place }: Props): () => void {
  const session = sessionOf(model);
  const root = el("section", { class: "dexar embedded", "aria-label": "Explorer" });
  place.append(el("style", {}, style), root);
  const ends = [shield(root), followTheme(root)];
  let take = () => {};
  const follow = effect(() => {
    const content = session.content.value;
    untracked(() =>
      replace(root, () => {
        take();
        take = show(root, session, content);
      }),
    );
  });
  return () => {
    for (const end of [follow, take, ...ends]) end();
    place.replaceChildren();
  };
}

export default { initialize, render };
