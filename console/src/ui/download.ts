/** Files of the API on their way to the person's disk; the credential goes along, so a plain link cannot do it. */
import { send } from "../api/client";

const KEPT_MS = 10_000;

export async function saveAs(url: string, name: string): Promise<void> {
  save(await (await send(url)).blob(), name);
}

/** What was made in the browser. */
export function save(content: Blob, name: string): void {
  const made = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = made;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(made), KEPT_MS);
}
