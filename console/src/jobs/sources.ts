/** Where the input of each item is, so that it can be shown beside its result: a file, a file inside a zip, or a text. */
import { useQuery } from "@tanstack/react-query";
import { api, type Schemas, send } from "../api/client";
import { contentOf, type Member, membersOf, type Read } from "../tensors/zip";
import type { Given } from "./counting";
import { typed } from "./media";
import { filesOf, itemFiles, type Request, retriedOf } from "./request";

export type Source =
  | { kind: "image" | "audio" | "video"; file: string; inside: Member | null }
  | { kind: "text"; text: string };
type Said = Partial<Request> | null;
type Job = Schemas["JobOut"];

const ZIPS_MAX = 20;
/** More files than this that are as many as the items are the items, and no zips; fewer are asked what they are. */
const FEW = 3;
const TEXTS_BYTES_MAX = 4_000_000;

/** An uploaded file, read in pieces. */
const remote =
  (file: string): Read =>
  async (offset, length) => {
    if (length === 0) return new Uint8Array();
    const range = { Range: `bytes=${offset}-${offset + length - 1}` };
    return new Uint8Array(await (await send(`/api/v1/files/${file}/content`, { headers: range })).arrayBuffer());
  };

/** What was given for each item; empty where that cannot be told. */
export function useSources(job: Job, said: Said, given: Given | null): Source[] {
  const { data } = useQuery({
    queryKey: ["job-sources", job.id, given?.name],
    queryFn: () => sourcesOf(job, said, given),
    enabled: said !== null && given !== null,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  return data ?? [];
}

async function sourcesOf(job: Job, said: Said, given: Given | null): Promise<Source[]> {
  if (!given || given.kind === "tensor") return [];
  const { kind, name } = given;
  if (kind === "text")
    return retriedOf(
      job,
      (await textsIn(said, name)).map((text) => ({ kind, text })),
    );
  const files = itemFiles(said, job, name);
  if (files.length > FEW) return files.map((file) => ({ kind, file, inside: null }));
  const all = filesOf(said, name);
  if (all.length > ZIPS_MAX) return [];
  const sources: Source[] = [];
  for (const file of all) {
    const facts = await api.get("/api/v1/files/{file_id}", { path: { file_id: file } });
    const inside = facts.name.toLowerCase().endsWith(".zip") ? await membersOf(facts.size, remote(file)) : [null];
    sources.push(...inside.map((member) => ({ kind, file, inside: member })));
  }
  return retriedOf(job, sources);
}

async function textsIn(said: Said, name: string): Promise<string[]> {
  const given = said?.inputs?.find((input) => input.name === name);
  if (given?.tensor) return textList(given.tensor.data);
  const files = filesOf(said, name);
  const texts: string[] = [];
  for (const file of files) {
    const facts = await api.get("/api/v1/files/{file_id}", { path: { file_id: file } });
    if (facts.size > TEXTS_BYTES_MAX || /\.np[yz]$/i.test(facts.name)) return [];
    const text = await (await send(`/api/v1/files/${file}/content`)).text();
    if (/\.json$/i.test(facts.name)) texts.push(...textList(JSON.parse(text)));
    else if (/\.jsonl$/i.test(facts.name))
      texts.push(
        ...textList(
          text
            .split("\n")
            .filter((line) => line.trim())
            .map((line) => JSON.parse(line)),
        ),
      );
    else texts.push(...text.replace(/\r\n/g, "\n").replace(/\n$/, "").split("\n"));
  }
  return texts;
}

/** One text for each item, whatever brackets stand around it. */
function textList(value: unknown): string[] {
  const list = Array.isArray(value) ? value : ((value as { data?: unknown[] } | null)?.data ?? []);
  return list.map((one) => [one].flat(9).map(String).join(", "));
}

/** The bytes behind a source, said to be what they are; null for what a browser cannot show. */
export async function contentBehind(source: Exclude<Source, { kind: "text" }>): Promise<Blob | null> {
  if (!source.inside) return typed(await (await send(`/api/v1/files/${source.file}/content`)).blob());
  return typed(new Blob([(await contentOf(source.inside, remote(source.file))).slice()]));
}
