/** Files of the API on their way to the person's disk; the credential goes along, so a plain link cannot do it. */
import { send } from "../api/client";

const KEPT_MS = 10_000;

export async function saveAs(url: string, name: string): Promise<void> {
  const made = URL.createObjectURL(await (await send(url)).blob());
  const link = document.createElement("a");
  link.href = made;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(made), KEPT_MS);
}
