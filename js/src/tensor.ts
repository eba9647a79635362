/** Numbers as they travel: little-endian blocks inside one byte string, some quantised with a scale. */

export type DType = "f4" | "i4" | "i2" | "i1" | "u1";
export type Numbers = Float32Array | Int32Array | Int16Array | Int8Array | Uint8Array;

export interface BlockSpec {
  name: string;
  dtype: DType;
  shape: number[];
  /** First byte within the payload. */
  offset: number;
  /** Name of the block that holds one factor per leading index; absent where values are as they are. */
  scale?: string;
}

export interface Block {
  data: Numbers;
  shape: number[];
  /** One factor per run of `inner` values. */
  scale: Float32Array | undefined;
  inner: number;
}

const VIEWS = { f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u1: Uint8Array } as const;

const product = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

export function fromBase64(text: string): Uint8Array {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function view(payload: Uint8Array, spec: BlockSpec): Numbers {
  const View = VIEWS[spec.dtype];
  if (!View) throw new Error(`Block “${spec.name}” has the unknown type “${spec.dtype}”.`);
  const bytes = product(spec.shape) * View.BYTES_PER_ELEMENT;
  if (spec.offset < 0 || spec.offset + bytes > payload.byteLength)
    throw new Error(
      `Block “${spec.name}” ends at byte ${spec.offset + bytes} of ${payload.byteLength}; was the file cut short?`,
    );
  // A host may hand over bytes that start anywhere: copy, so that every view is aligned.
  const start = payload.byteOffset + spec.offset;
  return new View(payload.buffer.slice(start, start + bytes) as ArrayBuffer);
}

export function readBlocks(payload: Uint8Array, specs: BlockSpec[]): Map<string, Block> {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  const blocks = new Map<string, Block>();
  for (const spec of specs) {
    const scaleSpec = spec.scale === undefined ? undefined : byName.get(spec.scale);
    if (spec.scale !== undefined && !scaleSpec)
      throw new Error(`Block “${spec.name}” misses its scale “${spec.scale}”.`);
    const scale = scaleSpec ? (view(payload, scaleSpec) as Float32Array) : undefined;
    const inner = scale ? product(spec.shape) / Math.max(scale.length, 1) : 1;
    blocks.set(spec.name, { data: view(payload, spec), shape: spec.shape, scale, inner });
  }
  return blocks;
}
