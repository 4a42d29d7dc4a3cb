/** Results of a job: each output shown as what it is, and all of it to take along. */
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { type Schemas, send } from "../api/client";
import { model as modelQuery, results as resultsQuery } from "../api/queries";
import { readNpy, readTexts } from "../tensors/npy";
import { bytesText } from "../ui/amounts";
import { save, saveAs } from "../ui/download";
import { Icon } from "../ui/icons";
import { Ago, Empty, Failure, Skeleton } from "../ui/small";
import { Tip } from "../ui/tip";
import { toast, toastError } from "../ui/toasts";
import { type Frame, frameOf, sidesOf } from "./boxes";
import { givenInputs } from "./drafts";
import { Items } from "./items";
import { jobRequest } from "./queries";
import { type Source, useSources } from "./sources";
import { csvOf, csvOfTexts } from "./table-file";
import { LabelList, Shown, type Sides } from "./views";

const SHOWN_BYTES_MAX = 24_000_000;
/** Results of more parts are joined for seconds; they come when they are asked for. */
const SHOWN_PARTS_MAX = 5000;
const WORD_LETTERS_MAX = 60;
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
  const shown = (model.data && givenInputs(model.data).find(({ kind }) => kind !== "tensor")) ?? null;
  const given = useSources(job, said.data?.request ?? null, shown);
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
          given={given}
          frame={model.data && shown ? frameOf(model.data, shown.name) : null}
          sides={model.data && shown ? sidesOf(model.data, shown.name) : null}
          labels={
            cards[output.name]?.labels ??
            (output.shape.length > 1 && output.shape.at(-1) === anyLabels?.length ? anyLabels : null)
          }
        />
      ))}
    </div>
  );
}

interface OutputProps {
  job: Schemas["JobOut"];
  output: Schemas["OutputOut"];
  failed: number[];
  given: Source[];
  labels: string[] | null;
  frame: Frame | null;
  sides: Sides | null;
}

function Output({ job, output, failed, given, labels, frame, sides }: OutputProps) {
  const variable = VARIABLE.has(output.dtype);
  const words = output.dtype === "string" && !output.media_type && output.shape.slice(1).every((axis) => axis === 1);
  const bytes = output.shape.reduce<number | null>(
    (product, axis) => (product === null || axis === null || variable ? null : product * axis),
    BYTES[output.dtype] ?? 8,
  );
  const few = job.progress.subtasks_total <= SHOWN_PARTS_MAX;
  const [wanted, setWanted] = useState(!variable && bytes !== null && bytes <= SHOWN_BYTES_MAX && few);
  const values = useQuery({
    queryKey: ["jobs", "output", job.id, output.name],
    queryFn: async () => readNpy(await (await send(output.url)).arrayBuffer()),
    enabled: wanted,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const missing = useMemo(() => new Set(failed), [failed]);
  const asCsv = () => (values.data ? csvOf(values.data, output.name, labels, missing) : null);
  return (
    <section className="stack">
      <div className="row apart">
        <h3>
          {output.name}{" "}
          <span className="soft small">
            {output.media_type ?? `${output.dtype} [${output.shape.map((axis) => axis ?? "?").join(", ")}]`}
          </span>
        </h3>
        <span className="row">
          {values.data && values.data.shape.length <= 2 && <SaveCsv job={job} name={output.name} make={asCsv} />}
          <button
            type="button"
            className="button small"
            onClick={() => saveAs(output.url, `${job.id}-${output.name}.npy`).catch(toastError)}
          >
            <Icon name="download" size={15} /> .npy{bytes !== null && `, ${bytesText(bytes)}`}
          </button>
        </span>
      </div>
      {words && few && <Words job={job} output={output} failed={missing} given={given} frame={frame} />}
      {variable && !(words && few) && <Items job={job} output={output.name} given={given} frame={frame} />}
      {!wanted && !variable && (
        <button type="button" className="button" onClick={() => setWanted(true)}>
          Load {bytes === null ? "it" : bytesText(bytes)} and show it here
        </button>
      )}
      {wanted && values.isPending && <Skeleton />}
      {values.error && <Failure error={values.error} />}
      {values.data && (
        <Shown tensor={values.data} labels={labels} failed={missing} given={given} name={output.name} sides={sides} />
      )}
    </section>
  );
}

function SaveCsv({ job, name, make }: { job: Schemas["JobOut"]; name: string; make: () => string | null }) {
  const go = () => {
    const text = make();
    if (text === null) return toast("This is too wide for a table; take the .npy file.");
    save(new Blob([text], { type: "text/csv" }), `${job.id}-${name}.csv`);
  };
  return (
    <button type="button" className="button small" onClick={go}>
      <Icon name="download" size={15} /> CSV
    </button>
  );
}

/** A text for each item: short ones together like labels, long ones item by item. */
function Words({
  job,
  output,
  failed,
  given,
  frame,
}: Pick<OutputProps, "job" | "output" | "given" | "frame"> & { failed: ReadonlySet<number> }) {
  const { data, isPending } = useQuery({
    queryKey: ["jobs", "words", job.id, output.name],
    queryFn: async () => readTexts(await (await send(output.url)).arrayBuffer()),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  if (isPending) return <Skeleton lines={2} />;
  const texts = data?.texts;
  if (!texts || texts.some((text) => text.length > WORD_LETTERS_MAX))
    return <Items job={job} output={output.name} given={given} frame={frame} />;
  return (
    <div className="stack">
      <LabelList said={texts} failed={failed} given={given} />
      <div>
        <SaveCsv job={job} name={output.name} make={() => csvOfTexts(texts, output.name)} />
      </div>
    </div>
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
