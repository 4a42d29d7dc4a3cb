import type { Schemas } from "../api/client";

/** "float32 · any × 64": the type of one input and how large an item is. */
export function shapeText(tensor: Schemas["TensorOut"]): string {
  return `${tensor.dtype} · ${tensor.shape.map((axis) => axis ?? "any").join(" × ") || "a single value"}`;
}
