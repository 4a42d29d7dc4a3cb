/** Inputs as they are being put together: files of this machine, what an earlier job had, or what is typed. */
import type { Schemas } from "../api/client";
import { writeNpy } from "../tensors/npy";
import { numbersOf, readTable } from "../tensors/table";
import { tensorOfNumbers, textsTensor, typedTensor } from "../tensors/typed";
import { foundIn, type Given, type Media, mediaOf, misfit, NOUNS, nestedTexts, textShape } from "./counting";
import type { Before } from "./request";

type Input = Schemas["InputIn"];
type Model = Schemas["ModelOut"];

export interface Draft {
  files: File[];
  /** As an earlier job or a template had it; dropped as soon as something else is given. */
  kept: Input | null;
  typed: string;
  /** What is sent: files, or a tensor where little was typed. */
  sent: File[];
  tensor: Schemas["TensorIn"] | null;
  /** How many items these are; null while that is not known or they are wrong. */
  count: number | null;
  problem: string | null;
  /** What was made of a table, in words. */
  notes: string[];
  /** Files of this kind were given where numbers are taken. */
  media: Media | null;
}

export const NOTHING: Draft = {
  files: [],
  kept: null,
  typed: "",
  sent: [],
  tensor: null,
  count: null,
  problem: null,
  notes: [],
  media: null,
};
/** A job's body has 1 MiB at most; what is longer goes as a file. */
const INLINE_LETTERS_MAX = 200_000;

/** The inputs that somebody gives, and how each is read; those that derive from another are not given. */
export function givenInputs(model: Model): Given[] {
  const cards = (model.card.inputs ?? {}) as Record<string, { codec?: string }>;
  return Object.entries(model.inputs)
    .filter(([name]) => cards[name]?.codec !== "derived")
    .map(([name, tensor]) => {
      const codec = cards[name]?.codec ?? "tensor";
      const kind = codec === "tensor" && tensor.dtype === "string" ? "text" : (codec as Given["kind"]);
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
export async function withFiles(files: File[], given: Given): Promise<Draft> {
  const next = { ...NOTHING, files };
  if (files.length === 0) return next;
  const media = mediaOf(files.map((file) => file.name));
  if (given.kind === "tensor" || given.kind === "text") {
    if (media) return { ...next, media, problem: `This input takes ${NOUNS[given.kind]}, not ${NOUNS[media]}.` };
  } else {
    const suiting = files.filter(({ name }) => /\.zip$/i.test(name) || isOf(name, given.kind as Media));
    const strays = files.filter((file) => !suiting.includes(file)).map((file) => file.name);
    if (suiting.length > 0 && strays.length > 0)
      return {
        ...next,
        problem: `Give either ${NOUNS[given.kind]} or other files, not both: ${strays.slice(0, 3).join(", ")}.`,
      };
    if (strays.length > 0)
      return { ...next, problem: `This input takes ${NOUNS[given.kind]}, not ${strays.slice(0, 3).join(", ")}.` };
  }
  try {
    const found = [];
    for (const file of files) found.push(await foundIn(file, given));
    return {
      ...next,
      sent: found.map(({ sent }) => sent),
      count: found.reduce((total, { items }) => total + items, 0),
      notes: [...new Set(found.flatMap(({ notes }) => notes))],
    };
  } catch (error) {
    return { ...next, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** A .gif is a picture and a video. */
const isOf = (name: string, kind: Media) => mediaOf([name]) === kind || (kind === "video" && /\.gif$/i.test(name));

/** What is typed or pasted: JSON, rows of a table, or texts, one a line. */
export function withTyped(typed: string, given: Given): Draft {
  const next = { ...NOTHING, typed };
  if (!typed.trim()) return next;
  try {
    if (given.kind === "text") return { ...next, ...asSent(typedTexts(typed, given), given.name) };
    if (/^\s*[[{]/.test(typed)) {
      const tensor = typedTensor(typed, given.tensor.dtype, given.tensor.shape.slice(1));
      const wrong = misfit(tensor.shape, given.tensor);
      return wrong ? { ...next, problem: wrong } : { ...next, ...asSent(tensor, given.name) };
    }
    const { notes, ...numbers } = numbersOf(readTable(typed), given.tensor.dtype, given.tensor.shape.slice(1));
    if (numbers.values.every(Number.isFinite))
      return { ...next, ...asSent(tensorOfNumbers(numbers), given.name), notes };
    const file = new File([writeNpy(numbers.dtype, numbers.shape, numbers.values)], `${given.name}.npy`);
    return { ...next, sent: [file], count: numbers.shape[0] ?? null, notes };
  } catch (error) {
    return { ...next, problem: error instanceof Error ? error.message : String(error) };
  }
}

function typedTexts(typed: string, { tensor }: Given): Schemas["TensorIn"] {
  const item = textShape(tensor);
  const several = item.some((axis) => axis !== null && axis !== 1);
  if (several && /^\s*[[{]/.test(typed)) return typedTensor(typed, "string", item);
  const lines = textsTensor(typed);
  if (lines.shape.length > 1 || item.length === 0) return lines;
  return {
    ...lines,
    shape: [...lines.shape, ...item.map((axis) => axis ?? 1)],
    data: nestedTexts(lines.data as string[], item),
  };
}

function asSent(tensor: Schemas["TensorIn"], name: string): Pick<Draft, "sent" | "tensor" | "count"> {
  const text = JSON.stringify(tensor);
  const count = tensor.shape[0] ?? null;
  if (text.length <= INLINE_LETTERS_MAX) return { sent: [], tensor, count };
  return { sent: [new File([text], `${name}.json`)], tensor: null, count };
}

/** The inputs of a job; what lies on this machine is uploaded first. */
export async function gathered(
  model: Model,
  drafts: Readonly<Record<string, Draft>>,
  upload: (files: readonly File[], onSent: (share: number) => void) => Promise<string[]>,
  onSent: (share: number) => void,
): Promise<Input[]> {
  const inputs: Input[] = [];
  for (const { name } of givenInputs(model)) {
    const draft = drafts[name];
    if (!draft) continue;
    if (draft.kept) inputs.push(draft.kept);
    else if (draft.tensor) inputs.push({ name, broadcast: false, tensor: draft.tensor });
    else inputs.push({ name, broadcast: false, files: await upload(draft.sent, onSent) });
  }
  onSent(1);
  return inputs;
}
