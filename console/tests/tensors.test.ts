import { expect, test } from "vitest";
import { isFile, isRanked } from "../src/jobs/items";
import { pictureLayout, viewOf } from "../src/jobs/views";
import {
  areProbabilities,
  halfToNumber,
  itemValues,
  NotNpy,
  readHeader,
  readNpy,
  summarise,
  topK,
} from "../src/tensors/npy";
import { typedTensor } from "../src/tensors/typed";

function npy(descr: string, shape: string, data: Uint8Array): ArrayBuffer {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`;
  const header = new TextEncoder().encode(`${text.padEnd(117)}\n`);
  const bytes = new Uint8Array([
    0x93,
    ...new TextEncoder().encode("NUMPY"),
    1,
    0,
    header.length,
    0,
    ...header,
    ...data,
  ]);
  return bytes.buffer;
}
const floats = (...values: number[]) => new Uint8Array(new Float32Array(values).buffer);

test("a .npy file is read with its type and shape", () => {
  const tensor = readNpy(npy("<f4", "(2, 3)", floats(1, 2, 3, 4, 5, 6)));
  expect([tensor.dtype, tensor.shape, itemValues(tensor, 1)]).toEqual(["float32", [2, 3], [4, 5, 6]]);
  expect(readNpy(npy("<i8", "(2,)", new Uint8Array(new BigInt64Array([7n, -1n]).buffer))).values).toEqual(
    new BigInt64Array([7n, -1n]),
  );
});

test("what is cut off, of another kind or no .npy at all is refused in words", () => {
  expect(() => readNpy(npy("<f4", "(2, 3)", floats(1)))).toThrow("cut off");
  expect(() => readNpy(npy("|O", "(1,)", floats(1)))).toThrow("cannot be shown");
  expect(() => readHeader(new TextEncoder().encode("not numpy at all").buffer as ArrayBuffer)).toThrow(NotNpy);
});

test("half precision", () => {
  expect([0x3c00, 0xc000, 0x0001, 0x7c00].map(halfToNumber)).toEqual([1, -2, 2 ** -24, Number.POSITIVE_INFINITY]);
});

test("a summary counts what is not finite and leaves it out", () => {
  const summary = summarise(new Float32Array([0, 1, 2, 3, Number.NaN]), 4);
  expect([summary.count, summary.notFinite, summary.min, summary.max, summary.mean, summary.histogram]).toEqual([
    4,
    1,
    0,
    3,
    1.5,
    [1, 1, 1, 1],
  ]);
});

test("the largest come first, and NaN never", () => {
  expect(topK([0.1, Number.NaN, 0.7, 0.2], 2).map((one) => one.index)).toEqual([2, 3]);
  expect([areProbabilities([0.5, 0.5]), areProbabilities([1]), areProbabilities([2, -1])]).toEqual([
    true,
    false,
    false,
  ]);
});

test("an output is shown as what it is", () => {
  const tensor = (dtype: string, shape: number[], ...values: number[]) => ({
    dtype,
    shape,
    values: new Float32Array(values),
  });
  expect(viewOf(tensor("int64", [2], 3, 4), null)).toBe("labels");
  expect(viewOf(tensor("float32", [1, 2], 0.25, 0.75), null)).toBe("classes");
  expect(viewOf(tensor("float32", [1, 2], 5, -3), ["cat", "dog"])).toBe("classes");
  expect(viewOf(tensor("float32", [1, 2], 5, -3), null)).toBe("table");
  expect(viewOf(tensor("float32", [1, 2, 2], 5, -3, 0, 1), null)).toBe("numbers");
  expect(viewOf(tensor("uint8", [1, 3, 32, 32]), null)).toBe("pictures");
  expect(pictureLayout([1, 32, 40, 3])).toEqual({ channels: 3, height: 32, width: 40, first: false });
});

test("pasted JSON becomes a tensor, also one item without the brackets around it", () => {
  expect(typedTensor("[[1,2],[3,4],[5,6]]", "float32", [2])).toEqual({
    datatype: "FP32",
    shape: [3, 2],
    data: [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
  });
  expect(typedTensor("[1,2]", "float32", [2]).shape).toEqual([1, 2]);
  expect(() => typedTensor("[[1,2],[3]]", "float32", [2])).toThrow("different lengths");
  expect(() => typedTensor("{", "float32", [2])).toThrow("not JSON");
});

test("what steps after a model give is told apart: ranks, files, and anything else", () => {
  expect(isRanked([{ index: 1, label: "cat", score: 0.9 }])).toBe(true);
  expect([isRanked([]), isRanked([1, 2]), isRanked("text"), isRanked([{ score: "high" }])]).toEqual([
    false,
    false,
    false,
    false,
  ]);
  expect([isFile({ media_type: "image/png", base64: "" }), isFile(null), isFile(["base64"])]).toEqual([
    true,
    false,
    false,
  ]);
});
