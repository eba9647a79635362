/** The layers passing by one after another. */

import { batch, signal } from "@preact/signals-core";
import { bind, button, checkbox, el, select, watch } from "../dom";
import { moveLayer, type State } from "../state";

/** Layers per second. */
const SPEEDS = ["1", "2", "4", "8"] as const;
/** With reduced motion asked for, a layer stands at least this many milliseconds. */
const CALM = 2000;

export function playing(s: State): HTMLElement {
  const speed = signal<(typeof SPEEDS)[number]>("4");
  const loop = signal(false);
  const toggle = button("Play", () => {
    s.playing.value = !s.playing.value;
  });
  watch(() => {
    toggle.textContent = s.playing.value ? "Pause" : "Play";
  });
  watch(() => {
    if (!s.playing.value) return;
    if (atEnd(s)) toStart(s);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches ? CALM : 0;
    const timer = setInterval(() => advance(s, loop.peek()), Math.max(1000 / Number(speed.value), calm));
    return () => clearInterval(timer);
  });
  return el(
    "span",
    { class: "row" },
    toggle,
    select(
      "Speed",
      SPEEDS.map((value) => ({ value, label: `${value} per second` })),
      bind(speed),
    ),
    checkbox("Loop", bind(loop)),
  );
}

/** All layers at once have nowhere to go: they are played one by one. */
const isWhole = (s: State): boolean =>
  s.layerMode.peek() === "range" && s.from.peek() === 0 && s.to.peek() === s.e.size.layers - 1;

const atEnd = (s: State): boolean => s.to.peek() === s.e.size.layers - 1;

function toStart(s: State): void {
  batch(() => {
    if (isWhole(s)) s.layerMode.value = "single";
    const width = s.layerMode.peek() === "range" ? s.to.peek() - s.from.peek() : 0;
    s.from.value = 0;
    s.to.value = width;
  });
}

/** One layer on; at the end from the start again, or a stop. */
function advance(s: State, loop: boolean): void {
  if (!atEnd(s)) moveLayer(s, 1);
  else if (loop) toStart(s);
  else s.playing.value = false;
}
