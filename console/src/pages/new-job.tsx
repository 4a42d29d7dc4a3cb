import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { api, randomKey, type Schemas, upload } from "../api/client";
import { model as modelQuery, models as modelsQuery } from "../api/queries";
import { countedItems, type Draft, emptyDraft, gathered } from "../jobs/drafts";
import { InputEditor } from "../jobs/input-editor";
import { emptyLimits, type Limits, LimitsEditor, workOf } from "../jobs/limits";
import { QuotePanel } from "../jobs/quote-panel";
import { type Request, remember, remembered } from "../jobs/remembered";
import { submitSnippets } from "../jobs/snippets";
import { DropModel } from "../models/drop-model";
import { shapeText } from "../models/shape";
import { newJob as route } from "../router";
import { Failure, Head, Skeleton } from "../ui/small";
import { SnippetTabs } from "../ui/snippets";
import { toast } from "../ui/toasts";

const FILES_PER_UPLOAD = 100;

export function NewJobPage() {
  const { model: wanted, again } = route.useSearch();
  const before = useMemo(() => (again ? remembered(again) : null), [again]);
  const navigate = useNavigate();
  const reference = wanted ?? before?.model ?? null;
  const [dropping, setDropping] = useState(false);
  const choose = (name: string) => {
    setDropping(false);
    void navigate({ to: "/jobs/new", search: { model: name }, replace: true });
  };
  return (
    <>
      <Head title="New job" intro="A model and a pile of inputs. Nothing is charged before you start it." />
      <section className="sheet">
        <h2 className="step">
          <b>1</b> The model
        </h2>
        <ModelChoice chosen={reference} onChoose={choose} onDrop={() => setDropping(true)} dropping={dropping} />
        {dropping && <DropModel onDone={(made) => choose(made.name)} />}
      </section>
      {reference && !dropping && <Form key={`${reference} ${again ?? ""}`} reference={reference} before={before} />}
    </>
  );
}

function ModelChoice({
  chosen,
  onChoose,
  onDrop,
  dropping,
}: {
  chosen: string | null;
  onChoose: (name: string) => void;
  onDrop: () => void;
  dropping: boolean;
}) {
  const query = useInfiniteQuery(modelsQuery);
  const models = query.data?.pages.flatMap((page) => page.data) ?? [];
  useEffect(() => {
    if (query.data && models.length === 0 && !dropping) onDrop();
  }, [query.data, models.length, dropping, onDrop]);
  if (query.isPending) return <Skeleton lines={2} />;
  if (query.error) return <Failure error={query.error} retry={() => query.refetch()} />;
  return (
    <div className="choices">
      {models.map((model) => (
        <button
          type="button"
          className="choice"
          key={model.id}
          aria-pressed={!dropping && (chosen === model.name || chosen?.split(":")[0] === model.name)}
          onClick={() => onChoose(model.name)}
        >
          <strong className="wrap">{model.name}</strong>
          <span className="small soft wrap">
            {model.description ||
              Object.entries(model.inputs)
                .map(([name, tensor]) => `${name} ${shapeText(tensor)}`)
                .join(", ")}
          </span>
        </button>
      ))}
      <button type="button" className="choice" aria-pressed={dropping} onClick={onDrop}>
        <strong>A new one</strong>
        <span className="small soft">Drop an ONNX file from this machine</span>
      </button>
    </div>
  );
}

function Form({ reference, before }: { reference: string; before: Request | null }) {
  const model = useQuery(modelQuery(reference));
  if (model.isPending) return <Skeleton />;
  if (model.error) return <Failure error={model.error} retry={() => model.refetch()} />;
  return <Filled model={model.data} before={before} />;
}

function Filled({ model, before }: { model: Schemas["ModelOut"]; before: Request | null }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [drafts, setDrafts] = useState<Record<string, Draft>>(() =>
    Object.fromEntries(Object.keys(model.inputs).map((name) => [name, emptyDraft(before, name)])),
  );
  const [limits, setLimits] = useState<Limits>(() => emptyLimits(before));
  const [sent, setSent] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  // The same key until something is changed: pressing twice, or again after a cut line, makes one job.
  const key = useMemo(() => ({ of: [drafts, limits], key: randomKey() }).key, [drafts, limits]);
  const cards = (model.card.inputs ?? {}) as Record<string, { codec?: string }>;
  const items = countedItems(Object.values(drafts));
  const work = workOf(limits, model.name);
  const ready =
    items !== null &&
    items > 0 &&
    work.problems.length === 0 &&
    Object.values(drafts).every((draft) => draft.count !== null);
  const images = Object.values(cards).some((card) => card.codec === "image");

  const start = async () => {
    setError(null);
    setSent(0);
    try {
      const inputs = await gathered(model, drafts, uploadAll, setSent);
      const request: Request = { ...work.body, inputs };
      const job = await api.post("/api/v1/jobs", { body: request, idempotencyKey: key });
      remember(job.id, request);
      void client.invalidateQueries({ queryKey: ["jobs"] });
      void client.invalidateQueries({ queryKey: ["wallet"] });
      toast("The job is on its way.");
      await navigate({ to: "/jobs/$id", params: { id: job.id } });
    } catch (reason) {
      setError(reason);
      setSent(null);
    }
  };

  return (
    <div className="columns">
      <div className="stack wide">
        <section className="sheet">
          <h2 className="step">
            <b>2</b> The inputs
          </h2>
          {Object.entries(model.inputs).map(([name, tensor]) => (
            <InputEditor
              key={name}
              name={name}
              tensor={tensor}
              codec={cards[name]?.codec ?? "tensor"}
              draft={drafts[name] ?? emptyDraft(null, name)}
              onChange={(draft) => setDrafts((all) => ({ ...all, [name]: draft }))}
            />
          ))}
        </section>
        <section className="sheet">
          <h2 className="step">
            <b>3</b> Limits, if you like
          </h2>
          <LimitsEditor limits={limits} onChange={setLimits} problems={work.problems} />
        </section>
        <details className="sheet">
          <summary>The same from code</summary>
          <SnippetTabs
            of={submitSnippets(
              location.origin,
              {
                ...work.body,
                inputs: [{ name: Object.keys(model.inputs)[0] ?? "input", files: ["file_…"], broadcast: false }],
              },
              images ? "images" : "arrays",
            )}
          />
        </details>
      </div>
      <div className="stack sticky">
        <QuotePanel work={work.body} items={items} broken={work.problems.length > 0} />
        {error !== null && <Failure error={error} />}
        <button
          type="button"
          className="button primary large"
          disabled={!ready || sent !== null}
          onClick={() => void start()}
        >
          {sent === null ? "Start the job" : sent < 1 ? `Uploading, ${Math.round(100 * sent)} %` : "Starting …"}
        </button>
        {!ready && sent === null && (
          <p className="small soft">
            {items === null
              ? "Add inputs first; the price is shown as soon as they are counted."
              : "Something above needs mending."}
          </p>
        )}
      </div>
    </div>
  );
}

async function uploadAll(files: readonly File[], onSent: (share: number) => void): Promise<string[]> {
  const ids: string[] = [];
  for (let start = 0; start < files.length; start += FILES_PER_UPLOAD) {
    const form = new FormData();
    for (const file of files.slice(start, start + FILES_PER_UPLOAD)) form.append("file", file, file.name);
    const made = await upload<Schemas["FilesOut"]>("/api/v1/files", form, (share) =>
      onSent((start + share * Math.min(FILES_PER_UPLOAD, files.length - start)) / files.length),
    );
    ids.push(...made.data.map((file) => file.id));
  }
  return ids;
}
