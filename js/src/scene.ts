/** A scene as its builder has it. Moving things needs no kernel; the kernel draws them anew, and asks the model. */

import { computed, effect, type Signal, signal } from "@preact/signals-core";
import { bytesOf, type Model, PATIENCE } from "./kernel";
import { same } from "./results";

/** An object or a prop, as Python's `SceneObject` and `Prop` have it: centre and size in sides of the scene. */
export interface Thing {
  name: string;
  colour: string;
  x: number;
  y: number;
  size: number;
  [field: string]: unknown;
}

interface World {
  objects: string[];
  props: string[];
  colours: Record<string, string>;
  backgrounds: string[];
  /** How many objects the models saw at most, and how many there can be. */
  trained: number;
  most: number;
  model: string;
}

/** How often, in milliseconds, the kernel hears of a change. */
const PACE = 50;

/** The scene as this view has it; the model's traits follow, and are followed. */
export class Scene {
  world: World;
  things: Signal<readonly Thing[]>;
  background: Signal<string>;
  prompt: Signal<string>;
  truths: Signal<Record<string, string>>;
  chosen: Signal<number>;
  /** What the kernel is doing, or why it does not. */
  said = signal("");
  /** The empty background's picture, and each thing's by its look. */
  pictures = signal<{ ground: string; by: ReadonlyMap<string, string> }>({ ground: "", by: new Map() });
  count = computed(() => this.things.value.length);
  objects = computed(() => this.things.value.filter(({ name }) => this.world.objects.includes(name)).length);
  #model: Model;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #urls: string[] = [];
  #ends: (() => void)[] = [];

  constructor(model: Model) {
    this.#model = model;
    const of = <T>(name: string): T => model.get(name) as T;
    this.world = of<World>("_world");
    this.things = signal(of<Thing[]>("things"));
    this.background = signal(of<string>("background"));
    this.prompt = signal(of<string>("prompt"));
    this.truths = signal(of<Record<string, string>>("truths"));
    this.chosen = signal(this.things.value.length ? 0 : -1);
    this.#draw();
    this.#on("msg:custom", (message: { kind?: string; message?: string }) => {
      clearTimeout(this.#patience);
      this.said.value = message.kind === "error" ? (message.message ?? "") : "";
    });
    for (const name of ["things", "background", "prompt", "truths"] as const)
      this.#on(`change:${name}`, () => {
        const [mine, told] = [this[name] as Signal<unknown>, this.#model.get(name)];
        if (!same(mine.peek(), told)) mine.value = told;
      });
    this.#on("change:_drawn", () => this.#draw());
    for (const name of ["things", "background", "prompt"] as const)
      this.#ends.push(effect(() => this.#tell(name, this[name].value)));
  }

  end(): void {
    for (const end of this.#ends) end();
    clearTimeout(this.#timer);
    clearTimeout(this.#patience);
    for (const url of this.#urls) URL.revokeObjectURL(url);
  }

  /** Have the kernel do something. */
  request(kind: "ask" | "another" | "first"): void {
    this.said.value = kind === "ask" ? "Asked; the Explorer shows the answer." : "";
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => {
      this.said.value = "The kernel does not answer: it is busy, or gone. Things can still be moved.";
    }, PATIENCE);
    this.#flush();
    try {
      this.#model.send({ kind });
    } catch {
      clearTimeout(this.#patience);
      this.said.value = "There is no kernel behind this view: run its cell again to ask.";
    }
  }

  change(index: number, to: Partial<Thing>): void {
    this.things.value = this.things.value.map((thing, i) => (i === index ? { ...thing, ...to } : thing));
  }

  move(index: number, x: number, y: number): void {
    this.change(index, { x: within(x), y: within(y) });
  }

  /** One more, in a colour and at a place that are free. */
  add(name: string): void {
    const used = this.things.value.map(({ colour }) => colour);
    const colour = Object.keys(this.world.colours).find((one) => !used.includes(one)) ?? used[0] ?? "red";
    const [x, y] = free(this.things.value);
    const thing = { name, colour: this.world.props.includes(name) ? "white" : colour, x, y, size: 0.28 };
    this.things.value = [...this.things.value, thing];
    this.chosen.value = this.things.value.length - 1;
  }

  remove(index: number): void {
    this.things.value = this.things.value.filter((_, i) => i !== index);
    this.chosen.value = Math.min(this.chosen.value, this.things.value.length - 1);
  }

  #on(event: string, listen: (...args: never[]) => void): void {
    this.#model.on(event, listen);
    this.#ends.push(() => this.#model.off(event, listen));
  }

  #tell(name: string, value: unknown): void {
    if (same(value, this.#model.get(name))) return;
    this.#model.set(name, value);
    this.#timer ??= setTimeout(() => this.#flush(), PACE);
  }

  #flush(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#model.save_changes();
  }

  #draw(): void {
    const { things, ends } = this.#model.get("_drawn") as { things: Thing[]; ends: number[] };
    const bytes = bytesOf(this.#model.get("_pictures"));
    const urls = ends.map((end, i) => {
      const part = bytes.slice(ends[i - 1] ?? 0, end);
      return URL.createObjectURL(new Blob([part], { type: "image/png" }));
    });
    this.pictures.value = {
      ground: urls[0] ?? "",
      by: new Map(things.map((one, i) => [look(one), urls[i + 1] ?? ""])),
    };
    const before = this.#urls;
    this.#urls = urls;
    setTimeout(() => before.forEach((url) => void URL.revokeObjectURL(url)), 1000); // once the new ones are shown
  }
}

const within = (place: number): number => Math.min(1, Math.max(0, Math.round(place * 384) / 384));

/** What a thing's picture depends on. */
export const look = ({ x: _x, y: _y, ...rest }: Thing): string => JSON.stringify(Object.entries(rest).sort());

/** The middle of the widest gap, on a coarse grid. */
function free(things: readonly Thing[]): [number, number] {
  const places = [0.2, 0.5, 0.8].flatMap((y) => [0.2, 0.5, 0.8].map((x) => [x, y] as [number, number]));
  const room = ([x, y]: [number, number]) => Math.min(9, ...things.map((one) => Math.hypot(one.x - x, one.y - y)));
  return places.reduce((best, place) => (room(place) > room(best) ? place : best));
}
