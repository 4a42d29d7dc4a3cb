/** Texts, lists and files that came out of single items: read, drawn as bars, shown or played, a few items at a time. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { type Schemas, send } from "../api/client";
import { countText } from "../ui/amounts";
import { Bar, Code, Failure, Skeleton } from "../ui/small";
import { Tip } from "../ui/tip";
import { Picture } from "./picture";

type Job = Schemas["JobOut"];
type Item = { index: number; outputs: Record<string, unknown> | null; error: { detail: string; code: string } | null };
const SHOWN = 5;

export function Items({ job, output, files }: { job: Job; output: string; files: readonly string[] }) {
  const [first, setFirst] = useState(0);
  const count = job.progress.items_total;
  const indices = Array.from({ length: Math.min(SHOWN, count - first) }, (_, place) => first + place);
  return (
    <div className="stack">
      <div>
        {indices.map((index) => (
          <OneItem key={index} job={job} output={output} index={index} file={files[index]} />
        ))}
      </div>
      {count > SHOWN && (
        <div className="row">
          <button
            type="button"
            className="button small"
            disabled={first === 0}
            onClick={() => setFirst(Math.max(0, first - SHOWN))}
          >
            Previous
          </button>
          <span className="small num">
            {countText(first)} to {countText(first + indices.length - 1)} of {countText(count)}
          </span>
          <button
            type="button"
            className="button small"
            disabled={first + SHOWN >= count}
            onClick={() => setFirst(first + SHOWN)}
          >
            Next
          </button>
        </div>
      )}
    </div>
  );
}

function OneItem({ job, output, index, file }: { job: Job; output: string; index: number; file: string | undefined }) {
  const query = useQuery({
    queryKey: ["jobs", "item", job.id, index],
    queryFn: async () => {
      const answer = await send(`/api/v1/jobs/${job.id}/results?format=json&item=${index}`);
      return ((await answer.json()) as { items: Item[] }).items[0] ?? null;
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  const item = query.data;
  return (
    <div className="item-result">
      <span className="small soft num">item {countText(index)}</span>
      {file && <Picture file={file} alt={`Item ${index}`} />}
      {query.isPending && <Skeleton lines={1} />}
      {query.error && <Failure error={query.error} />}
      {item?.error && <span className="bad wrap">{item.error.detail || item.error.code}</span>}
      {item && !item.error && item.outputs === null && <span className="soft">not done</span>}
      {item?.outputs && <Value of={item.outputs[output]} />}
    </div>
  );
}

type Ranked = { label?: string | null; index: number; score: number; box?: number[] };
/** What the steps `top_k` and `detections` give. */
export function isRanked(value: unknown): value is Ranked[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((one) => typeof one === "object" && one !== null && typeof one.score === "number")
  );
}
export function isFile(value: unknown): value is { media_type: string; base64: string } {
  return typeof value === "object" && value !== null && "base64" in value && "media_type" in value;
}

function Value({ of }: { of: unknown }) {
  if (typeof of === "string") return <p className="text-result">{of || <span className="soft">an empty text</span>}</p>;
  if (isFile(of)) return <FileValue file={of} />;
  if (Array.isArray(of) && of.length === 0) return <span className="soft">nothing found</span>;
  if (!isRanked(of)) return <Code>{JSON.stringify(of, null, 1)}</Code>;
  return (
    <ol className="bars">
      {of.map((one, place) => {
        const label = one.label ?? String(one.index);
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a rank is its place
          <li key={place}>
            <Tip says={one.box ? `${label}, at ${one.box.map((side) => Math.round(side)).join(", ")}` : label} taps>
              <span>{label}</span>
            </Tip>
            <Bar done={one.score} total={1} label={label} />
            <span className="num right">{one.score.toPrecision(3)}</span>
          </li>
        );
      })}
    </ol>
  );
}

function FileValue({ file }: { file: { media_type: string; base64: string } }) {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    const bytes = Uint8Array.from(atob(file.base64), (letter) => letter.charCodeAt(0));
    const made = URL.createObjectURL(new Blob([bytes], { type: file.media_type }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  if (!url) return null;
  if (file.media_type.startsWith("image/")) return <img src={url} alt="Made by the model" />;
  return (
    <a href={url} download>
      {file.media_type}
    </a>
  );
}
