import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, type Schemas } from "../api/client";
import { isOpen, model as modelQuery, results as resultsQuery } from "../api/queries";
import { Again } from "../jobs/again";
import { Bill, Itemised } from "../jobs/bill";
import { givenInputs } from "../jobs/drafts";
import { Gantt } from "../jobs/gantt";
import { LabelsEditor } from "../jobs/labels";
import { useJob } from "../jobs/live";
import { Progress } from "../jobs/progress";
import { jobChanged, jobRenewed, jobRequest, timeline as timelineQuery } from "../jobs/queries";
import { Results } from "../jobs/results";
import { jobSnippets, shortened, submitSnippets } from "../jobs/snippets";
import { waitingWords } from "../jobs/words";
import { job as route } from "../router";
import { Act } from "../ui/act";
import { countText, plural, typedAmount } from "../ui/amounts";
import { Choose } from "../ui/choose";
import { Confirm, Dialog } from "../ui/dialog";
import { Ago, DollarInput, Failure, Field, Head, Id, Money, Skeleton, Status } from "../ui/small";
import { SnippetTabs } from "../ui/snippets";
import { toast, toastError } from "../ui/toasts";
import "../styles/job.css";

type Job = Schemas["JobOut"];

export function JobPage() {
  const { id } = route.useParams();
  const { data: job, error, isPending, refetch, connected } = useJob(id);
  const [asking, setAsking] = useState<"cancel" | "budget" | null>(null);
  const client = useQueryClient();
  useEffect(() => {
    if (job) document.title = `${job.model}, ${job.status} · Fabric`;
  }, [job]);

  if (isPending) return <Skeleton lines={8} />;
  if (!job) return <Failure error={error} retry={() => refetch()} />;
  const open = isOpen(job);
  const renew = (changed: Job) => {
    // Answers to changes leave out what only one job shown alone says.
    client.setQueryData<Job>(["jobs", "one", id], (before) => ({
      ...changed,
      errors: changed.errors ?? before?.errors ?? null,
      cost: { ...changed.cost, by_provider: changed.cost.by_provider ?? before?.cost.by_provider ?? null },
    }));
    jobChanged(client, changed);
  };

  return (
    <>
      <Head
        title={job.model}
        intro={
          <span className="row">
            <Status of={job.status} />
            <span>
              submitted <Ago at={job.created_at} />
            </span>
            <Id of={job.id} />
          </span>
        }
      >
        {open && (
          <button type="button" className="button danger" onClick={() => setAsking("cancel")}>
            Cancel
          </button>
        )}
        <Link to="/jobs/new" search={{ again: id }} className="button">
          Run again
        </Link>
      </Head>
      {!connected && (
        <div className="notice warn" role="status">
          The live connection is cut; it is being made again. What is missed comes then.
        </div>
      )}
      <Waiting job={job} onAddBudget={() => setAsking("budget")} />
      {job.error && (
        <div className="notice bad">
          <strong>{job.error.detail || job.error.code}</strong>
          <span className="small soft">
            {job.error.code.replaceAll("_", " ")}, request <Id of={job.request_id} />
          </span>
        </div>
      )}
      <Progress job={job} />
      <div className="columns">
        <div className="stack wide">
          {job.progress.items_failed > 0 && <FailedItems job={job} />}
          <section className="sheet">
            <h2>Results</h2>
            {open ? <p className="soft">They are shown here when the job has ended.</p> : <Results job={job} />}
          </section>
          <Timeline job={job} />
          <Itemised job={job} />
        </div>
        <div className="stack">
          <Bill job={job} />
          <Again job={job} />
          <Labels job={job} onChange={renew} />
          <FromCode job={job} />
        </div>
      </div>
      {asking === "cancel" && (
        <Confirm
          title="Cancel this job?"
          verb="Cancel the job"
          onClose={() => setAsking(null)}
          act={async () => {
            renew(await api.post("/api/v1/jobs/{job_id}/cancel", { path: { job_id: id } }));
            jobRenewed(client, id);
            toast("Cancelled. The rest of what was set aside is yours again.");
          }}
        >
          What is done is kept and stays paid: <Money of={job.cost.captured} /> so far. Nothing more is charged, and the
          rest of the <Money of={job.cost.held} /> set aside comes back at once.
        </Confirm>
      )}
      {asking === "budget" && <AddBudget job={job} onDone={renew} onClose={() => setAsking(null)} />}
    </>
  );
}

