/** NumPy's .npy files, read in the browser. */
export type Values =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

export interface Tensor {
  dtype: string;
  shape: number[];
  values: Values;
}

type Maker = (buffer: ArrayBuffer, offset: number, length: number) => Values;
const KINDS: Record<string, [string, number, Maker]> = {
  "<f2": ["float16", 2, (b, o, n) => Float32Array.from(new Uint16Array(b.slice(o, o + 2 * n)), halfToNumber)],
  "<f4": ["float32", 4, (b, o, n) => new Float32Array(b.slice(o, o + 4 * n))],
  "<f8": ["float64", 8, (b, o, n) => new Float64Array(b.slice(o, o + 8 * n))],
  "|i1": ["int8", 1, (b, o, n) => new Int8Array(b.slice(o, o + n))],
  "|u1": ["uint8", 1, (b, o, n) => new Uint8Array(b.slice(o, o + n))],
  "|b1": ["bool", 1, (b, o, n) => new Uint8Array(b.slice(o, o + n))],
  "<i2": ["int16", 2, (b, o, n) => new Int16Array(b.slice(o, o + 2 * n))],
  "<u2": ["uint16", 2, (b, o, n) => new Uint16Array(b.slice(o, o + 2 * n))],
  "<i4": ["int32", 4, (b, o, n) => new Int32Array(b.slice(o, o + 4 * n))],
  "<u4": ["uint32", 4, (b, o, n) => new Uint32Array(b.slice(o, o + 4 * n))],
  "<i8": ["int64", 8, (b, o, n) => new BigInt64Array(b.slice(o, o + 8 * n))],
  "<u8": ["uint64", 8, (b, o, n) => new BigUint64Array(b.slice(o, o + 8 * n))],
};

export class NotNpy extends Error {}

interface Header {
  descr: string;
  shape: number[];
  fortran: boolean;
  dataAt: number;
}

/** Type and shape alone; the first few hundred bytes of a file are enough. */
export function readHeader(buffer: ArrayBuffer): Header {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 10 || String.fromCharCode(...bytes.slice(1, 6)) !== "NUMPY" || bytes[0] !== 0x93)
    throw new NotNpy("This is no .npy file.");
  const view = new DataView(buffer);
  const wide = (bytes[6] ?? 0) >= 2;
  const start = wide ? 12 : 10;
  const dataAt = start + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const text = new TextDecoder().decode(bytes.slice(start, dataAt));
  const descr = /'descr':\s*'([^']+)'/.exec(text)?.[1];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(text)?.[1];
  if (descr === undefined || shape === undefined) throw new NotNpy("The header of this .npy file cannot be read.");
  const sizes = shape
    .split(",")
    .map((size) => size.trim())
    .filter((size) => size !== "")
    .map(Number);
  return { descr, shape: sizes, fortran: /'fortran_order':\s*True/.test(text), dataAt };
}

export function readNpy(buffer: ArrayBuffer): Tensor {
  const header = readHeader(buffer);
  const kind = KINDS[header.descr];
  if (!kind) throw new NotNpy(`Values of type ${header.descr} cannot be shown here.`);
  if (header.fortran && header.shape.length > 1) throw new NotNpy("Files in Fortran order cannot be shown here.");
  const [dtype, size, make] = kind;
  const count = header.shape.reduce((product, axis) => product * axis, 1);
  if (buffer.byteLength < header.dataAt + count * size) throw new NotNpy("This .npy file is cut off.");
  return { dtype, shape: header.shape, values: make(buffer, header.dataAt, count) };
}

export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Values of one item: `axis` gives how many there are for each. */
export function itemSize(tensor: Tensor): number {
  return tensor.shape.slice(1).reduce((product, axis) => product * axis, 1);
}

export function itemValues(tensor: Tensor, item: number): number[] {
  const size = itemSize(tensor);
  return Array.from(tensor.values.slice(item * size, (item + 1) * size) as ArrayLike<number | bigint>, Number);
}

export interface Summary {
  count: number;
  notFinite: number;
  min: number;
  max: number;
  mean: number;
  deviation: number;
  histogram: number[];
}

