/** What somebody pastes as JSON, as a tensor of the API. */
import type { Schemas } from "../api/client";

const DATATYPES: Record<string, string> = {
  bool: "BOOL",
  uint8: "UINT8",
  uint16: "UINT16",
  uint32: "UINT32",
  uint64: "UINT64",
  int8: "INT8",
  int16: "INT16",
  int32: "INT32",
  int64: "INT64",
  float16: "FP16",
  float32: "FP32",
  float64: "FP64",
  bfloat16: "FP32",
  string: "BYTES",
};

/** A tensor of `dtype` (NumPy's name) from nested JSON lists, or from a whole JSON tensor. Throws in words. */
export function typedTensor(text: string, dtype: string, itemShape: readonly (number | null)[]): Schemas["TensorIn"] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(
      "This is not JSON, or not all of it. Write numbers in brackets, one list for each item, or rows of a table without brackets.",
    );
  }
  if (isTensor(value)) return { datatype: value.datatype, shape: value.shape, data: value.data };
  if (!Array.isArray(value)) throw new Error("Write a list with one entry for each item, such as [[1, 2], [3, 4]].");
  const shape = shapeOf(value);
  const whole = itemShape.length;
  // One item without the brackets around it is what people paste most.
  const [data, full] = shape.length === whole && whole > 0 ? [[value], [1, ...shape]] : [value, shape];
  const datatype = DATATYPES[dtype];
  if (!datatype) throw new Error(`Values of type ${dtype} cannot be written as JSON; upload a file.`);
  return { datatype, shape: full, data };
}

/** Rows of a table as a tensor. */
export function tensorOfNumbers(numbers: { dtype: string; shape: number[]; values: number[] }): Schemas["TensorIn"] {
  const datatype = DATATYPES[numbers.dtype];
  if (!datatype) throw new Error(`Values of type ${numbers.dtype} cannot be written here; upload a file.`);
  const data = datatype === "BOOL" ? numbers.values.map(Boolean) : numbers.values;
  return { datatype, shape: numbers.shape, data };
}

function isTensor(value: unknown): value is { datatype: string; shape: number[]; data: unknown[] } {
  return (
    typeof value === "object" &&
    value !== null &&
    "datatype" in value &&
    "shape" in value &&
    "data" in value &&
    Array.isArray(value.data) &&
    Array.isArray(value.shape)
  );
}

function shapeOf(value: unknown): number[] {
  if (!Array.isArray(value)) return [];
  const inner = value.map(shapeOf);
  const [first = []] = inner;
  if (inner.some((one) => one.join() !== first.join())) throw new Error("The lists inside have different lengths.");
  return [value.length, ...first];
}

/** Texts, one a line; or a JSON list of texts, or a whole JSON tensor of them. Throws in words. */
export function textsTensor(text: string): Schemas["TensorIn"] {
  const lines = textsOf(text) ?? text.replace(/\r\n/g, "\n").replace(/\n$/, "").split("\n");
  return { datatype: "BYTES", shape: [lines.length], data: lines };
}

function textsOf(text: string): string[] | null {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    const value: unknown = JSON.parse(text);
    const list = isTensor(value) ? value.data : value;
    return Array.isArray(list) && list.every((one) => typeof one === "string") ? list : null;
  } catch {
    return null; // a line that begins with a bracket is a text like any other
  }
}
