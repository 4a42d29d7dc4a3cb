/**
 * What this browser submitted. The API does not give a job's request back, so running it again and showing its input pictures
 * works for jobs that were started here. The newest stay.
 */
import type { Schemas } from "../api/client";

export type Request = Schemas["JobIn"];
const KEY = "fabric.requests";
const KEPT = 40;
const CHARACTERS_MAX = 100_000;

type Kept = { id: string; request: Request }[];

function all(): Kept {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]") as Kept;
  } catch {
    return [];
  }
}

export function remember(id: string, request: Request): void {
  if (JSON.stringify(request).length > CHARACTERS_MAX) return;
  const kept = [{ id, request }, ...all().filter((one) => one.id !== id)].slice(0, KEPT);
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // Full: running again from here is a convenience.
    localStorage.removeItem(KEY);
  }
}

export function remembered(id: string): Request | null {
  return all().find((one) => one.id === id)?.request ?? null;
}

/** File ids of one input, in item order. */
export function filesOf(request: Request | null, name?: string): string[] {
  const given = request?.inputs.find((input) =>
    name === undefined ? (input.files?.length ?? 0) > 0 : input.name === name,
  );
  return given?.files ?? (given?.file ? [given.file] : []);
}
