import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { api, randomKey, type Schemas } from "../api/client";
import { model as modelQuery, models as modelsQuery, sizes } from "../api/queries";
import { type Before, useBefore } from "../jobs/before";
import { areColumns } from "../jobs/columns";
import { tooLarge } from "../jobs/counting";
import {
  countedItems,
  type Draft,
  draftOf,
  gathered,
  givenInputs,
  NOTHING,
  withFiles,
  withTyped,
} from "../jobs/drafts";
import { DryRun } from "../jobs/dry-run";
import { InputEditor } from "../jobs/input-editor";
import { LabelsEditor } from "../jobs/labels";
import { emptyLimits, type Limits, LimitsEditor, workOf } from "../jobs/limits";
import { jobChanged } from "../jobs/queries";
import { QuotePanel } from "../jobs/quote-panel";
import type { Request } from "../jobs/request";
import { submitSnippets } from "../jobs/snippets";
import { TableForAll } from "../jobs/table-for-all";
import { TemplateChoice } from "../jobs/templates";
import { Stopped, uploaded } from "../jobs/upload";
import { DropModel } from "../models/drop-model";
import { Gives } from "../models/gives";
import { ReadAs } from "../models/read-as";
import { shapeText } from "../models/shape";
import { newJob as route } from "../router";
import { Bar, Failure, Head, Skeleton } from "../ui/small";
import { SnippetTabs } from "../ui/snippets";
import { toast } from "../ui/toasts";

