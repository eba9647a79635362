/** The scene builder: a drawn scene to change by hand, a list of its things, and a question. */

import style from "./builder.style.css";
import { ARROWS, bind, button, el, fill, hint, newId, scoped, select, setAll, slider, watch } from "./dom";
import type { Model } from "./kernel";
import { shield } from "./keys";
import { look, Scene, type Thing } from "./scene";
import { followTheme } from "./theme";

const STEP = 1 / 48;
const SIZES = { min: 0.1, max: 0.6, step: 0.01 };

function mount(root: HTMLElement, scene: Scene): () => void {
  const [parts, end] = scoped(() => [stage(scene), el("div", { class: "side" }, listed(scene), asking(scene))]);
  root.replaceChildren(el("div", { class: "columns" }, ...parts));
  return end;
}

/** The scene, with its things to be dragged. */
function stage(scene: Scene): HTMLElement {
  const ground = el("img", { alt: "", class: "ground", draggable: false });
  const place = el("div", { class: "layers" });
  watch(() => setAll(ground, { src: scene.pictures.value.ground || undefined }));
  fill(
    place,
    () => scene.count.value,
    (count) => Array.from({ length: count }, (_, index) => handle(scene, index)),
  );
  const box = el("div", { class: "stage", role: "group", "aria-label": "The scene" }, ground, place);
  return el("div", { class: "panel" }, box, hint("Drag things, or choose one and press arrow keys, + or −, Delete."));
}

function handle(scene: Scene, index: number): HTMLElement {
  const picture = el("img", { alt: "", draggable: false });
  const node = button("", () => {}, { class: "thing" });
  node.append(picture);
  watch(() => {
    const thing = scene.things.value[index];
    if (!thing) return;
    const url = scene.pictures.value.by.get(look(thing));
    if (url) setAll(picture, { src: url }); // until the kernel has drawn it anew, as it was
    node.style.left = `${100 * (thing.x - thing.size / 2)}%`;
    node.style.top = `${100 * (thing.y - thing.size / 2)}%`;
    node.style.width = `${100 * thing.size}%`;
    node.style.zIndex = String(thing.name === "tracks" ? 0 : scene.world.props.includes(thing.name) ? 2 : 1);
    setAll(node, { "aria-label": described(thing), "aria-pressed": scene.chosen.value === index });
  });
  node.addEventListener("focus", () => {
    scene.chosen.value = index;
  });
  node.addEventListener("pointerdown", (event) => drag(scene, index, node, event));
  node.addEventListener("keydown", (event) => press(scene, index, event));
  return node;
}

const described = ({ name, colour, x, y }: Thing): string =>
  `${colour} ${name}, ${Math.round(100 * x)} % from the left, ${Math.round(100 * y)} % from the top`;

function drag(scene: Scene, index: number, node: HTMLElement, start: PointerEvent): void {
  const thing = scene.things.peek()[index];
  const side = node.closest(".stage")?.clientWidth;
  if (!thing || !side || start.button !== 0) return;
  start.preventDefault(); // no selection, no native drag
  node.focus({ preventScroll: true });
  node.setPointerCapture(start.pointerId);
  const move = ({ clientX, clientY }: PointerEvent) =>
    scene.move(index, thing.x + (clientX - start.clientX) / side, thing.y + (clientY - start.clientY) / side);
  const end = new AbortController();
  node.addEventListener("pointermove", move, { signal: end.signal });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
    node.addEventListener(name, () => end.abort(), { signal: end.signal });
}