export function summarise(values: Values, bins = 40): Summary {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let mean = 0;
  let squares = 0;
  let count = 0;
  let notFinite = 0;
  for (const raw of values) {
    const value = Number(raw);
    if (!Number.isFinite(value)) {
      notFinite += 1;
      continue;
    }
    count += 1;
    const away = value - mean;
    mean += away / count;
    squares += away * (value - mean);
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const histogram = new Array<number>(bins).fill(0);
  const width = max - min || 1;
  for (const raw of values) {
    const value = Number(raw);
    if (!Number.isFinite(value)) continue;
    const bin = Math.min(bins - 1, Math.floor(((value - min) / width) * bins));
    histogram[bin] = (histogram[bin] ?? 0) + 1;
  }
  return { count, notFinite, min, max, mean, deviation: count > 1 ? Math.sqrt(squares / count) : 0, histogram };
}

/** The `k` largest, largest first. */
export function topK(values: readonly number[], k: number): { index: number; value: number }[] {
  return values
    .map((value, index) => ({ index, value }))
    .filter(({ value }) => !Number.isNaN(value))
    .sort((a, b) => b.value - a.value || a.index - b.index)
    .slice(0, k);
}

/** Whether these are shares of one, as a softmax gives them. */
export function areProbabilities(values: readonly number[]): boolean {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.length > 1 && Math.abs(sum - 1) < 1e-3 && values.every((value) => value >= 0);
}

type Writer = (values: readonly number[]) => ArrayBufferView<ArrayBuffer>;
const WRITERS: Record<string, [string, Writer]> = {
  bool: ["|b1", (values) => Uint8Array.from(values)],
  int8: ["|i1", (values) => Int8Array.from(values)],
  uint8: ["|u1", (values) => Uint8Array.from(values)],
  int16: ["<i2", (values) => Int16Array.from(values)],
  uint16: ["<u2", (values) => Uint16Array.from(values)],
  int32: ["<i4", (values) => Int32Array.from(values)],
  uint32: ["<u4", (values) => Uint32Array.from(values)],
  int64: ["<i8", (values) => BigInt64Array.from(values, BigInt)],
  uint64: ["<u8", (values) => BigUint64Array.from(values, BigInt)],
  float16: ["<f2", (values) => Uint16Array.from(values, numberToHalf)],
  float32: ["<f4", (values) => Float32Array.from(values)],
  bfloat16: ["<f4", (values) => Float32Array.from(values)],
  float64: ["<f8", (values) => Float64Array.from(values)],
};

/** Numbers as a .npy file. Throws in words. */
export function writeNpy(dtype: string, shape: readonly number[], values: readonly number[]): Blob {
  const writer = WRITERS[dtype];
  if (!writer) throw new NotNpy(`Values of type ${dtype} cannot be written here.`);
  const text = `{'descr': '${writer[0]}', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const header = new TextEncoder().encode(`${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`);
  const length = [header.length & 255, header.length >> 8];
  return new Blob([Uint8Array.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, ...length]), header, writer[1](values)]);
}

export function numberToHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65_520) return sign | 0x7c00;
  const exponent = size > 0 ? Math.max(-14, Math.floor(Math.log2(size))) : -14;
  return sign | ((exponent + 14) * 1024 + Math.round(size / 2 ** (exponent - 10)));
}

/** Texts of fixed width, as NumPy writes them; null for any other file. */
export function readTexts(buffer: ArrayBuffer): { shape: number[]; texts: string[] } | null {
  const header = readHeader(buffer);
  const width = Number(/^[<|]U(\d+)$/.exec(header.descr)?.[1] ?? 0);
  if (!width || header.fortran) return null;
  const count = header.shape.reduce((product, axis) => product * axis, 1);
  if (buffer.byteLength < header.dataAt + count * width * 4) throw new NotNpy("This .npy file is cut off.");
  const codes = new Uint32Array(buffer.slice(header.dataAt, header.dataAt + count * width * 4));
  const texts = Array.from({ length: count }, (_, place) => {
    let end = (place + 1) * width;
    while (end > place * width && codes[end - 1] === 0) end -= 1;
    return Array.from(codes.subarray(place * width, end), (code) => String.fromCodePoint(code)).join("");
  });
  return { shape: header.shape, texts };
}
