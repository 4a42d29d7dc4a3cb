/** Files of this machine on their way to the fabric, once: trying a job out and starting it send them one time. */
import { type Schemas, upload } from "../api/client";

const FILES_PER_UPLOAD = 100;
const sent = new WeakMap<readonly File[], Promise<string[]>>();

/** Ids of these files, in order. The same list of files is not sent again unless it failed. */
export function uploaded(files: readonly File[], onSent: (share: number) => void): Promise<string[]> {
  const before = sent.get(files);
  if (before) return before;
  const ids = send(files, onSent);
  sent.set(files, ids);
  ids.catch(() => sent.delete(files));
  return ids;
}

async function send(files: readonly File[], onSent: (share: number) => void): Promise<string[]> {
  const ids: string[] = [];
  for (let start = 0; start < files.length; start += FILES_PER_UPLOAD) {
    const form = new FormData();
    for (const file of files.slice(start, start + FILES_PER_UPLOAD)) form.append("file", file, file.name);
    const made = await upload<Schemas["FilesOut"]>("/api/v1/files", form, (share) =>
      onSent((start + share * Math.min(FILES_PER_UPLOAD, files.length - start)) / files.length),
    );
    ids.push(...made.data.map((file) => file.id));
  }
  return ids;
}
