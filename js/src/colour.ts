/** Values to colours. The stops are those of Python's `figures.py`, so that paper and screen agree. */

import stops from "./colour_stops.json";
import { extent, percentile } from "./maps";

export type ColourName = keyof typeof stops;

export const SEQUENTIAL: { name: ColourName; label: string }[] = [
  { name: "cividis", label: "Cividis" },
  { name: "viridis", label: "Viridis" },
  { name: "inferno", label: "Inferno" },
  { name: "grey", label: "Grey" },
];
/** For maps with negative values; its middle is zero. */
export const DIVERGING: ColourName = "blue_red";

const decoded = new Map<ColourName, Uint8Array>();

/** 256 RGB triples, lowest value first: straight lines between equidistant stops. */
export function table(name: ColourName): Uint8Array {
  const known = decoded.get(name);
  if (known) return known;
  const colours = stops[name].split(" ").map((stop) => Number.parseInt(stop, 16));
  const rgb = Uint8Array.from({ length: 768 }, (_, i) => {
    const at = (Math.floor(i / 3) * (colours.length - 1)) / 255;
    const low = Math.min(Math.floor(at), colours.length - 2);
    const channel = (stop: number) => (colours[stop]! >> (16 - 8 * (i % 3))) & 255;
    return Math.round(channel(low) + (at - low) * (channel(low + 1) - channel(low)));
  });
  decoded.set(name, rgb);
  return rgb;
}

export interface Scale {
  colours: ColourName;
  low: number;
  high: number;
}

/**
 * From the values' least to their largest, or to a percentile that lies above the least; about zero where they have
 * both signs.
 */
export function scaleOf(values: ArrayLike<number>, sequential: ColourName, clip = 100): Scale {
  const [low, high] = extent(values);
  if (low >= 0) {
    const top = percentile(values, clip);
    return { colours: sequential, low, high: top > low ? top : high };
  }
  const reach = percentile(Array.from(values, Math.abs), clip) || Math.max(-low, high);
  return { colours: DIVERGING, low: -reach, high: reach };
}

/** A value's entry in the 256-colour table, held at its ends; 0 throughout for a constant map. */
export function indexOf(value: number, { low, high }: Scale): number {
  return high > low ? Math.min(255, Math.max(0, Math.round((255 * (value - low)) / (high - low)))) : 0;
}

/** RGBA pixels; with `fade`, what is low (or near zero, on a signed scale) lets the image through. */
export function paint(
  values: ArrayLike<number>,
  scale: Scale,
  opacity: number,
  fade: boolean,
  pixels: Uint8ClampedArray = new Uint8ClampedArray(4 * values.length),
): Uint8ClampedArray {
  const rgb = table(scale.colours);
  const rgba = new Uint8ClampedArray(4 * 256);
  for (let i = 0; i < 256; i++) {
    rgba.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
    rgba[4 * i + 3] = 255 * opacity * (fade ? presence(i, scale) : 1);
  }
  const colours = new Uint32Array(rgba.buffer);
  const words = new Uint32Array(pixels.buffer);
  const { low, high } = scale;
  const factor = high > low ? 255 / (high - low) : 0; // `indexOf` for every pixel, 100 000 of them in a frame
  for (let i = 0; i < values.length; i++) {
    const at = factor * (values[i]! - low) + 0.5;
    words[i] = colours[at < 255 ? (at > 0 ? at | 0 : 0) : 255]!;
  }
  return pixels;
}

function presence(index: number, { low }: Scale): number {
  const unit = index / 255;
  return low < 0 ? Math.abs(2 * unit - 1) : Math.min(1, 0.1 + 1.2 * unit);
}

/** The scale from left to right, as a CSS gradient. */
export function gradient({ colours }: Pick<Scale, "colours">): string {
  const rgb = table(colours);
  const stops = [0, 32, 64, 96, 128, 160, 192, 224, 255].map(
    (at) => `rgb(${rgb[3 * at]} ${rgb[3 * at + 1]} ${rgb[3 * at + 2]}) ${((100 * at) / 255).toFixed(1)}%`,
  );
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
