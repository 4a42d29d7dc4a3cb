/** How many items files hold, and whether they suit an input: looked at without reading more of them than that takes. */
import type { Schemas } from "../api/client";
import { readHeader, writeNpy } from "../tensors/npy";
import { numbersOf, readTable, textsOfTable } from "../tensors/table";
import { contentOf, membersOf, readerOf } from "../tensors/zip";
import { bytesText, countText } from "../ui/amounts";

export type Tensor = Schemas["TensorOut"];
/** How an input is read: numbers, texts, or files of which each is one item. */
export type Kind = "tensor" | "text" | "image" | "audio" | "video";
export type Media = "image" | "audio" | "video";
/** An input that somebody gives. */
export interface Given {
  name: string;
  tensor: Tensor;
  kind: Kind;
}
/** What was found in a file: its items, what is sent in its stead where the fabric cannot read it, and what was made of it. */
export interface Found {
  items: number;
  sent: File;
  notes: string[];
}

/** How large things may be on this fabric. */
export type Sizes = Schemas["SizesOut"];

/** Why these cannot be sent, whatever is in them; null when they can. */
export function tooLarge(files: readonly File[], items: number | null, sizes: Sizes | undefined): string | null {
  if (!sizes) return null;
  const large = files.find((file) => file.size > sizes.file_bytes);
  if (large) return `${large.name} has ${bytesText(large.size)}; a file may have ${bytesText(sizes.file_bytes)}.`;
  const many = items !== null && items > sizes.items_per_job;
  return many
    ? `${countText(items)} items are more than the ${countText(sizes.items_per_job)} of one job; split them.`
    : null;
}

const HEADER_BYTES = 4096;
const MEDIA: Record<Media, RegExp> = {
  image: /\.(png|jpe?g|webp|gif|bmp|tiff?)$/i,
  audio: /\.(wav|flac|mp3|ogg|m4a)$/i,
  video: /\.(mp4|mkv|webm|avi|gif)$/i,
};
const PLAIN = /\.(txt|dat)$/i;
const TABLE = /\.(csv|tsv|tab)$/i;
export const NOUNS: Record<Kind, string> = {
  tensor: "numbers",
  text: "texts",
  image: "pictures",
  audio: "sounds",
  video: "videos",
};

export function acceptOf(kind: Kind): string {
  if (kind === "image") return ".png,.jpg,.jpeg,.webp,.gif,.bmp,.tif,.tiff,.zip";
  if (kind === "audio") return ".wav,.flac,.mp3,.ogg,.m4a,.zip";
  if (kind === "video") return ".mp4,.mkv,.webm,.avi,.gif,.zip";
  return kind === "text" ? ".txt,.csv,.tsv,.json,.jsonl,.npy,.npz" : ".csv,.tsv,.txt,.npy,.npz,.json,.jsonl";
}

/** Which kind of media all of these are by their names; null when they are none, or differ. */
export function mediaOf(names: readonly string[]): Media | null {
  const kinds = Object.keys(MEDIA) as Media[];
  return kinds.find((kind) => names.length > 0 && names.every((name) => MEDIA[kind].test(name))) ?? null;
}

/** Texts may be lists of one column; the tensor of a tokenizer's input says nothing of texts. */
export const textShape = (tensor: Tensor) => (tensor.dtype === "string" ? tensor.shape.slice(1) : []);

/** Why items of this shape do not suit; null when they do. The first axis counts items. */
export function misfit(shape: readonly number[], tensor: Tensor): string | null {
  const wanted = tensor.shape.slice(1);
  const item = shape.slice(1);
  const suits = item.length === wanted.length && item.every((size, axis) => (wanted[axis] ?? size) === size);
  if (suits) return null;
  const said = (axes: readonly (number | null)[]) => axes.map((axis) => axis ?? "any").join(" × ") || "one value";
  return `Its items are ${said(item)}; this input takes ${said(wanted)}.`;
}

/** One file for this input. Throws in words. */
export async function foundIn(file: File, given: Given): Promise<Found> {
  const { kind } = given;
  if (kind === "image" || kind === "audio" || kind === "video") {
    if (!/\.zip$/i.test(file.name)) return { items: 1, sent: file, notes: [] };
    return { items: await filesInZip(file, kind), sent: file, notes: [] };
  }
  if (kind === "tensor" && PLAIN.test(file.name)) return inNumberTable(file, given);
  if (TABLE.test(file.name)) return kind === "text" ? inTextTable(file, given) : inNumberTable(file, given);
  if (kind === "text" && /\.txt$/i.test(file.name)) {
    const lines = (await file.text()).replace(/\r?\n$/, "").split(/\r?\n/);
    return textsAs(file, lines, given, []);
  }
  return { items: await rowsOf(file, given), sent: file, notes: [] };
}

