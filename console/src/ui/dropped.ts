/** What somebody drops: files, and all files inside of folders. */

const FILES_MAX = 100_000;
const LITTER = new Set([".DS_Store", "Thumbs.db", "desktop.ini"]);

/** Files in the order of their names; of folders only those that `accept` (".png,.jpg") names. */
export async function filesDropped(transfer: DataTransfer, accept: string): Promise<File[]> {
  // Entries must be taken before anything is awaited: the browser forgets them then.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return [...transfer.files];
  const files: File[] = [];
  for (const entry of entries) if (entry) await gather(entry, files);
  const endings = accept.split(",").map((ending) => ending.trim().toLowerCase());
  const wanted = files.filter((file) => endings.some((ending) => file.name.toLowerCase().endsWith(ending)));
  return wanted.length > 0 ? wanted : files;
}

async function gather(entry: FileSystemEntry, files: File[]): Promise<void> {
  if (files.length >= FILES_MAX || LITTER.has(entry.name)) return;
  if (entry.isFile) {
    files.push(await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const one of some) await gather(one, files);
  }
}
