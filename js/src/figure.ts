/** What is shown as a picture of its own: image, map, legend and settings, as SVG or drawn from it as PNG. */

import { paint, table } from "./colour";
import { svg } from "./dom";
import { record, settingsLine, shownSide, unitOf, wordsOf } from "./facts";
import { cellBox, outlinePath } from "./region";
import { shownScale, ticksOf } from "./scale";
import type { State } from "./state";

/** A small image is enlarged by a whole factor, so that its caption can be read. */
const LEAST_WIDTH = 360;

/** `overlay`: the map as it is drawn on the screen. */
export function svgOf(s: State, overlay: HTMLCanvasElement): SVGElement {
  const { image, grid } = s.e.header;
  const zoom = Math.ceil(LEAST_WIDTH / image.width);
  const [width, high] = [image.width * zoom, image.height * zoom];
  const size = Math.max(13, Math.round(width / 44));
  const caption = captionOf(s, width - 2 * size, size);
  const height = Math.ceil(high + size * (5.5 + 1.4 * caption.length)); // whole, or every pixel is a mixture
  const layer = svg("g", {}, ...(s.display.value.smooth ? [smooth(overlay, grid.box)] : cells(s)));
  layer.style.mixBlendMode = s.display.value.blend; // the page's policy forbids the attribute
  const scaled = svg(
    "g",
    { transform: `scale(${zoom})` },
    svg("image", {
      href: image.src,
      width: image.width,
      height: image.height,
      preserveAspectRatio: "none",
      "image-rendering": zoom > 1 ? "pixelated" : undefined,
    }),
    layer,
    outline(s),
  );
  const lines = caption.map((line, i) =>
    svg("text", { x: size, y: high + size * (5.9 + 1.4 * i), "font-weight": i ? undefined : 600 }, line),
  );
  return svg(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` },
    svg("title", {}, printable(wordsOf(shownSide(s)))),
    svg("metadata", {}, printable(JSON.stringify(record(s)))),
    svg("rect", { width, height, fill: "#fff" }),
    scaled,
    svg(
      "g",
      { "font-family": "system-ui, sans-serif", "font-size": size, fill: "#1a1d22" },
      ...legend(s, high, width, size),
      ...lines,
    ),
  );
}

function smooth(overlay: HTMLCanvasElement, [left, top, right, bottom]: readonly number[]): SVGElement {
  return svg("image", {
    href: overlay.toDataURL(),
    x: left,
    y: top,
    width: right! - left!,
    height: bottom! - top!,
    preserveAspectRatio: "none",
  });
}

/** One rectangle per cell, its value as its title. */
function cells(s: State): SVGElement[] {
  const scale = shownScale(s);
  if (scale.high <= scale.low) return [];
  const rgba = paint(s.map.value, scale, s.opacity.value, s.display.value.fade);
  return Array.from(s.map.value, (value, cell) => {
    const [x, y, width, height] = cellBox(s.e.header, cell);
    return svg(
      "rect",
      {
        x,
        y,
        width,
        height,
        fill: `rgb(${rgba.slice(4 * cell, 4 * cell + 3)})`,
        "fill-opacity": (rgba[4 * cell + 3]! / 255).toFixed(3),
        "shape-rendering": "crispEdges",
      },
      svg("title", {}, String(value)),
    );
  });
}

function outline(s: State): SVGElement | null {
  const region = s.region.value;
  if (!region) return null;
  const d = outlinePath(s.e.header, region);
  const border = { d, fill: "none", "vector-effect": "non-scaling-stroke" };
  return svg(
    "g",
    {},
    svg("path", { ...border, stroke: "#000", "stroke-width": 3 }),
    svg("path", { ...border, stroke: "#fff", "stroke-width": 1.5 }),
  );
}

function legend(s: State, top: number, width: number, size: number): SVGElement[] {
  const scale = shownScale(s);
  const rgb = table(scale.colours);
  const stops = Array.from({ length: 18 }, (_, i) => {
    const at = 45 * i;
    return svg("stop", { offset: i / 17, "stop-color": `rgb(${rgb.slice(at, at + 3)})` });
  });
  const length = width - 2 * size;
  const ticks = ticksOf(scale, s.map.value).map((label, i) =>
    svg("text", { x: size + (length * i) / 2, y: top + size * 3, "text-anchor": ["start", "middle", "end"][i] }, label),
  );
  return [
    svg("linearGradient", { id: "scale" }, ...stops),
    svg("rect", { x: size, y: top + size, width: length, height: size * 0.8, fill: "url(#scale)" }),
    ...ticks,
    svg("text", { x: size, y: top + size * 4.3 }, unitOf(shownSide(s))),
  ];
}

function captionOf(s: State, room: number, size: number): string[] {
  const { header } = s.e;
  return [
    wordsOf(shownSide(s)),
    `${header.question} → ${header.answer}`,
    settingsLine(shownSide(s)),
    `${header.provenance.model ?? ""} · dexar_widgets`,
  ].flatMap((text) => wrap(printable(text), Math.floor(room / (0.56 * size))));
}

/** Lines of at most so many letters; broad ones count twice, and a word that is longer is cut. */
export function wrap(text: string, most: number): string[] {
  const lines: string[] = [];
  let [line, length] = ["", 0];
  for (const word of text.split(/\s+/u))
    for (const part of word.match(new RegExp(`.{1,${most}}`, "gu")) ?? []) {
      const wide = Array.from(part, (letter) => (letter > "\u1100" ? 2 : 1)).reduce<number>((a, b) => a + b, 1);
      if (line && length + wide > most) {
        lines.push(line);
        [line, length] = ["", 0];
      }
      line += (line && " ") + part;
      length += wide;
    }
  return line ? [...lines, line] : lines;
}

/** Text without the characters that XML forbids. */
const printable = (text: string): string =>
  text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD");

export const markup = (figure: SVGElement): string => new XMLSerializer().serializeToString(figure);

/** The same picture in pixels: the image's own, or a whole number of times as many. */
export async function pngOf(figure: SVGElement): Promise<Blob> {
  const picture = new Image();
  picture.src = `data:image/svg+xml,${encodeURIComponent(markup(figure))}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  canvas.getContext("2d")!.drawImage(picture, 0, 0);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large to be drawn here.")))),
  );
}
