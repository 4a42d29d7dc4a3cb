/** Inputs as they are being put together: files of this machine, files that are already uploaded, or JSON. */
import type { Schemas } from "../api/client";
import { readHeader } from "../tensors/npy";
import { typedTensor } from "../tensors/typed";
import { filesOf, type Request } from "./remembered";

export interface Draft {
  files: File[];
  /** Ids of files that an earlier job used. */
  uploaded: string[];
  json: string;
  /** How many items these are; null while that is not known or they are wrong. */
  count: number | null;
  problem: string | null;
}

type Model = Schemas["ModelOut"];
const IMAGE = /\.(png|jpe?g)$/i;
const HEADER_BYTES = 4096;

export function emptyDraft(before: Request | null, name: string): Draft {
  const input = before?.inputs.find((one) => one.name === name);
  const uploaded = filesOf(before, name);
  const json = input?.tensor ? JSON.stringify(input.tensor) : "";
  const count = input?.tensor ? (input.tensor.shape[0] ?? null) : input?.files ? uploaded.length : null;
  return { files: [], uploaded, json, count, problem: null };
}

/** Items of the whole job: every input must say the same. */
export function countedItems(drafts: readonly Draft[]): number | null {
  const counts = drafts.map((draft) => draft.count);
  const [first = null] = counts;
  return counts.every((count) => count === first) ? first : null;
}

export function isImage(name: string): boolean {
  return IMAGE.test(name);
}

/** Looks at files without reading them whole. */
export async function withFiles(draft: Draft, files: File[], takesImages: boolean): Promise<Draft> {
  const next = {
    ...draft,
    files,
    uploaded: [],
    json: "",
    problem: null as string | null,
    count: null as number | null,
  };
  const images = files.filter((file) => isImage(file.name)).length;
  if (files.length === 0) return next;
  if (images > 0 && !takesImages)
    return {
      ...next,
      problem:
        "This input takes numbers, not pictures. Declare it as a picture in the model's card, or give .npy, .npz or .json.",
    };
  if (images === files.length) return { ...next, count: files.length };
  if (images > 0) return { ...next, problem: "Give either pictures or files of numbers, not both." };
  try {
    let count = 0;
    for (const file of files) count += await itemsOf(file);
    return { ...next, count };
  } catch (error) {
    return { ...next, problem: error instanceof Error ? error.message : String(error) };
  }
}

async function itemsOf(file: File): Promise<number> {
  if (/\.npy$/i.test(file.name)) {
    try {
      const [items = 1] = readHeader(await file.slice(0, HEADER_BYTES).arrayBuffer()).shape;
      return items;
    } catch {
      throw new Error(`${file.name} is no .npy file.`);
    }
  }
  if (/\.json$/i.test(file.name)) {
    const value: unknown = JSON.parse(await file.text());
    if (Array.isArray(value)) return value.length;
    const shape = (value as { shape?: unknown }).shape;
    if (Array.isArray(shape) && typeof shape[0] === "number") return shape[0];
    throw new Error(`${file.name} holds neither a list nor a tensor.`);
  }
  throw new Error(`${file.name}: only PNG, JPEG, .npy and .json can be counted here. The Python client takes more.`);
}

export function withJson(draft: Draft, json: string, tensor: Schemas["TensorOut"]): Draft {
  const next = { ...draft, files: [], uploaded: [], json, problem: null, count: null };
  if (!json.trim()) return next;
  try {
    const typed = typedTensor(json, tensor.dtype, tensor.shape.slice(1));
    return { ...next, count: typed.shape[0] ?? null };
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
): Promise<Schemas["InputIn"][]> {
  const inputs: Schemas["InputIn"][] = [];
  for (const [name, tensor] of Object.entries(model.inputs)) {
    const draft = drafts[name];
    if (!draft) continue;
    if (draft.json.trim()) {
      inputs.push({ name, broadcast: false, tensor: typedTensor(draft.json, tensor.dtype, tensor.shape.slice(1)) });
    } else {
      inputs.push({
        name,
        broadcast: false,
        files: draft.uploaded.length ? draft.uploaded : await upload(draft.files, onSent),
      });
    }
  }
  onSent(1);
  return inputs;
}
