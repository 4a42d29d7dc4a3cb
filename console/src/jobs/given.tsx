/** What was given, shown as what it is: a picture, a sound, a video, a text. */
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { contentBehind, type Source } from "./sources";

/** Letters of a text that may have to scroll, and so can be reached by keyboard. */
export const LONG = 200;

/** An address for these bytes, for as long as they are shown. */
export function useBlobUrl(blob: Blob | null | undefined): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => {
      URL.revokeObjectURL(made);
      setUrl(undefined);
    };
  }, [blob]);
  return url;
}

/** Bytes of a known type, shown or played. */
export function Media({ of: blob, label }: { of: Blob; label: string }) {
  const url = useBlobUrl(blob);
  const [broken, setBroken] = useState(false);
  const [kind] = blob.type.split("/");
  if (!url) return <span className="tile-blank" />;
  if (broken) return <span className="soft small">cannot be shown here</span>;
  const fails = () => setBroken(true);
  // biome-ignore lint/a11y/useMediaCaption: what people upload comes without captions
  if (kind === "audio") return <audio controls src={url} aria-label={label} onError={fails} />;
  // biome-ignore lint/a11y/useMediaCaption: what people upload comes without captions
  if (kind === "video") return <video controls src={url} aria-label={label} onError={fails} />;
  return <img src={url} alt={label} onError={fails} />;
}

/** The input of one item, fetched when it comes on the page. `over` is drawn above a picture. */
export function GivenItem({ source, item, over }: { source: Source; item: number; over?: ReactNode }) {
  const of = source.kind === "text" ? null : [source.file, source.inside?.offset ?? 0];
  const { data } = useQuery({
    queryKey: ["files", "content", of],
    queryFn: () => (source.kind === "text" ? null : contentBehind(source)),
    enabled: of !== null,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  if (source.kind === "text")
    return (
      <blockquote className="text-given" tabIndex={source.text.length > LONG ? 0 : undefined}>
        {source.text || "(an empty text)"}
      </blockquote>
    );
  if (!data) return <span className="tile-blank" />;
  const media = <Media of={data} label={`Item ${item}`} />;
  if (!over) return media;
  return (
    <div className="pictured">
      {media}
      {over}
    </div>
  );
}
