/** Zip archives: what is inside is read from the directory at their end; single members are unpacked when they are shown. */

/** Exactly that range of the archive. */
export type Read = (offset: number, length: number) => Promise<Uint8Array<ArrayBuffer>>;
export interface Member {
  name: string;
  method: number;
  stored: number;
  full: number;
  /** Of its local header. */
  offset: number;
}

const END_BYTES_MAX = 22 + 65_535;
const DIRECTORY_BYTES_MAX = 4 * 1024 * 1024;
const LITTER = /(^|\/)(__MACOSX\/|(\.DS_Store|Thumbs\.db|desktop\.ini)$)/;
const DAMAGED = "is damaged, or no zip file.";

export const readerOf =
  (file: Blob): Read =>
  async (offset, length) =>
    new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());

/** The files inside, in the archive's order; folders and what archivers add are none. Throws in words that follow a name. */
export async function membersOf(size: number, read: Read): Promise<Member[]> {
  const tailBytes = Math.min(size, END_BYTES_MAX);
  const tail = await read(size - tailBytes, tailBytes);
  let at = tail.length - 22;
  while (at >= 0 && !(tail[at] === 0x50 && tail[at + 1] === 0x4b && tail[at + 2] === 5 && tail[at + 3] === 6)) at -= 1;
  if (at < 0) throw new Error(DAMAGED);
  const end = new DataView(tail.buffer, tail.byteOffset + at);
  const [length, offset] = [end.getUint32(12, true), end.getUint32(16, true)];
  if (offset === 0xffffffff || length > DIRECTORY_BYTES_MAX) throw new Error("is too large to be looked into here.");
  if (offset + length > size) throw new Error(DAMAGED);
  return [...entriesOf(await read(offset, length))].filter(({ name }) => !name.endsWith("/") && !LITTER.test(name));
}

function* entriesOf(directory: Uint8Array<ArrayBuffer>): Generator<Member> {
  const view = new DataView(directory.buffer, directory.byteOffset, directory.byteLength);
  let at = 0;
  while (at + 46 <= directory.length) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error(DAMAGED);
    if (view.getUint16(at + 8, true) & 1) throw new Error("is encrypted.");
    const nameBytes = view.getUint16(at + 28, true);
    const next = at + 46 + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > directory.length) throw new Error(DAMAGED);
    yield {
      name: new TextDecoder().decode(directory.subarray(at + 46, at + 46 + nameBytes)),
      method: view.getUint16(at + 10, true),
      stored: view.getUint32(at + 20, true),
      full: view.getUint32(at + 24, true),
      offset: view.getUint32(at + 42, true),
    };
    at = next;
  }
  if (at !== directory.length) throw new Error(DAMAGED);
}

/** One member, or no more than its first `most` bytes. */
export async function contentOf(member: Member, read: Read, most = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
  const head = await read(member.offset, 30);
  if (head.length < 30) throw new Error(DAMAGED);
  const view = new DataView(head.buffer, head.byteOffset);
  const begins = member.offset + 30 + view.getUint16(26, true) + view.getUint16(28, true);
  if (member.method === 0) return read(begins, Math.min(member.stored, most));
  if (member.method !== 8) throw new Error("is compressed in a way that is not read here.");
  const stored = await read(begins, member.stored);
  const reader = new Blob([stored]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const wanted = Math.min(member.full, most);
  const content = new Uint8Array(wanted);
  for (let at = 0; at < wanted; ) {
    const { value, done } = await reader.read();
    if (done) throw new Error(DAMAGED);
    content.set(value.subarray(0, wanted - at), at);
    at += value.length;
  }
  void reader.cancel();
  return content;
}
