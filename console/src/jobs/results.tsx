/** Results of a job: each output shown as what it is, and all of it to take along. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Schemas, send } from "../api/client";
import { model as modelQuery, results as resultsQuery } from "../api/queries";
import { readNpy } from "../tensors/npy";
import { bytesText } from "../ui/amounts";
import { Icon } from "../ui/icons";
import { Ago, Empty, Failure, Skeleton } from "../ui/small";
import { Tip } from "../ui/tip";
import { toast, toastError } from "../ui/toasts";
import { saveAs } from "./download";
import { givenInputs } from "./drafts";
import { Items } from "./items";
import { jobRequest } from "./queries";
import { itemFiles } from "./request";
import { Shown } from "./views";

const SHOWN_BYTES_MAX = 24_000_000;
/** Results of more parts are joined for seconds; they come when they are asked for. */
const SHOWN_PARTS_MAX = 5000;
const VARIABLE = new Set(["string", "bytes"]);
const BYTES: Record<string, number> = {
  bool: 1,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  float16: 2,
  int32: 4,
  uint32: 4,
  float32: 4,
  int64: 8,
  uint64: 8,
  float64: 8,
};

/** `brief`: without the files to take along. */
export function Results({ job, brief = false }: { job: Schemas["JobOut"]; brief?: boolean }) {
  const manifest = useQuery({ ...resultsQuery(job.id), enabled: !job.results_deleted_at });
  const said = useQuery(jobRequest(job.id));
  const model = useQuery(modelQuery(job.model_version_id));
  if (job.results_deleted_at)
    return (
      <Empty title="The results are deleted">
        They were kept for as long as the job said; they went <Ago at={job.results_deleted_at} />.
      </Empty>
    );
  if (manifest.isPending) return <Skeleton />;
  if (manifest.error) return <Failure error={manifest.error} retry={() => manifest.refetch()} />;
  if (manifest.data.outputs.length === 0 || manifest.data.items_done === 0)
    return <Empty title="No results">Nothing was finished before the job ended.</Empty>;
  const pictured = model.data && givenInputs(model.data).find(({ kind }) => kind === "image")?.name;
  const files = pictured ? itemFiles(said.data?.request ?? null, job, pictured) : [];
  const cards = (model.data?.card.outputs ?? {}) as Record<string, { labels?: string[] | null }>;
  const anyLabels = Object.values(cards).find((card) => card.labels)?.labels ?? null;
  return (
    <div className="stack wide">
      {!brief && <Everything job={job} />}
      {manifest.data.outputs.map((output) => (
        <Output
          key={output.name}
          job={job}
          output={output}
          failed={manifest.data.failed_items}
          files={files}
          labels={
            cards[output.name]?.labels ??
            (output.shape.length > 1 && output.shape.at(-1) === anyLabels?.length ? anyLabels : null)
          }
        />
      ))}
    </div>
  );
}

function Output({
  job,
  output,
  failed,
  files,
  labels,
}: {
  job: Schemas["JobOut"];
  output: Schemas["OutputOut"];
  failed: number[];
  files: string[];
  labels: string[] | null;
}) {
  const variable = VARIABLE.has(output.dtype);
  const bytes = output.shape.reduce<number | null>(
    (product, axis) => (product === null || axis === null || variable ? null : product * axis),
    BYTES[output.dtype] ?? 8,
  );
  const [wanted, setWanted] = useState(
    !variable && bytes !== null && bytes <= SHOWN_BYTES_MAX && job.progress.subtasks_total <= SHOWN_PARTS_MAX,
  );
  const values = useQuery({
    queryKey: ["jobs", "output", job.id, output.name],
    queryFn: async () => readNpy(await (await send(output.url)).arrayBuffer()),
    enabled: wanted,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <section className="stack">
      <div className="row apart">
        <h3>
          {output.name}{" "}
          <span className="soft small">
            {output.media_type ?? `${output.dtype} [${output.shape.map((axis) => axis ?? "?").join(", ")}]`}
          </span>
        </h3>
        <button
          type="button"
          className="button small"
          onClick={() => saveAs(output.url, `${job.id}-${output.name}.npy`).catch(toastError)}
        >
          <Icon name="download" size={15} /> .npy{bytes !== null && `, ${bytesText(bytes)}`}
        </button>
      </div>
      {variable && <Items job={job} output={output.name} files={files} />}
      {!wanted && !variable && (
        <button type="button" className="button" onClick={() => setWanted(true)}>
          Load {bytes === null ? "it" : bytesText(bytes)} and show it here
        </button>
      )}
      {wanted && values.isPending && <Skeleton />}
      {values.error && <Failure error={values.error} />}
      {values.data && (
        <Shown tensor={values.data} labels={labels} failed={new Set(failed)} files={files} name={output.name} />
      )}
    </section>
  );
}

const FORMATS = {
  npz: ["All as .npz", "An array for each output, and which items failed"],
  zip: ["A zip of files", "A file for each item and output"],
  json: ["JSON", "A list of items, each with its outputs or its error"],
} as const;

/** All results in one file. */
function Everything({ job }: { job: Schemas["JobOut"] }) {
  const [busy, setBusy] = useState<string | null>(null);
  const take = (format: keyof typeof FORMATS) => {
    setBusy(format);
    saveAs(`/api/v1/jobs/${job.id}/results?format=${format}`, `${job.id}.${format}`)
      .then(() => toast("Downloaded."), toastError)
      .finally(() => setBusy(null));
  };
  return (
    <fieldset className="row">
      <legend className="visually-hidden">Download everything</legend>
      {(Object.keys(FORMATS) as (keyof typeof FORMATS)[]).map((format) => (
        <Tip key={format} says={FORMATS[format][1]}>
          <button type="button" className="button small" disabled={busy !== null} onClick={() => take(format)}>
            <Icon name="download" size={15} /> {busy === format ? "Fetching …" : FORMATS[format][0]}
          </button>
        </Tip>
      ))}
    </fieldset>
  );
}
