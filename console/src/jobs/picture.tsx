import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { send } from "../api/client";

/** An uploaded picture, fetched with the credential. */
export function Picture({ file, alt }: { file: string; alt: string }) {
  const { data } = useQuery({
    queryKey: ["files", "content", file],
    queryFn: async () => (await send(`/api/v1/files/${file}/content`)).blob(),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (!data?.type.startsWith("image/")) return;
    const made = URL.createObjectURL(data);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [data]);
  return url ? <img src={url} alt={alt} onError={() => setUrl(undefined)} /> : <span className="tile-blank" />;
}