export function NewJobPage() {
  const search = route.useSearch();
  const before = useBefore(search);
  const navigate = useNavigate();
  const reference = search.model ?? before.data?.request.model ?? null;
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
        <TemplateChoice chosen={search.template} />
        <ModelChoice chosen={reference} onChoose={choose} onDrop={() => setDropping(true)} dropping={dropping} />
        {dropping && <DropModel onDone={(made) => choose(made.name)} />}
      </section>
      {before.isLoading && <Skeleton />}
      {before.error && <Failure error={before.error} retry={() => before.refetch()} />}
      {reference && !dropping && !before.isLoading && (
        <Form
          key={JSON.stringify([reference.split(":")[0], { ...search, model: "" }])}
          reference={reference}
          before={before.data ?? null}
        />
      )}
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

function Form({ reference, before }: { reference: string; before: Before | null }) {
  const model = useQuery(modelQuery(reference));
  if (model.isPending) return <Skeleton />;
  if (model.error) return <Failure error={model.error} retry={() => model.refetch()} />;
  return <Filled model={model.data} reference={reference} before={before} />;
}

function Filled({
  model,
  reference,
  before,
}: {
  model: Schemas["ModelOut"];
  reference: string;
  before: Before | null;
}) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const given = useMemo(() => givenInputs(model), [model]);
  const [drafts, setDrafts] = useState<Record<string, Draft>>(() =>
    Object.fromEntries(given.map(({ name }) => [name, draftOf(before?.request ?? null, name, before?.items ?? null)])),
  );
  const [limits, setLimits] = useState<Limits>(() => emptyLimits(before?.request ?? null));
  const [labels, setLabels] = useState<Record<string, string>>(() => before?.request.labels ?? {});
  const [sent, setSent] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const stopping = useRef<AbortController>(null);
  // The same key until something is changed: pressing twice, or again after a cut line, makes one job.
  const key = useMemo(() => ({ of: [drafts, limits, labels], key: randomKey() }).key, [drafts, limits, labels]);
  const items = countedItems(Object.values(drafts));
  const work = workOf(limits, reference);
  const most = useQuery(sizes).data;
  const fits = Object.values(drafts).every((draft) => tooLarge(draft.sent, draft.count, most) === null);
  const ready =
    fits &&
    items !== null &&
    items > 0 &&
    work.problems.length === 0 &&
    Object.values(drafts).every((draft) => draft.count !== null);
  const differing = items === null && Object.values(drafts).every((draft) => draft.count !== null);
  const request = async (): Promise<Request> => ({
    ...work.body,
    ...(Object.keys(labels).length > 0 && { labels }),
    inputs: await sending(),
  });
  const sending = async () => {
    const stop = new AbortController();
    stopping.current = stop;
    try {
      return await gathered(model, drafts, (files, onSent) => uploaded(files, onSent, stop.signal), setSent);
    } catch (reason) {
      throw stop.signal.aborted ? new Stopped() : reason;
    }
  };
  /** The same file with another card: what was given is looked at anew. */
  const changed = async (made: Schemas["ModelOut"]) => {
    const renewed = await Promise.all(
      givenInputs(made).map(async (one): Promise<[string, Draft]> => {
        const draft = drafts[one.name] ?? NOTHING;
        const kind = given.find(({ name }) => name === one.name)?.kind;
        if (draft.kept && kind !== one.kind) return [one.name, NOTHING];
        if (draft.files.length > 0) return [one.name, await withFiles(draft.files, one)];
        return [one.name, draft.typed ? withTyped(draft.typed, one) : draft];
      }),
    );
    setDrafts(Object.fromEntries(renewed));
    await navigate({ to: "/jobs/new", search: (now) => ({ ...now, model: made.name }), replace: true });
  };

  const start = async () => {
    setError(null);
    setSent(0);
    try {
      const job = await api.post("/api/v1/jobs", { body: await request(), idempotencyKey: key });
      jobChanged(client, job);
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
          {before?.problem && (
            <p className="notice warn">
              What it had before cannot be used again: {before.problem} Give other inputs; the limits are as they were.
            </p>
          )}
          {areColumns(given) && (
            <TableForAll all={given} onChange={(filled) => setDrafts((all) => ({ ...all, ...filled }))} />
          )}
          {given.map((one) => {
            const draft = drafts[one.name] ?? NOTHING;
            return (
              <InputEditor
                key={`${one.name} ${one.kind}`}
                given={one}
                draft={draft}
                onChange={(next) => setDrafts((all) => ({ ...all, [one.name]: next }))}
              >
                <ReadAs model={model} given={one} draft={draft} onChanged={(made) => void changed(made)} />
              </InputEditor>
            );
          })}
          <Gives model={model} />
        </section>
        <section className="sheet">
          <h2 className="step">
            <b>3</b> Limits, if you like
          </h2>
          <LimitsEditor limits={limits} onChange={setLimits} problems={work.problems} />
          <div className="stack tight">
            <span className="label">Labels, to find it by</span>
            <LabelsEditor labels={labels} onChange={setLabels} />
          </div>
        </section>
        <details className="sheet">
          <summary>The same from code</summary>
          <SnippetTabs
            of={submitSnippets(
              location.origin,
              {
                ...work.body,
                ...(Object.keys(labels).length > 0 && { labels }),
                inputs: [{ name: given[0]?.name ?? "input", files: ["file_…"], broadcast: false }],
              },
              given[0]?.kind ?? "tensor",
            )}
          />
        </details>
      </div>
      <div className="stack sticky">
        <QuotePanel work={work.body} items={items} broken={work.problems.length > 0} />
        {error !== null && <Failure error={error} />}
        {sent !== null && sent < 1 && (
          <div className="row apart">
            <Bar done={sent} total={1} label="Sent" thin />
            <button type="button" className="button quiet small" onClick={() => stopping.current?.abort()}>
              Stop
            </button>
          </div>
        )}
        <button
          type="button"
          className="button primary large"
          disabled={!ready || sent !== null}
          onClick={() => void start()}
        >
          {sent === null
            ? error === null
              ? "Start the job"
              : "Start it again"
            : sent < 1
              ? `Uploading, ${Math.round(100 * sent)} %`
              : "Starting …"}
        </button>
        <DryRun key={key} ready={ready && sent === null} request={request} onDone={() => setSent(null)} />
        {!ready && sent === null && (
          <p className="small soft">
            {differing
              ? "The inputs have different numbers of items; each must have as many as the others."
              : items === null
                ? "Add inputs first; the price is shown as soon as they are counted."
                : "Something above needs mending."}
          </p>
        )}
      </div>
    </div>
  );
}
