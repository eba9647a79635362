/** A small picture of a map over its image, which has lost most of its colour. */

import { type ReadonlySignal, signal } from "@preact/signals-core";
import { paint, type Scale } from "../colour";
import { el, penOf } from "../dom";
import type { CellMap } from "../maps";
import type { State } from "../state";
import type { Explanation } from "../wire";

/** Longer side in the canvas's own pixels: two for each of the screen's. */
const SIDE = 160;
/** As much colour is left under a map as in Python's figures. */
const COLOUR_LEFT = 0.25;

/** Width and height of every such picture. */
export function pixelsOf({ header: { image } }: Explanation): { width: number; height: number } {
  const zoom = SIDE / Math.max(image.width, image.height);
  return { width: Math.max(1, Math.round(image.width * zoom)), height: Math.max(1, Math.round(image.height * zoom)) };
}

/** The image, small and pale; null until it is decoded. */
function backdrop(e: Explanation): ReadonlySignal<HTMLCanvasElement | null> {
  const found = signal<HTMLCanvasElement | null>(null);
  const canvas = el("canvas", pixelsOf(e));
  const image = el("img");
  image.addEventListener("load", () => {
    const context = penOf(canvas);
    if (!context) return;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "saturation";
    context.fillStyle = `rgb(128 128 128 / ${1 - COLOUR_LEFT})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    found.value = canvas;
  });
  image.src = e.header.image.src;
  return found;
}

export interface Drawn {
  map: CellMap;
  scale: Scale;
}

/** What draws such pictures: the map over the image, or the image alone. */
export function smallPictures(s: State): (canvas: HTMLCanvasElement, drawn: Drawn | null) => void {
  const { image, grid } = s.e.header;
  const [left, top, right, bottom] = grid.box;
  const picture = backdrop(s.e);
  const tile = el("canvas", { width: grid.cols, height: grid.rows });
  return (canvas, drawn) => {
    const [{ smooth, fade }, opacity, behind] = [s.display.value, s.opacity.value, picture.value];
    const [context, cells] = [canvas, tile].map(penOf);
    if (!context || !cells) return;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (behind) context.drawImage(behind, 0, 0);
    if (!drawn) return;
    const pixels = paint(drawn.map, drawn.scale, opacity, fade) as ImageDataArray;
    cells.putImageData(new ImageData(pixels, grid.cols, grid.rows), 0, 0);
    const zoom = canvas.width / image.width;
    context.imageSmoothingEnabled = smooth;
    context.drawImage(tile, left * zoom, top * zoom, (right - left) * zoom, (bottom - top) * zoom);
  };
}
