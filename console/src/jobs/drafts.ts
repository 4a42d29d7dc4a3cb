/** Inputs as they are being put together: files of this machine, what an earlier job had, or what is typed. */
import type { Schemas } from "../api/client";
import { readHeader } from "../tensors/npy";
import { textsTensor, typedTensor } from "../tensors/typed";
import type { Before } from "./request";

type Input = Schemas["InputIn"];
type Tensor = Schemas["TensorOut"];
/** How an input is read: numbers, texts, or files of which each is one item. */
export type Kind = "tensor" | "text" | "image" | "audio" | "video";

export interface Draft {
  files: File[];
  /** As an earlier job or a template had it; dropped as soon as something else is given. */
  kept: Input | null;
  typed: string;
  /** How many items these are; null while that is not known or they are wrong. */
  count: number | null;
  problem: string | null;
}

type Model = Schemas["ModelOut"];
const MEDIA: Record<"image" | "audio" | "video", RegExp> = {
  image: /\.(png|jpe?g|webp|gif|bmp|tiff?)$/i,
  audio: /\.(wav|flac|mp3|ogg|m4a)$/i,
  video: /\.(mp4|mkv|webm|avi|gif)$/i,
};
const HEADER_BYTES = 4096;
export const NOTHING: Draft = { files: [], kept: null, typed: "", count: null, problem: null };

export function acceptOf(kind: Kind): string {
  if (kind === "image") return ".png,.jpg,.jpeg,.webp,.gif,.bmp,.tif,.tiff";
  if (kind === "audio") return ".wav,.flac,.mp3,.ogg,.m4a";
  if (kind === "video") return ".mp4,.mkv,.webm,.avi,.gif";
  return kind === "text" ? ".txt,.json,.jsonl,.npy" : ".npy,.json,.jsonl";
}

/** The inputs that somebody gives, and how each is read; those that derive from another are not given. */
export function givenInputs(model: Model): { name: string; tensor: Tensor; kind: Kind }[] {
  const cards = (model.card.inputs ?? {}) as Record<string, { codec?: string }>;
  return Object.entries(model.inputs)
    .filter(([name]) => cards[name]?.codec !== "derived")
    .map(([name, tensor]) => {
      const codec = cards[name]?.codec ?? "tensor";
      const kind = codec === "tensor" && tensor.dtype === "string" ? "text" : (codec as Kind);
      return { name, tensor, kind };
    });
}

/** An input as it was before, of `items` items; empty where there was nothing. */
export function draftOf(before: Before | null, name: string, items: number | null): Draft {
  const kept = before?.inputs?.find((one) => one.name === name) ?? null;
  return kept && items !== null ? { ...NOTHING, kept, count: items } : NOTHING;
}

/** Items of the whole job: every input must say the same. */
export function countedItems(drafts: readonly Draft[]): number | null {
  const counts = drafts.map((draft) => draft.count);
  const [first = null] = counts;
  return counts.every((count) => count === first) ? first : null;
}

/** Looks at files without reading more of them than it must. */
export async function withFiles(files: File[], kind: Kind): Promise<Draft> {
  const next = { ...NOTHING, files };
  if (files.length === 0) return next;
  if (kind === "tensor" || kind === "text") {
    if (files.some((file) => MEDIA.image.test(file.name)))
      return {
        ...next,
        problem: `This input takes ${kind === "text" ? "texts" : "numbers"}, not pictures. Declare it as a picture in the model's card, or give ${acceptOf(kind)}.`,
      };
  } else {
    const media = files.filter((file) => MEDIA[kind].test(file.name)).length;
    if (media === files.length) return { ...next, count: media };
    const numbers = kind === "image" && media === 0 && files.every((file) => /\.npy$/i.test(file.name));
    if (media > 0) return { ...next, problem: `Give either ${NOUNS[kind]} or files of numbers, not both.` };
    if (!numbers) return { ...next, problem: `This input takes ${NOUNS[kind]}: ${acceptOf(kind)}.` };
  }
  try {
    let count = 0;
    for (const file of files) count += await itemsOf(file, kind);
    return { ...next, count };
  } catch (error) {
    return { ...next, problem: error instanceof Error ? error.message : String(error) };
  }
}

export const NOUNS: Record<Kind, string> = {
  tensor: "numbers",
  text: "texts",
  image: "pictures",
  audio: "sounds",
  video: "videos",
};

async function itemsOf(file: File, kind: Kind): Promise<number> {
  if (/\.npy$/i.test(file.name)) {
    try {
      const [items = 1] = readHeader(await file.slice(0, HEADER_BYTES).arrayBuffer()).shape;
      return items;
    } catch {
      throw new Error(`${file.name} is no .npy file.`);
    }
  }
  if (/\.jsonl$/i.test(file.name)) return (await file.text()).split(/\r?\n/).filter((line) => line.trim()).length;
  if (kind === "text" && /\.txt$/i.test(file.name))
    return (await file.text()).replace(/\r?\n$/, "").split(/\r?\n/).length;
  if (/\.json$/i.test(file.name)) {
    const value: unknown = JSON.parse(await file.text());
    if (Array.isArray(value)) return value.length;
    const shape = (value as { shape?: unknown }).shape;
    if (Array.isArray(shape) && typeof shape[0] === "number") return shape[0];
    throw new Error(`${file.name} holds neither a list nor a tensor.`);
  }
  throw new Error(`${file.name}: only ${acceptOf(kind)} can be counted here. The Python client takes more.`);
}

/** What is typed or pasted, as a tensor of the API. Throws in words. */
export function tensorTyped(typed: string, kind: Kind, tensor: Tensor): Schemas["TensorIn"] {
  return kind === "text" ? textsTensor(typed) : typedTensor(typed, tensor.dtype, tensor.shape.slice(1));
}

export function withTyped(typed: string, kind: Kind, tensor: Tensor): Draft {
  const next = { ...NOTHING, typed };
  if (!typed.trim()) return next;
  try {
    return { ...next, count: tensorTyped(typed, kind, tensor).shape[0] ?? null };
  } catch (error) {
    return { ...next, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** The inputs of a job; what lies on this machine is uploaded first. */
export async function gathered(
  model: Model,
  drafts: Readonly<Record<string, Draft>>,
  upload: (files: readonly File[], onSent: (share: number) => void) => Promise<string[]>,
  onSent: (share: number) => void,
): Promise<Input[]> {
  const inputs: Input[] = [];
  for (const { name, tensor, kind } of givenInputs(model)) {
    const draft = drafts[name];
    if (!draft) continue;
    if (draft.kept) inputs.push(draft.kept);
    else if (draft.typed.trim())
      inputs.push({ name, broadcast: false, tensor: tensorTyped(draft.typed, kind, tensor) });
    else inputs.push({ name, broadcast: false, files: await upload(draft.files, onSent) });
  }
  onSent(1);
  return inputs;
}
