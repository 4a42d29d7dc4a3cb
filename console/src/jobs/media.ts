/** What bytes are, by their beginning: programs upload files without saying. SVG is none of these: it is a document. */

/** A beginning, what stands further on (from which byte), and what such a file is. */
const BEGINNINGS: [string, [number, string], string][] = [
  ["\x89PNG\r\n\x1a\n", [0, ""], "image/png"],
  ["\xff\xd8\xff", [0, ""], "image/jpeg"],
  ["GIF8", [0, ""], "image/gif"],
  ["RIFF", [8, "WEBP"], "image/webp"],
  ["BM", [0, ""], "image/bmp"],
  ["RIFF", [8, "WAVE"], "audio/wav"],
  ["fLaC", [0, ""], "audio/flac"],
  ["OggS", [0, ""], "audio/ogg"],
  ["ID3", [0, ""], "audio/mpeg"],
  ["\xff\xfb", [0, ""], "audio/mpeg"],
  ["\xff\xf3", [0, ""], "audio/mpeg"],
  ["", [4, "ftypM4A"], "audio/mp4"],
  ["", [4, "ftyp"], "video/mp4"],
  ["\x1aE\xdf\xa3", [0, ""], "video/webm"],
];
const LONGEST_BEGINNING = 16;

export function mediaType(first: Uint8Array): string | null {
  const text = String.fromCharCode(...first.subarray(0, LONGEST_BEGINNING));
  const known = BEGINNINGS.find(([begins, [at, then]]) => text.startsWith(begins) && text.startsWith(then, at));
  return known?.[2] ?? null;
}

export function pictureType(first: Uint8Array): string | null {
  const type = mediaType(first);
  return type?.startsWith("image/") ? type : null;
}

/** The same bytes, said to be what they are; null for what a browser does not show or play. */
export async function typed(blob: Blob): Promise<Blob | null> {
  const type = mediaType(new Uint8Array(await blob.slice(0, LONGEST_BEGINNING).arrayBuffer()));
  return type ? new Blob([blob], { type }) : null;
}
