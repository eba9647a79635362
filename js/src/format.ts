/** Numbers and names as sentences use them. */

import type { Explanation } from "./wire";

/** Three significant digits; powers of ten only where plain digits would be unreadable. */
export function number(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2).replaceAll("-", "−").replace("e+", "e");
  return value.toPrecision(3).replace(/^-/, "−");
}

/** Two decimals, and no minus before zero. */
export const nats = (lost: number): string => (Math.round(100 * lost) / 100 + 0).toFixed(2).replace("-", "−");

export const percent = (share: number): string => `${Math.round(100 * share)} %`;

export const quoted = (text: string): string => `“${text.trim() || "␣"}”`;

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** A token's piece, without the marks that tokenisers put for spaces. */
export function piece(text: string): string {
  return text.replace(/^[▁Ġ ]+/u, "") || "␣";
}

export function listed(items: string[], most = 6): string {
  const shown = items.slice(0, most);
  const rest = items.length - shown.length;
  if (rest > 0) return `${shown.join(", ")} and ${rest} more`;
  return shown.length > 1 ? `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}` : (shown[0] ?? "");
}

/** A cell by its row and column, counted from 1. */
export function cellName({ header: { grid } }: Explanation, cell: number): string {
  return `row ${Math.floor(cell / grid.cols) + 1}, column ${(cell % grid.cols) + 1}`;
}

/** Where a cell lies, in words. */
export function place(e: Explanation, cell: number): string {
  const { rows, cols } = e.header.grid;
  const vertical = third((Math.floor(cell / cols) + 0.5) / rows, "upper", "middle", "lower");
  const horizontal = third(((cell % cols) + 0.5) / cols, "left", "centre", "right");
  return vertical === "middle" && horizontal === "centre" ? "centre" : `${vertical} ${horizontal}`;
}

const third = (at: number, low: string, mid: string, high: string): string =>
  at < 1 / 3 ? low : at > 2 / 3 ? high : mid;

/** Memory to two or three digits. */
export function bytes(count: number): string {
  const at = count < 1e3 ? 0 : count < 1e6 ? 1 : count < 1e9 ? 2 : 3;
  const value = count / 1e3 ** at;
  return `${at && value < 10 ? value.toFixed(1) : Math.round(value)} ${["B", "kB", "MB", "GB"][at]}`;
}
