import { describe, expect, it } from "vitest";
import { crc32, npy, npz } from "../src/npz";

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

describe("an array file", () => {
  it("has the CRC-32 that everyone has", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
    expect(crc32(new Uint8Array())).toBe(0);
  });

  it("begins with a header of a multiple of 64 bytes that says type and shape", () => {
    const bytes = npy({ shape: [2, 1], data: Float64Array.of(1.5, -2) });
    expect(text(bytes.subarray(0, 10))).toBe("\x93NUMPY\x01\x00\x76\x00");
    expect(bytes.length).toBe(128 + 16);
    const header = text(bytes.subarray(10, 128));
    expect(header).toMatch(/^\{'descr': '<f8', 'fortran_order': False, 'shape': \(2,1,\), \} +\n$/);
    const values = new DataView(bytes.buffer, 128);
    expect([values.getFloat64(0, true), values.getFloat64(8, true)]).toEqual([1.5, -2]);
  });

  it("holds 32-bit floats, whole numbers and single values", () => {
    expect(text(npy({ shape: [1], data: Float32Array.of(1) }))).toContain(
      "'<f4', 'fortran_order': False, 'shape': (1,)",
    );
    expect(text(npy({ shape: [], data: BigInt64Array.of(7n) }))).toContain(
      "'<i8', 'fortran_order': False, 'shape': ()",
    );
  });

  it("pads texts to the longest, one code point in four bytes", () => {
    const bytes = npy({ shape: [2], data: ["a", "𝛿b"] });
    expect(text(bytes)).toContain("'descr': '<U2'");
    expect([...new Uint32Array(bytes.slice(128).buffer)]).toEqual([97, 0, 0x1d6ff, 98]);
  });

  it("is one entry of a zip whose directory finds it again", () => {
    const data = Float64Array.of(3);
    const zip = npz({ one: { shape: [1], data }, other: { shape: [1], data } });
    const view = new DataView(zip.buffer);
    const end = zip.length - 22;
    expect(view.getUint32(end, true)).toBe(0x06054b50);
    expect(view.getUint16(end + 10, true)).toBe(2);
    const directory = view.getUint32(end + 16, true);
    expect(directory + view.getUint32(end + 12, true)).toBe(end);
    const second = directory + 46 + "one.npy".length;
    expect(view.getUint32(second, true)).toBe(0x02014b50);
    const at = view.getUint32(second + 42, true);
    expect(view.getUint32(at, true)).toBe(0x04034b50);
    expect(text(zip.subarray(at + 30, at + 39))).toBe("other.npy");
    const file = zip.subarray(at + 39, at + 39 + view.getUint32(at + 18, true));
    expect(file).toEqual(npy({ shape: [1], data }));
    expect(view.getUint32(at + 14, true)).toBe(crc32(file));
  });
});