async function filesInZip(file: File, kind: Media): Promise<number> {
  const members = await membersOf(file.size, readerOf(file)).catch((error) => {
    throw new Error(`${file.name} ${error instanceof Error ? error.message : error}`);
  });
  if (members.length === 0) throw new Error(`${file.name} is empty.`);
  const strays = members.filter(({ name }) => !MEDIA[kind].test(name)).map(({ name }) => name);
  if (strays.length === 0) return members.length;
  const shown = strays.slice(0, 3).join(", ");
  throw new Error(
    `${file.name} holds what are no ${NOUNS[kind]}: ${shown}${strays.length > 3 ? " …" : ""}. Take them out, or unpack it and drop the folder.`,
  );
}

async function inNumberTable(file: File, { tensor }: Given): Promise<Found> {
  const { dtype, shape, values, notes } = numbersOf(readTable(await file.text()), tensor.dtype, tensor.shape.slice(1));
  const sent = new File([writeNpy(dtype, shape, values)], `${file.name}.npy`);
  return { items: shape[0] ?? 0, sent, notes };
}

async function inTextTable(file: File, given: Given): Promise<Found> {
  const { texts, notes } = textsOfTable(await file.text(), given.name);
  return textsAs(file, texts, given, notes, true);
}

/** Lines go as they are where an item is one text, and else as lists of one. */
function textsAs(file: File, texts: string[], { tensor }: Given, notes: string[], always = false): Found {
  const nested = nestedTexts(texts, textShape(tensor));
  const plain = textShape(tensor).length === 0;
  const sent = plain && !always ? file : new File([JSON.stringify(nested)], `${file.name}.json`);
  return { items: texts.length, sent, notes };
}

/** Texts in as many brackets as the axes of an item ask for. Throws in words. */
export function nestedTexts(texts: readonly string[], item: readonly (number | null)[]): unknown[] {
  if (item.some((axis) => axis !== null && axis !== 1))
    throw new Error(`An item of this input is ${item.join(" × ")} texts; give them as JSON.`);
  return texts.map((text) => item.reduce<unknown>((inner) => [inner], text));
}

async function rowsOf(file: File, given: Given): Promise<number> {
  if (/\.np[yz]$/i.test(file.name)) return rowsOfNpy(file, given);
  const text = await file.text();
  if (/\.jsonl$/i.test(file.name)) return text.split(/\r?\n/).filter((line) => line.trim()).length;
  if (!/\.json$/i.test(file.name))
    throw new Error(`${file.name} cannot be read here; give ${acceptOf(given.kind).replaceAll(",", ", ")}.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${file.name} is not JSON.`);
  }
  if (Array.isArray(value)) return value.length;
  const shape = (value as { shape?: unknown } | null)?.shape;
  if (Array.isArray(shape) && typeof shape[0] === "number") return shape[0];
  throw new Error(`${file.name} holds neither a list nor a tensor.`);
}

async function rowsOfNpy(file: File, { name, tensor, kind }: Given): Promise<number> {
  let shape: number[];
  try {
    shape = readHeader(await beginningOf(file, name)).shape;
  } catch (error) {
    const why = error instanceof Error && /^(is|holds) /.test(error.message) ? error.message : "is no .npy file.";
    throw new Error(`${file.name} ${why}`);
  }
  const wrong = kind === "tensor" ? misfit(shape, tensor) : null;
  if (wrong) throw new Error(`${file.name}: ${wrong}`);
  return shape[0] ?? 1;
}

/** The first bytes of an array: of the file, or in a .npz of its only member, or of the one that is called as the input. */
async function beginningOf(file: File, name: string): Promise<ArrayBuffer> {
  if (/\.npy$/i.test(file.name)) return file.slice(0, HEADER_BYTES).arrayBuffer();
  const read = readerOf(file);
  const members = await membersOf(file.size, read);
  const member = members.length === 1 ? members[0] : members.find((one) => one.name === `${name}.npy`);
  if (!member) {
    const names = members.map((one) => one.name.replace(/\.npy$/, "")).join(", ");
    throw new Error(`holds no array “${name}”; it has ${names || "none"}.`);
  }
  return (await contentOf(member, read, HEADER_BYTES)).slice().buffer;
}
