/** Lessons: captions that lead through views, with controls locked and guesses made before the map is shown. */

import { batch, type Signal, signal, untracked } from "@preact/signals-core";
import { button, el, fill, setAll, watch } from "../dom";
import { cellName, plural, quoted } from "../format";
import { viewOf } from "../history";
import { builtInLesson } from "../lesson";
import { extent, rankOf } from "../maps";
import { cellCoverage } from "../region";
import type { State } from "../state";
import { type Traits, writeTraits } from "../traits";
import type { LessonStep } from "../wire";

type Quiz = NonNullable<LessonStep["quiz"]>;

interface Lesson {
  steps: readonly LessonStep[];
  /** The step that is shown; null before the start and after the end. */
  at: Signal<number | null>;
  /** The choice or the cell that was guessed; null until then, −1 for none. */
  guess: Signal<number | null>;
  /** The last key that was pressed and is locked. */
  refused: Signal<string>;
  /** Where a lesson that was left goes on. */
  left: number;
  /** The view that the first step begins with. */
  base: Partial<Traits>;
}

const lessons = new WeakMap<State, Lesson>();

/** All views of one state are at the same step. */
function lessonOf(s: State, given: readonly LessonStep[]): Lesson {
  const known = lessons.get(s);
  if (known) return known;
  const lesson: Lesson = {
    steps: given.length ? given : builtInLesson(s),
    at: signal<number | null>(null),
    guess: signal<number | null>(null),
    refused: signal(""),
    left: 0,
    base: viewOf(s),
  };
  lessons.set(s, lesson);
  if (given[0]?.quiz) go(s, lesson, 0); // who has seen the map cannot guess any more
  return lesson;
}

/** Show a step: the view is what all steps up to it have set, whichever way it was reached. */
function go(s: State, lesson: Lesson, at: number): void {
  const step = lesson.steps[at];
  batch(() => {
    s.playing.value = false;
    s.picked.value = null;
    lesson.at.value = step ? at : null;
    lesson.guess.value = null;
    lesson.refused.value = "";
    lesson.left = step ? at : 0;
    s.locked.value = !!step?.lock;
    s.veiled.value = !!step?.quiz;
    if (!step) return;
    writeTraits(s, lesson.base);
    for (const { state } of lesson.steps.slice(0, at + 1)) writeTraits(s, state ?? {});
  });
}

/** Say that a key is locked. */
export function refuse(s: State, key: string): void {
  const lesson = lessons.get(s);
  if (lesson) lesson.refused.value = key;
}

function answer(s: State, lesson: Lesson, guess: number): void {
  batch(() => {
    lesson.guess.value = guess;
    s.veiled.value = false;
  });
}

export function teachPanel(s: State, given: readonly LessonStep[]): HTMLElement {
  const lesson = untracked(() => lessonOf(s, given));
  const { steps, at } = lesson;
  const figure = el("span", { class: "figure", role: "status" });
  const place = el("div");
  const locked = el("p", { class: "hint", role: "status" });
  const back = button("Back", () => at.value && go(s, lesson, at.value - 1), { class: "back" });
  const turn = () => {
    const begins = at.value === null;
    onward(s, lesson);
    if (begins) panel.scrollIntoView?.({ block: "nearest" }); // a lesson that runs stands further up
  };
  const next = button("", turn, { class: "next" });
  const panel = el(
    "section",
    { class: "panel lesson", "aria-label": "Lesson" },
    el("div", { class: "head" }, el("h2", {}, "Lesson"), figure),
    place,
    locked,
    el("div", { class: "row" }, back, next),
  );
  fill(
    place,
    () => at.value,
    (now) => (now === null ? [el("p", {}, OPENING)] : shown(s, lesson, steps[now]!)),
  );
  watch(() => {
    const now = at.value;
    panel.classList.toggle("running", now !== null);
    figure.textContent = now === null ? plural(steps.length, "step") : `${now + 1} of ${steps.length}`;
    back.hidden = now === null;
    setAll(back, { "aria-disabled": String(!now) });
    next.textContent = nextName(s, lesson);
  });
  watch(() => sayLocked(s, lesson, locked));
  watch(() => () => leave(s, lesson));
  return panel;
}

