/** A model card as a form: how each input is read, and what the classes of an output are called. */
import type { Schemas } from "../api/client";
import { EMPTY, pictureForm, soundForm, videoForm } from "./guess";

type Model = Schemas["ModelOut"];
export const SCALES = {
  unit: "0 … 1",
  bytes: "0 … 255",
  signed: "−1 … 1",
  imagenet: "ImageNet (mean and deviation)",
  own: "a factor of my own",
  card: "as the whole card says",
} as const;
export type Scale = keyof typeof SCALES;
type Deviation = { mean: number | number[]; std: number | number[] };
const MEANS: Partial<Record<Scale, Deviation>> = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  signed: { mean: 0.5, std: 0.5 },
};
const UNIT = 1 / 255;

export interface InputForm {
  codec: "tensor" | "image" | "audio" | "video" | "text";
  color: "rgb" | "bgr" | "gray";
  layout: "nchw" | "nhwc" | "flat";
  height: string;
  width: string;
  scale: Scale;
  factor: string;
  /** Of videos: how many of each, and the order of their axes. */
  frames: string;
  order: "tchw" | "thwc" | "cthw";
  /** Samples a second, of sounds. */
  rate: string;
  normalize: boolean;
}

/** What the form knows beside numbers; an input that is read from texts is left as it is. */
const READ_FROM = ["image", "audio", "video"] as const;

/** What the card says, laid over a guess from the shape. */
export function formOf(model: Model, name: string): InputForm {
  const tensor = model.inputs[name] ?? { dtype: "float32", shape: [] };
  const card = (model.card.inputs as Record<string, Record<string, unknown>> | undefined)?.[name] ?? {};
  const guess = pictureForm(tensor) ?? videoForm(tensor) ?? EMPTY;
  const sound = soundForm(tensor) ?? EMPTY;
  const resize = card.resize as [number, number] | null | undefined;
  const codec = READ_FROM.find((one) => one === card.codec) ?? "tensor";
  const pictured = codec === "image" || codec === "video";
  return {
    ...guess,
    codec,
    color: (pictured && (card.color as InputForm["color"] | undefined)) || guess.color,
    layout: (codec === "image" && (card.layout as InputForm["layout"] | undefined)) || guess.layout,
    order: (codec === "video" && (card.layout as InputForm["order"] | undefined)) || guess.order,
    frames: typeof card.frames === "number" ? String(card.frames) : guess.frames,
    height: resize ? String(resize[0]) : pictured ? "" : guess.height,
    width: resize ? String(resize[1]) : pictured ? "" : guess.width,
    scale: pictured ? scaleOf(card) : guess.scale,
    factor: String(typeof card.scale === "number" && pictured ? card.scale : UNIT),
    rate: String(card.rate ?? sound.rate),
    normalize: card.normalize === true,
  };
}

function scaleOf(card: Record<string, unknown>): Scale {
  const scale = typeof card.scale === "number" ? card.scale : UNIT;
  const unit = Math.abs(scale - UNIT) < 1e-9;
  if (card.mean || card.std) {
    const known = (["imagenet", "signed"] as const).find((one) => unit && isAlike(card, MEANS[one]));
    return known ?? "card";
  }
  return unit ? "unit" : scale === 1 ? "bytes" : "own";
}

/** One number for all channels may be written as one, or for each. */
function isAlike(card: Record<string, unknown>, known: Deviation | undefined): boolean {
  return (["mean", "std"] as const).every((key) => {
    const said = [card[key]].flat();
    const wanted = [known?.[key] ?? []].flat();
    return said.length > 0 && said.every((value, place) => value === (wanted[place] ?? wanted.at(-1)));
  });
}

/** The scales that suit the type and the colours of an input. */
export function scalesFor(form: InputForm, dtype: string): Scale[] {
  if (!/float/.test(dtype)) return ["bytes"];
  const all = Object.keys(SCALES) as Scale[];
  return all.filter(
    (one) => (one !== "imagenet" || form.color !== "gray") && (one !== "card" || form.scale === "card"),
  );
}

/** The entry of the card that this form says. */
export function entryOf(form: InputForm): Record<string, unknown> {
  if (form.codec === "tensor" || form.codec === "text") return { codec: form.codec };
  if (form.codec === "audio") return { codec: "audio", rate: Number(form.rate), normalize: form.normalize };
  const sides = [Number(form.height), Number(form.width)];
  const video = form.codec === "video";
  return {
    codec: form.codec,
    color: form.color,
    layout: video ? form.order : form.layout,
    ...(video && { frames: Number(form.frames) }),
    ...(sides.every((side) => side > 0) && { resize: sides }),
    ...(form.scale !== "card" && {
      scale: form.scale === "bytes" ? 1 : form.scale === "own" ? Number(form.factor) : UNIT,
    }),
    ...MEANS[form.scale],
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
const OF_THE_FORM = new Set(["codec", "frames", "color", "layout", "resize", "scale", "mean", "std"]);
export const OF_A_TOKENIZER = ["attention_mask", "token_type_ids"];
const SCALING = new Set(["scale", "mean", "std"]);

/** Whether the form can say how this input is read; else its entry is left as it is. */
export function inTheForm(model: Model, name: string): boolean {
  const codec = ((model.card as Card).inputs?.[name]?.codec ?? "tensor") as string;
  return codec === "tensor" || READ_FROM.some((one) => one === codec);
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
    const stays = (key: string) =>
      (form.codec !== "image" && form.codec !== "video") ||
      !OF_THE_FORM.has(key) ||
      (form.scale === "card" && SCALING.has(key));
    const kept = Object.entries(was).filter(([key]) => stays(key));
    return [name, { ...Object.fromEntries(kept), ...said }];
  });
  const outputs = Object.entries(labels).flatMap(([name, text]) => {
    const { labels: _, ...kept } = before.outputs?.[name] ?? {};
    const list = labelsOf(text);
    const entry = { ...kept, ...(list && { labels: list }) };
    return Object.keys(entry).length > 0 ? [[name, entry]] : [];
  });
  const said: Record<string, Entry> = { ...before.inputs, ...Object.fromEntries(entries) };
  // Beside texts these come of the same tokenizer, unless the card says otherwise.
  if (Object.values(said).some((entry) => entry.codec === "text"))
    for (const name of OF_A_TOKENIZER) if (said[name]?.codec === "tensor") delete said[name];
  return {
    description,
    inputs: said,
    outputs: { ...before.outputs, ...Object.fromEntries(outputs) },
  };
}
