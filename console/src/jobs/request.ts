/** A job body as a form keeps it, and which uploaded files belong to which item. */
import type { Schemas } from "../api/client";

export type Request = Schemas["JobIn"];
/** What was asked for before, as it was written: only what was said. */
export type Before = Partial<Omit<Request, "inputs">> & { inputs?: Schemas["InputIn"][] | null };

/** File ids of one input, in item order. */
export function filesOf(request: Before | null, name: string): string[] {
  const given = request?.inputs?.find((input) => input.name === name);
  return given?.files ?? (given?.file ? [given.file] : []);
}

/** The file of each item of one input; a retry did only some items of the job before. Empty where files are not items. */
export function itemFiles(request: Before | null, job: Schemas["JobOut"], name: string): string[] {
  return retriedOf(job, filesOf(request, name));
}

/** Of what was given for each item, that of the items which this job did. Empty where it is not one for each item. */
export function retriedOf<T>(job: Schemas["JobOut"], given: readonly T[]): T[] {
  const own = job.retried_items
    ? job.retried_items.flatMap(([first = 0, count = 0]) => given.slice(first, first + count))
    : [...given];
  return own.length === job.progress.items_total ? own : [];
}

/** The body of a template: what was said, with the inputs or without. */
export function templateOf(request: Before, name: string, withInputs: boolean): Schemas["TemplateIn"] {
  const { quote: _, inputs, ...rest } = request;
  return { ...rest, name, ...(withInputs && inputs && { inputs }) } as Schemas["TemplateIn"];
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
export const LABELS_MAX = 20;

/** "name:value" (or "name=value") as a label; a text says what is wrong with it. */
export function labelOf(text: string): [string, string] | string {
  const [, name = "", value = ""] = /^([^:=]*)[:=](.*)$/s.exec(text.trim()) ?? [];
  if (!text.includes(":") && !text.includes("=")) return "Write a name and a value, such as dataset:june.";
  if (!NAME.test(name.trim())) return "A name has letters, digits, dots, dashes and underscores.";
  if (value.trim().length > 200) return "A value has at most 200 characters.";
  return [name.trim(), value.trim()];
}
