import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { send } from "../api/client";

/** By their first bytes; programs upload pictures without saying that they are. SVG is none of them: it is a document. */
const BEGINNINGS: [string, string][] = [
  ["\x89PNG\r\n\x1a\n", "image/png"],
  ["\xff\xd8\xff", "image/jpeg"],
  ["GIF8", "image/gif"],
  ["RIFF", "image/webp"],
  ["BM", "image/bmp"],
];

export function pictureType(first: Uint8Array): string | null {
  const text = String.fromCharCode(...first);
  return BEGINNINGS.find(([beginning]) => text.startsWith(beginning))?.[1] ?? null;
}

async function fetched(file: string): Promise<Blob | null> {
  const blob = await (await send(`/api/v1/files/${file}/content`)).blob();
  const type = pictureType(new Uint8Array(await blob.slice(0, 8).arrayBuffer()));
  return type ? new Blob([blob], { type }) : null;
}

/** An uploaded picture, fetched with the credential. */
export function Picture({ file, alt }: { file: string; alt: string }) {
  const { data } = useQuery({
    queryKey: ["files", "content", file],
    queryFn: () => fetched(file),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (!data) return;
    const made = URL.createObjectURL(data);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [data]);
  return url ? <img src={url} alt={alt} onError={() => setUrl(undefined)} /> : <span className="tile-blank" />;
}
