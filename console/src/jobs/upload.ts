/** Files of this machine on their way to the fabric, once: what has arrived is not sent again, whatever happened to the rest. */
import { type Schemas, upload } from "../api/client";

const FILES_PER_UPLOAD = 100;
const BYTES_PER_UPLOAD = 64 * 1024 * 1024;
/** Ids of files that lie with the fabric. */
const arrived = new WeakMap<File, string>();
let underWay: Promise<unknown> = Promise.resolve();

/** What is thrown by an upload that somebody stopped. */
export class Stopped extends Error {
  constructor() {
    super("The upload was stopped. What had arrived is kept; start again to send the rest.");
  }
}

/** Ids of these files, in order; `onSent` hears which share of the bytes is with the fabric. */
export async function uploaded(
  files: readonly File[],
  onSent: (share: number) => void,
  signal?: AbortSignal,
): Promise<string[]> {
  // One after the other: trying a job out and starting it at once must not send a file twice.
  const before = underWay;
  const sending = before.then(() => send(files, onSent, signal));
  underWay = sending.catch(() => {});
  await sending;
  return files.map((file) => arrived.get(file) ?? "");
}

async function send(files: readonly File[], onSent: (share: number) => void, signal?: AbortSignal): Promise<void> {
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  let done = files.reduce((sum, file) => sum + (arrived.has(file) ? file.size : 0), 0);
  for (const some of inBatches(files.filter((file) => !arrived.has(file)))) {
    const bytes = some.reduce((sum, file) => sum + file.size, 0);
    const form = new FormData();
    for (const file of some) form.append("file", file, file.name);
    const told = (share: number) => onSent((done + share * bytes) / total);
    const made = await upload<Schemas["FilesOut"]>("/api/v1/files", form, told, signal);
    for (const [place, { id }] of made.data.entries()) {
      const file = some[place];
      if (file) arrived.set(file, id);
    }
    done += bytes;
  }
}

/** So many files and bytes at once that a cut line does not cost much. */
function* inBatches(files: readonly File[]): Generator<File[]> {
  let some: File[] = [];
  let bytes = 0;
  for (const file of files) {
    if (some.length > 0 && (some.length === FILES_PER_UPLOAD || bytes + file.size > BYTES_PER_UPLOAD)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(file);
    bytes += file.size;
  }
  if (some.length > 0) yield some;
}