function Waiting({ job, onAddBudget }: { job: Job; onAddBudget: () => void }) {
  const words = isOpen(job) ? waitingWords(job.waiting_reason) : null;
  if (!words) return null;
  return (
    <div className="notice warn" role="status">
      <strong>
        It waits: {words[0].toLowerCase()}
        {job.waiting_since && (
          <span className="soft">
            {" "}
            (since <Ago at={job.waiting_since} />)
          </span>
        )}
      </strong>
      <span>{words[1]}</span>
      {job.waiting_reason === "funds" && (
        <div>
          <button type="button" className="button small" onClick={onAddBudget}>
            Add to the budget
          </button>
        </div>
      )}
    </div>
  );
}

function FailedItems({ job }: { job: Job }) {
  const shown = job.errors ?? [];
  return (
    <section className="sheet">
      <div className="sheet-head">
        <h2>Items that failed</h2>
        <span className="soft">{countText(job.progress.items_failed)}</span>
      </div>
      <p className="soft">Only these could not be used; their neighbours are delivered.</p>
      <ul className="list tightly">
        {shown.map((failure) => (
          <li key={failure.index} className="row">
            <code>item {failure.index}</code>
            <span className="wrap grow">{failure.detail || failure.code.replaceAll("_", " ")}</span>
          </li>
        ))}
      </ul>
      {shown.length < job.progress.items_failed && (
        <p className="small soft">The first {shown.length} are shown. The results list them all.</p>
      )}
    </section>
  );
}

function Timeline({ job }: { job: Job }) {
  const query = useQuery(timelineQuery(job.id));
  return (
    <section className="sheet">
      <div className="sheet-head">
        <h2>Who ran what, when</h2>
        <span className="small soft">{plural(job.progress.subtasks_total, "part")}</span>
      </div>
      {query.isPending && <Skeleton lines={3} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data?.lanes.length === 0 && <p className="soft">Nothing has been run yet.</p>}
      {query.data && query.data.lanes.length > 0 && <Gantt timeline={query.data} />}
    </section>
  );
}

function Labels({ job, onChange }: { job: Job; onChange: (job: Job) => void }) {
  const [labels, setLabels] = useState<Record<string, string> | null>(null);
  const save = (wanted: Record<string, string>) => {
    setLabels(wanted);
    api
      .patch("/api/v1/jobs/{job_id}", { path: { job_id: job.id }, body: { labels: wanted } })
      .then(onChange, toastError)
      .finally(() => setLabels(null));
  };
  return (
    <section className="sheet">
      <h2>Labels</h2>
      <LabelsEditor labels={labels ?? job.labels} onChange={save} />
    </section>
  );
}

function FromCode({ job }: { job: Job }) {
  const [what, setWhat] = useState<"results" | "job">("results");
  const manifest = useQuery({ ...resultsQuery(job.id), enabled: !isOpen(job) && !job.results_deleted_at });
  const said = useQuery(jobRequest(job.id));
  const model = useQuery(modelQuery(job.model_version_id));
  const kind = (model.data && givenInputs(model.data)[0]?.kind) ?? "tensor";
  const code =
    what === "results"
      ? jobSnippets(location.origin, job.id, manifest.data?.outputs[0]?.name ?? "output")
      : submitSnippets(location.origin, shortened(said.data?.request ?? {}, job.model), kind);
  return (
    <section className="sheet">
      <h2>The same from code</h2>
      <Choose
        label="What to do"
        names={{ results: "Its results", job: "A job like it" }}
        value={what}
        onChange={setWhat}
      />
      <SnippetTabs of={code} />
    </section>
  );
}

function AddBudget({ job, onDone, onClose }: { job: Job; onDone: (job: Job) => void; onClose: () => void }) {
  const [amount, setAmount] = useState("");
  const [error, setError] = useState<unknown>(null);
  const exact = typedAmount(amount);
  return (
    <Dialog title="Add to the budget" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (exact) {
            api
              .post("/api/v1/jobs/{job_id}/budget", { path: { job_id: job.id }, body: { add_usd: exact } })
              .then((changed) => {
                onDone(changed);
                toast("Added. The job goes on.");
                onClose();
              }, setError);
          }
        }}
      >
        <Field
          label="How much more it may cost"
          hint="From your own credit. What is not used comes back at the end."
          error={amount && !exact ? "Write an amount such as 1.50." : null}
        >
          <DollarInput value={amount} onChange={setAmount} />
        </Field>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <Act type="submit" className="button primary" because={exact ? null : "Write how much first."}>
            Add
          </Act>
          <button type="button" className="button" onClick={onClose}>
            Leave it
          </button>
        </div>
      </form>
    </Dialog>
  );
}