function sayLocked(s: State, { refused }: Lesson, line: HTMLElement): void {
  line.hidden = !s.locked.value;
  line.classList.toggle("refused", !!refused.value);
  line.textContent = refused.value
    ? `Locked by the lesson: ${refused.value}. Esc unlocks.`
    : "The other controls are locked for this step; Esc unlocks them.";
}

const OPENING = "Each step has a caption and sets the view; some hide the map until you have guessed.";

function nextName(s: State, { at, left, steps }: Lesson): string {
  if (at.value === null) return left ? `Go on with step ${left + 1}` : "Start";
  if (s.veiled.value) return "Show the map";
  return at.value + 1 < steps.length ? "Next" : "End";
}

function onward(s: State, lesson: Lesson): void {
  const at = lesson.at.value;
  if (at === null) {
    if (!lesson.left) lesson.base = viewOf(s);
    go(s, lesson, lesson.left);
  } else if (s.veiled.value) answer(s, lesson, -1);
  else go(s, lesson, at + 1);
}

/** The lesson waits, and nothing stays locked or hidden. */
function leave(s: State, lesson: Lesson): void {
  const { left } = lesson;
  go(s, lesson, -1);
  lesson.left = left;
}

function shown(s: State, lesson: Lesson, { text, quiz }: LessonStep): HTMLElement[] {
  return [el("p", { class: "caption", role: "status" }, text), ...(quiz ? [question(s, lesson, quiz)] : [])];
}

function question(s: State, lesson: Lesson, quiz: Quiz): HTMLElement {
  const verdict = el("p", { class: "verdict", role: "status" });
  const choices = (quiz.choices ?? []).map((choice, i) => {
    const made = button(choice, () => s.veiled.value && answer(s, lesson, i));
    watch(() => made.setAttribute("aria-pressed", String(lesson.guess.value === i)));
    return made;
  });
  watch(() => {
    const { value } = lesson.guess;
    const judge = quiz.choices ? judgeChoice : judgeCell;
    verdict.textContent = value === null ? "" : judge(s, quiz, value);
  });
  watch(() => {
    if (!quiz.choices && s.veiled.value && s.picked.value !== null) answer(s, lesson, s.picked.value);
  });
  return el(
    "div",
    { class: "quiz" },
    el("p", {}, quiz.question),
    choices.length ? el("div", { class: "row" }, ...choices) : el("p", { class: "hint" }, HOW),
    verdict,
  );
}

const HOW = "Click on the image, or move over it with the arrow keys and press Enter. The map is hidden until then.";

function judgeChoice(_: State, { choices, answer: right }: Quiz, guess: number): string {
  if (typeof right !== "number") return "";
  const said = `it is ${quoted(choices![right] ?? "")}.`;
  if (guess < 0) return `The answer: ${said}`;
  return guess === right ? `Right: ${said}` : `Not quite: ${said}`;
}

/** How near a cell is: its rank on the map, and whether it lies in the box that was asked for. */
function judgeCell(s: State, { answer: box }: Quiz, cell: number): string {
  if (cell < 0) return "";
  const map = s.map.value;
  const [low, high] = extent(map);
  const ranked = s.shown.value.missing?.length === 0 && low < high;
  const rank = rankOf(map, cell);
  const there = rank === 1 ? "is the map’s peak" : `has rank ${rank} of ${s.e.size.cells} cells`;
  const near = ranked ? there : "is on no map";
  const where = `Your guess, ${cellName(s.e, cell)}, ${near}.`;
  if (!Array.isArray(box)) return where;
  const cover = cellCoverage(s.e.header, box);
  const within = cover[cell]! >= extent(cover)[1] / 2; // of a box smaller than a cell no cell lies in it whole
  const place = !cover[cell] ? "misses" : within ? "lies in" : "touches";
  const weak = place === "lies in" && ranked && map[cell]! < map.reduce((a, b) => a + b, 0) / map.length;
  return `${where} It ${place} the part that was asked for${weak ? ", yet the map is weak there" : ""}.`;
}
