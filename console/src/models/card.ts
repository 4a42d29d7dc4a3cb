/** A model card as a form: how each input is read, and what the classes of an output are called. */
import type { Schemas } from "../api/client";

type Model = Schemas["ModelOut"];
export const SCALES = {
  unit: "0 … 1",
  bytes: "0 … 255",
  imagenet: "ImageNet (mean and deviation)",
  own: "a factor of my own",
} as const;
export type Scale = keyof typeof SCALES;
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

export interface InputForm {
  codec: "tensor" | "image";
  color: "rgb" | "bgr" | "gray";
  layout: "nchw" | "nhwc" | "flat";
  height: string;
  width: string;
  scale: Scale;
  factor: string;
}

/** A guess from the shape, or what the card says. */
export function formOf(model: Model, name: string): InputForm {
  const card = (model.card.inputs as Record<string, Record<string, unknown>> | undefined)?.[name] ?? {};
  const [, a = null, b = null, c = null] = model.inputs[name]?.shape ?? [];
  const first = a === 1 || a === 3;
  const layout = model.inputs[name]?.shape.length === 2 ? "flat" : first || c === null ? "nchw" : "nhwc";
  const [channels, height, width] = layout === "nchw" ? [a, b, c] : [c, a, b];
  const resize = card.resize as [number, number] | null | undefined;
  const scale = typeof card.scale === "number" ? card.scale : 1 / 255;
  return {
    codec: card.codec === "image" ? "image" : "tensor",
    color: (card.color as InputForm["color"] | undefined) ?? (channels === 1 ? "gray" : "rgb"),
    layout: (card.layout as InputForm["layout"] | undefined) ?? layout,
    height: String(resize?.[0] ?? (layout === "flat" ? "" : (height ?? ""))),
    width: String(resize?.[1] ?? (layout === "flat" ? "" : (width ?? ""))),
    scale: card.mean ? "imagenet" : Math.abs(scale - 1 / 255) < 1e-9 ? "unit" : scale === 1 ? "bytes" : "own",
    factor: String(scale),
  };
}

/** The entry of the card that this form says. */
export function entryOf(form: InputForm): Record<string, unknown> {
  if (form.codec === "tensor") return { codec: "tensor" };
  const sides = [Number(form.height), Number(form.width)];
  const scale = form.scale === "bytes" ? 1 : form.scale === "own" ? Number(form.factor) : 1 / 255;
  return {
    codec: "image",
    color: form.color,
    layout: form.layout,
    ...(sides.every((side) => side > 0) && { resize: sides }),
    scale,
    ...(form.scale === "imagenet" && IMAGENET),
  };
}

/** One label a line, or a JSON list; null when there are none. */
export function labelsOf(text: string): string[] | null {
  const trimmed = text.trim();
  if (!trimmed) return null;
  if (trimmed.startsWith("[")) {
    const list: unknown = JSON.parse(trimmed);
    if (Array.isArray(list)) return list.map(String);
  }
  return trimmed.split(/\r?\n/).map((label) => label.trim());
}

export function cardOf(
  description: string,
  inputs: Record<string, InputForm>,
  labels: Record<string, string>,
): Record<string, unknown> {
  const named = Object.entries(labels).flatMap(([name, text]) => {
    const list = labelsOf(text);
    return list ? [[name, { labels: list }]] : [];
  });
  return {
    description,
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, form]) => [name, entryOf(form)])),
    outputs: Object.fromEntries(named),
  };
}
