import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { api, type Schemas } from "../api/client";
import { isOpen, results as resultsQuery, subtasks as subtasksQuery } from "../api/queries";
import { Gantt } from "../jobs/gantt";
import { useJob } from "../jobs/live";
import { remembered } from "../jobs/remembered";
import { Results } from "../jobs/results";
import { jobSnippets } from "../jobs/snippets";
import { waitingWords } from "../jobs/words";
import { job as route } from "../router";
import { countText, plural, secondsText, typedAmount } from "../ui/amounts";
import { Confirm, Dialog } from "../ui/dialog";
import { Ago, Bar, Fact, Failure, Field, Head, Id, Money, Skeleton, Status } from "../ui/small";
import { SnippetTabs } from "../ui/snippets";
import { toast } from "../ui/toasts";

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
  const renew = (changed: Job) => client.setQueryData(["jobs", "one", id], changed);

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
        <Link to="/jobs/new" search={remembered(id) ? { again: id } : { model: job.model }} className="button">
          {remembered(id) ? "Run again" : "New job with this model"}
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
        </div>
        <div className="stack">
          <Bill job={job} />
          <section className="sheet">
            <h2>The same from code</h2>
            <Snippets job={job} />
          </section>
        </div>
      </div>
      {asking === "cancel" && (
        <Confirm
          title="Cancel this job?"
          verb="Cancel the job"
          onClose={() => setAsking(null)}
          act={async () => {
            renew(await api.post("/api/v1/jobs/{job_id}/cancel", { path: { job_id: id } }));
            void client.invalidateQueries({ queryKey: ["jobs"] });
            void client.invalidateQueries({ queryKey: ["wallet"] });
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

const WINDOW_MS = 5000;
/** Items a second within the last few seconds, from what came live; null before two events. */
function useSpeed(done: number): number | null {
  const seen = useRef<[number, number][]>([]);
  return useMemo(() => {
    const at = Date.now();
    seen.current = [...seen.current.filter(([moment]) => at - moment < WINDOW_MS), [at, done]];
    const [oldest] = seen.current;
    return oldest && at > oldest[0] ? (1000 * (done - oldest[1])) / (at - oldest[0]) : null;
  }, [done]);
}

function Progress({ job }: { job: Job }) {
  const { progress, cost } = job;
  const ended = progress.items_done + progress.items_failed;
  const speed = useSpeed(ended);
  const mean = job.run_s > 0 ? ended / job.run_s : 0;
  const now = isOpen(job) ? speed : mean;
  return (
    <section className="sheet" aria-label="Progress">
      <div className="stack tight">
        <div className="row apart num">
          <strong>
            {countText(ended)} of {plural(progress.items_total, "item")}
          </strong>
          <span className="soft">
            {progress.items_total ? `${Math.floor((100 * ended) / progress.items_total)} %` : ""}
          </span>
        </div>
        <Bar
          done={progress.items_done}
          failed={progress.items_failed}
          total={progress.items_total}
          label="Items done"
        />
      </div>
      <dl className="facts">
        <Fact name={isOpen(job) ? "Items a second now" : "Items a second"}>
          {now ? now.toFixed(now < 10 ? 1 : 0) : "none yet"}
        </Fact>
        <Fact
          name={isOpen(job) ? "Cost so far" : "Cost"}
          note={
            <>
              of <Money of={cost.held} /> set aside
            </>
          }
        >
          <Money of={cost.captured} />
        </Fact>
        <Fact name="Waited">{secondsText(job.queue_s)}</Fact>
        <Fact name="Ran" note={`${progress.subtasks_done} of ${plural(progress.subtasks_total, "part")}`}>
          {job.started_at ? secondsText(job.run_s) : "not yet"}
        </Fact>
      </dl>
    </section>
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
  const query = useInfiniteQuery(subtasksQuery(job.id));
  const parts = useMemo(() => query.data?.pages.flatMap((page) => page.data) ?? [], [query.data]);
  const names = useMemo(
    () => new Map((job.cost.by_provider ?? []).map((share) => [share.provider_id, share.name])),
    [job.cost.by_provider],
  );
  const tried = parts.some((part) => part.attempts.length > 0);
  return (
    <section className="sheet">
      <div className="sheet-head">
        <h2>Who ran what, when</h2>
        <span className="small soft">{plural(job.progress.subtasks_total, "part")}</span>
      </div>
      {query.isPending && <Skeleton lines={3} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && !tried && <p className="soft">Nothing has been run yet.</p>}
      {tried && <Gantt subtasks={parts} names={names} />}
      {query.hasNextPage && (
        <div className="row">
          <span className="small soft">The first {countText(parts.length)} parts are drawn.</span>
          <button
            type="button"
            className="button small"
            disabled={query.isFetchingNextPage}
            onClick={() => query.fetchNextPage()}
          >
            Draw more
          </button>
        </div>
      )}
    </section>
  );
}

function Bill({ job }: { job: Job }) {
  const shares = job.cost.by_provider ?? [];
  const { cost } = job;
  return (
    <section className="sheet">
      <h2>{isOpen(job) ? "Bill so far" : "Bill"}</h2>
      {shares.length > 0 && (
        <ul className="list tightly">
          {shares.map((share) => (
            <li key={share.provider_id} className="row apart">
              <span>
                {share.name}
                <br />
                <span className="small soft">
                  {plural(share.subtasks, "part")}, {secondsText(share.seconds)} billed
                </span>
              </span>
              <Money of={share.gross} aligned />
            </li>
          ))}
        </ul>
      )}
      <dl className="bill">
        <dt>Charged{isOpen(job) ? " so far" : ""}</dt>
        <dd>
          <strong>
            <Money of={cost.captured} aligned />
          </strong>
        </dd>
        <dt className="soft">of it to the platform</dt>
        <dd className="soft">
          <Money of={cost.commission} aligned />
        </dd>
        <dt>Set aside at the start</dt>
        <dd>
          <Money of={cost.held} aligned />
        </dd>
        {!isOpen(job) && (
          <>
            <dt>Given back</dt>
            <dd>
              <Money of={cost.released} aligned />
            </dd>
          </>
        )}
      </dl>
      <p className="small soft">
        Only seconds of tries that delivered are charged. Loading a model, waiting and failed tries cost nothing.
      </p>
      {job.own_machines && <p className="small soft">Parts that ran on machines of your own cost nothing.</p>}
    </section>
  );
}

function Snippets({ job }: { job: Job }) {
  const { data } = useQuery({ ...resultsQuery(job.id), enabled: !isOpen(job) });
  return <SnippetTabs of={jobSnippets(location.origin, job.id, data?.outputs[0]?.name ?? "output")} />;
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
          <span className="money-input">
            <span>$</span>
            <input type="text" inputMode="decimal" value={amount} onChange={(event) => setAmount(event.target.value)} />
          </span>
        </Field>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <button type="submit" className="button primary" disabled={!exact}>
            Add
          </button>
          <button type="button" className="button" onClick={onClose}>
            Leave it
          </button>
        </div>
      </form>
    </Dialog>
  );
}