function press(scene: Scene, index: number, event: KeyboardEvent): void {
  const thing = scene.things.peek()[index];
  if (!thing || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (arrow) scene.move(index, thing.x + arrow[1] * STEP, thing.y + arrow[0] * STEP);
  else if (event.key === "+" || event.key === "-") resize(scene, index, event.key === "+" ? STEP : -STEP);
  else if (event.key === "Delete" || event.key === "Backspace") scene.remove(index);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

const resize = (scene: Scene, index: number, by: number): void => {
  const size = (scene.things.peek()[index]?.size ?? 0) + by;
  scene.change(index, { size: Math.min(SIZES.max, Math.max(SIZES.min, size)) });
};

/** Background, the things one by one, and more of them. */
function listed(scene: Scene): HTMLElement {
  const { backgrounds, objects, props } = scene.world;
  const rows = el("ul", { class: "things" });
  fill(
    rows,
    () => scene.count.value,
    (count) => Array.from({ length: count }, (_, index) => line(scene, index)),
  );
  const named = (names: string[]) => names.map((value) => ({ value, label: value }));
  const id = newId("add");
  const more = el(
    "select",
    { id },
    el("option", { value: "" }, "Add …"),
    el("optgroup", { label: "objects" }, ...objects.map((name) => el("option", { value: name }, name))),
    el(
      "optgroup",
      { label: "props, which no caption names" },
      ...props.map((name) => el("option", { value: name }, name)),
    ),
  );
  more.addEventListener("change", () => {
    if (more.value) scene.add(more.value);
    more.value = "";
  });
  watch(() => {
    const full = scene.objects.value >= scene.world.most;
    for (const option of more.querySelectorAll("optgroup")[0]?.children ?? []) setAll(option, { disabled: full });
  });
  const above = el("p", { class: "hint" });
  watch(() => {
    above.hidden = scene.objects.value <= scene.world.trained;
    above.textContent = `More than ${scene.world.trained} objects: the models were trained on scenes of at most that many.`;
  });
  return el(
    "div",
    { class: "panel" },
    el(
      "div",
      { class: "row" },
      select("Background", named(backgrounds), bind(scene.background)),
      el("label", { for: id, class: "tag" }, "Add a thing"),
      more,
      button("Another scene", () => scene.request("another")),
      button("As it was", () => scene.request("first")),
    ),
    rows,
    above,
  );
}

function line(scene: Scene, index: number): HTMLElement {
  const { world } = scene;
  const thing = () => scene.things.value[index];
  const kind = world.props.includes(scene.things.peek()[index]?.name ?? "") ? world.props : world.objects;
  const control = <K extends "name" | "colour">(field: K) => ({
    get: () => thing()?.[field] ?? "",
    set: (value: string) =>
      scene.change(
        index,
        field === "name" && "look" in (thing() ?? {}) ? { name: value, look: null } : { [field]: value },
      ),
  });
  const choices = (names: string[]) => names.map((value) => ({ value, label: value }));
  const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
  const name = select("", choices(kind), control("name"));
  const colour = select("", choices(Object.keys(world.colours)), control("colour"));
  const size = slider(
    "",
    SIZES,
    { get: () => thing()?.size ?? 0, set: (value) => scene.change(index, { size: value }) },
    (value) => `${Math.round(100 * value)} %`,
  );
  for (const [field, label] of [
    [name, "kind"],
    [colour, "colour"],
    [size, "size, in % of the scene’s side"],
  ] as const)
    setAll(field.querySelector("select, input") as Element, { "aria-label": `Thing ${index + 1}: ${label}` });
  const remove = button("×", () => scene.remove(index), { "aria-label": `Remove thing ${index + 1}`, title: "Remove" });
  const row = el("li", {}, swatch, colour, name, size, remove);
  row.addEventListener("focusin", () => {
    scene.chosen.value = index;
  });
  watch(() => {
    swatch.style.background = world.colours[thing()?.colour ?? ""] ?? "none";
    row.classList.toggle("chosen", scene.chosen.value === index);
  });
  return row;
}

/** The question, and the true answer for who wants to see it. */
function asking(scene: Scene): HTMLElement {
  const { model } = scene.world;
  const [id, known] = [newId("ask"), newId("known")];
  const box = el("input", { id, type: "text", list: known, autocomplete: "off" });
  box.addEventListener("input", () => {
    scene.prompt.value = box.value;
  });
  const act = () => {
    if (model && scene.prompt.peek().trim()) scene.request("ask");
  };
  box.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && act());
  const go = button("Ask", act);
  const said = el("p", { class: "status", role: "status" });
  const list = el("datalist", { id: known });
  const truth = el("p");
  watch(() => {
    box.value = scene.prompt.value;
    go.disabled = !model || !scene.prompt.value.trim();
    list.replaceChildren(...Object.keys(scene.truths.value).map((value) => el("option", { value })));
    truth.textContent =
      scene.truths.value[scene.prompt.value] ?? "No true answer is known to this question; one of the list has one.";
  });
  watch(() => {
    said.textContent = scene.said.value || (model ? "" : "No model to ask: SceneBuilder(vlm) brings one.");
  });
  return el(
    "div",
    { class: "panel asking" },
    el("div", { class: "row" }, el("label", { for: id, class: "tag" }, "Ask"), box, go, list),
    said,
    el("details", {}, el("summary", {}, "The true answer"), truth),
  );
}

interface Props {
  model: Model;
  el: HTMLElement;
}

function render({ model, el: place }: Props): () => void {
  const root = el("section", { class: "dexar embedded builder", "aria-label": "Scene builder" });
  place.append(el("style", {}, style), root);
  const scene = new Scene(model);
  const ends = [mount(root, scene), () => scene.end(), shield(root), followTheme(root)];
  return () => {
    for (const end of ends) end();
    place.replaceChildren();
  };
}

export default { render };
