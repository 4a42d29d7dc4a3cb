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

type Entry = Record<string, unknown>;
type Card = { inputs?: Record<string, Entry>; outputs?: Record<string, Entry> };
/** What the form says of a picture; all else of an entry stays. */
const OF_THE_FORM = new Set(["codec", "color", "layout", "resize", "scale", "mean", "std"]);

/** Whether the form can say how this input is read; else its entry is left as it is. */
export function inTheForm(model: Model, name: string): boolean {
  const codec = ((model.card as Card).inputs?.[name]?.codec ?? "tensor") as string;
  return codec === "tensor" || codec === "image";
}

/** The whole card after the form: over `before`, so that what no form shows is kept. */
export function cardOf(
  description: string,
  inputs: Record<string, InputForm>,
  labels: Record<string, string>,
  before: Card = {},
): Record<string, unknown> {
  const entries = Object.entries(inputs).map(([name, form]) => {
    const was = before.inputs?.[name] ?? {};
    const said = entryOf(form);
    if (form.codec !== was.codec) return [name, said];
    const kept = Object.entries(was).filter(([key]) => form.codec === "tensor" || !OF_THE_FORM.has(key));
    return [name, { ...Object.fromEntries(kept), ...said }];
  });
  const outputs = Object.entries(labels).flatMap(([name, text]) => {
    const { labels: _, ...kept } = before.outputs?.[name] ?? {};
    const list = labelsOf(text);
    const entry = { ...kept, ...(list && { labels: list }) };
    return Object.keys(entry).length > 0 ? [[name, entry]] : [];
  });
  return {
    description,
    inputs: { ...before.inputs, ...Object.fromEntries(entries) },
    outputs: { ...before.outputs, ...Object.fromEntries(outputs) },
  };
}
