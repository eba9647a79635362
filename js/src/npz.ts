/** Arrays as a file for `numpy.load`: .npy version 1 inside an uncompressed zip. */

/** Row-major; several lengths make up the shape, none means a single value. */
export interface Column {
  shape: number[];
  data: Float32Array | Float64Array | BigInt64Array | string[];
}

const CRCS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** CRC-32 as zip and PNG have it. */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) crc = CRCS[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

export function join(pieces: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Little-endian numbers, given as [bytes, value] one after the other. */
function record(...fields: [2 | 4, number][]): Uint8Array {
  return Uint8Array.from(
    fields.flatMap(([bytes, value]) => Array.from({ length: bytes }, (_, i) => (value >>> (8 * i)) & 255)),
  );
}

/** One array; texts are UCS-4, padded to the longest. */
export function npy({ shape, data }: Column): Uint8Array {
  const texts = Array.isArray(data) ? data.map((text) => Array.from(text, (letter) => letter.codePointAt(0)!)) : [];
  const longest = Math.max(1, ...texts.map(({ length }) => length));
  const values = Array.isArray(data)
    ? Uint32Array.from(texts.flatMap((text) => [...text, ...Array<number>(longest - text.length).fill(0)]))
    : data;
  const type = Array.isArray(data)
    ? `U${longest}`
    : `${data instanceof BigInt64Array ? "i" : "f"}${data.BYTES_PER_ELEMENT}`;
  const axes = shape.map((length) => `${length},`).join("");
  const header = `{'descr': '<${type}', 'fortran_order': False, 'shape': (${axes}), }`;
  const padded = `${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`;
  return join([
    Uint8Array.of(0x93, ...ascii("NUMPY"), 1, 0),
    record([2, padded.length]),
    ascii(padded),
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  ]);
}

const DAY = 0x21; // 1 January 1980: equal numbers make equal files

export function npz(columns: Record<string, Column>): Uint8Array<ArrayBuffer> {
  const files: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const entries = Object.entries(columns);
  for (const [title, column] of entries) {
    const name = ascii(`${title}.npy`);
    const bytes = npy(column);
    const about: [2 | 4, number][] = [
      [4, 20], // needed version 2.0, no flags
      [2, 0], // stored as it is
      [2, 0],
      [2, DAY],
      [4, crc32(bytes)],
      [4, bytes.length],
      [4, bytes.length],
      [2, name.length],
      [2, 0],
    ];
    const file = join([record([4, 0x04034b50], ...about), name, bytes]);
    directory.push(record([4, 0x02014b50], [2, 20], ...about, [2, 0], [4, 0], [4, 0], [4, at]), name);
    files.push(file);
    at += file.length;
  }
  const index = join(directory);
  const end = record([4, 0x06054b50], [4, 0], [2, entries.length], [2, entries.length], [4, index.length], [4, at]);
  return join([...files, index, end, record([2, 0])]);
}
