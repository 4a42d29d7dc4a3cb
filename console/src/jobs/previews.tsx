/** What is about to be sent, shown before it costs anything: pictures, sounds, videos, the first rows, the first texts. */
import { useEffect, useState } from "react";
import { readNpy } from "../tensors/npy";
import { contentOf, membersOf, readerOf } from "../tensors/zip";
import { countText } from "../ui/amounts";
import type { Given, Media as MediaKind } from "./counting";
import type { Draft } from "./drafts";
import { Media } from "./given";
import { typed } from "./media";

const SHOWN: Record<MediaKind, number> = { image: 8, audio: 3, video: 2 };
const ROWS = 4;
const COLUMNS = 8;
const TEXTS = 3;
const NPY_BYTES_MAX = 16_000_000;
const TEXT_BYTES = 4096;
const JSON_BYTES_MAX = 2_000_000;

type Shown =
  | { kind: "media"; all: { name: string; blob: Blob }[] }
  | { kind: "rows"; all: string[][] }
  | { kind: "texts"; all: string[] };

export function Previews({ draft, given }: { draft: Draft; given: Given }) {
  const [shown, setShown] = useState<Shown | null>(null);
  const { name, kind } = given;
  useEffect(() => {
    let left = false;
    shownOf(draft, kind).then(
      (found) => !left && setShown(found),
      () => !left && setShown(null), // what cannot be shown is told apart where it is counted
    );
    return () => {
      left = true;
    };
  }, [draft, kind]);
  if (!shown || shown.all.length === 0) return null;
  if (shown.kind === "media")
    return (
      <ul className="previews" aria-label={`The first of ${name}`}>
        {shown.all.map((one) => (
          <li key={one.name}>
            <Media of={one.blob} label={one.name} />
            <span className="small soft">{one.name.split("/").at(-1)}</span>
          </li>
        ))}
      </ul>
    );
  if (shown.kind === "texts")
    return (
      <ol className="previews-texts small" aria-label={`The first of ${name}`}>
        {shown.all.map((text, place) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a text is its place
          <li key={place}>{text}</li>
        ))}
      </ol>
    );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className="scroll" tabIndex={0} aria-label={`The first rows of ${name}`}>
      <table className="values small">
        <tbody>
          {shown.all.map((row, place) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place
            <tr key={place}>
              <td className="num soft">{place}</td>
              {row.map((cell, column) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its place
                <td className="num" key={column}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {draft.count !== null && draft.count > ROWS && (
        <p className="small soft">and {countText(draft.count - ROWS)} more</p>
      )}
    </section>
  );
}

async function shownOf(draft: Draft, kind: Given["kind"]): Promise<Shown | null> {
  const media = kind === "image" || kind === "audio" || kind === "video" ? kind : draft.media;
  if (media) return { kind: "media", all: await firstOf(draft.files, SHOWN[media]) };
  const [first] = draft.sent;
  if (kind === "text") return first ? { kind: "texts", all: await firstTexts(first) } : null;
  if (draft.tensor && draft.tensor.shape.length <= 2 && !/^\s*[[{]/.test(draft.typed)) {
    const [, columns = 1] = draft.tensor.shape;
    const all = (draft.tensor.data as number[]).slice(0, ROWS * columns);
    return { kind: "rows", all: rowsOf(all, columns) };
  }
  if (!first || !/\.npy$/i.test(first.name) || first.size > NPY_BYTES_MAX) return null;
  const { shape, values } = readNpy(await first.arrayBuffer());
  const [, columns = 1] = shape;
  if (shape.length > 2) return null;
  return { kind: "rows", all: rowsOf(Array.from(values.slice(0, ROWS * columns) as ArrayLike<number>), columns) };
}

function rowsOf(values: readonly (number | bigint)[], columns: number): string[][] {
  return Array.from({ length: Math.min(ROWS, values.length / columns) }, (_, row) => {
    const cells = values.slice(row * columns, row * columns + Math.min(columns, COLUMNS));
    const text = (cell: number | bigint) => (typeof cell === "number" ? Number(cell.toPrecision(6)) : cell);
    return [...cells.map((cell) => String(text(cell))), ...(columns > COLUMNS ? ["…"] : [])];
  });
}

/** The first that a browser shows, also of those in zips. */
async function firstOf(files: readonly File[], most: number): Promise<{ name: string; blob: Blob }[]> {
  const found: { name: string; blob: Blob }[] = [];
  const take = async (name: string, content: () => Promise<Blob>) => {
    const blob = await typed(await content());
    if (blob) found.push({ name: `${found.length}/${name}`, blob });
  };
  for (const file of files.slice(0, most)) {
    if (found.length >= most) break;
    if (!/\.zip$/i.test(file.name)) await take(file.name, async () => file);
    else {
      const read = readerOf(file);
      for (const member of (await membersOf(file.size, read)).slice(0, most - found.length))
        await take(member.name, async () => new Blob([(await contentOf(member, read)).slice()]));
    }
  }
  return found;
}

async function firstTexts(file: File): Promise<string[]> {
  if (/\.txt$/i.test(file.name))
    return (await file.slice(0, TEXT_BYTES).text()).split(/\r?\n/).filter(Boolean).slice(0, TEXTS);
  if (!/\.json$/i.test(file.name) || file.size > JSON_BYTES_MAX) return [];
  const list: unknown = JSON.parse(await file.text());
  return Array.isArray(list) ? list.slice(0, TEXTS).map((one) => [one].flat(9).join(", ")) : [];
}
