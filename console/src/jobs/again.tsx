/** A job once more: as it was, with something changed, only what is missing, or kept under a name. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, randomKey, type Schemas } from "../api/client";
import { isOpen } from "../api/queries";
import { plural, secondsText } from "../ui/amounts";
import { Dialog } from "../ui/dialog";
import { Failure, Field, Money, Skeleton } from "../ui/small";
import { toast } from "../ui/toasts";
import { jobChanged, jobRequest } from "./queries";
import { type Request, templateOf } from "./request";

type Job = Schemas["JobOut"];

export function Again({ job }: { job: Job }) {
  const [asking, setAsking] = useState<"same" | "missing" | "template" | null>(null);
  const missing = job.progress.items_total - job.progress.items_done;
  const close = () => setAsking(null);
  return (
    <section className="sheet">
      <h2>Once more</h2>
      <div className="stack tight again">
        <button type="button" className="button" onClick={() => setAsking("same")}>
          Run it again as it was
        </button>
        <Link to="/jobs/new" search={{ again: job.id, inputs: "other" }} className="button">
          With other inputs
        </Link>
        {!isOpen(job) && missing > 0 && !job.results_deleted_at && (
          <button type="button" className="button" onClick={() => setAsking("missing")}>
            Only the {plural(missing, "item")} that {missing === 1 ? "is" : "are"} missing
          </button>
        )}
        <button type="button" className="button quiet" onClick={() => setAsking("template")}>
          Save as a template
        </button>
      </div>
      {job.retry_of && (
        <p className="small soft">
          It does again what{" "}
          <Link to="/jobs/$id" params={{ id: job.retry_of }}>
            another job
          </Link>{" "}
          did not deliver.
        </p>
      )}
      {asking === "same" && <Same job={job} onClose={close} />}
      {asking === "missing" && <Missing job={job} missing={missing} onClose={close} />}
      {asking === "template" && <Template job={job} onClose={close} />}
    </section>
  );
}

/** Submits with one key, so that pressing twice makes one job, and opens it. */
function useSubmit(send: (key: string) => Promise<Job>) {
  const [key] = useState(randomKey);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const navigate = useNavigate();
  const go = () => {
    setBusy(true);
    setError(null);
    send(key).then(
      async (made) => {
        jobChanged(client, made);
        toast("The job is on its way.");
        await navigate({ to: "/jobs/$id", params: { id: made.id } });
      },
      (reason) => {
        setError(reason);
        setBusy(false);
      },
    );
  };
  return { go, busy, error };
}

function Same({ job, onClose }: { job: Job; onClose: () => void }) {
  const said = useQuery(jobRequest(job.id));
  const tried = useQuery({
    queryKey: ["dry-run", job.id],
    queryFn: () => api.post("/api/v1/jobs/dry-run", { body: said.data?.request as unknown as Request }),
    enabled: said.data !== undefined,
    retry: false,
    gcTime: 0,
  });
  const submit = useSubmit((key) =>
    api.post("/api/v1/jobs/{job_id}/rerun", {
      path: { job_id: job.id },
      body: {} as Schemas["WorkChangesIn"],
      idempotencyKey: key,
    }),
  );
  const error = said.error ?? tried.error;
  return (
    <Dialog title="Run it again?" onClose={onClose}>
      {error ? (
        <Failure error={error} />
      ) : tried.data ? (
        <p>
          {tried.data.model} on {plural(tried.data.items, "item")} in {plural(tried.data.subtasks, "part")}: about{" "}
          <strong>
            <Money of={tried.data.quote.price_expected} />
          </strong>
          {tried.data.quote.seconds_expected !== null && `, ${secondsText(tried.data.quote.seconds_expected)}`}. At most{" "}
          <Money of={tried.data.quote.hold} /> is set aside.
          {!tried.data.affordable && " Your credit does not cover that."}
        </p>
      ) : (
        <Skeleton lines={2} />
      )}
      {submit.error !== null && <Failure error={submit.error} />}
      <div className="row">
        <button
          type="button"
          className="button primary"
          disabled={!tried.data?.affordable || submit.busy}
          onClick={submit.go}
        >
          Run it
        </button>
        <Link to="/jobs/new" search={{ again: job.id }} className="button">
          Change something first
        </Link>
      </div>
    </Dialog>
  );
}

function Missing({ job, missing, onClose }: { job: Job; missing: number; onClose: () => void }) {
  const submit = useSubmit((key) =>
    api.post("/api/v1/jobs/{job_id}/retry", {
      path: { job_id: job.id },
      body: {} as Schemas["WorkChangesIn"],
      idempotencyKey: key,
    }),
  );
  return (
    <Dialog title={`Do ${plural(missing, "item")} again?`} onClose={onClose}>
      <p className="soft">
        What this job did not deliver becomes a job of its own: the same version of the model on the same bytes, with
        the same limits. What is delivered already is neither run nor paid again.
      </p>
      {submit.error !== null && <Failure error={submit.error} />}
      <div className="row">
        <button type="button" className="button primary" disabled={submit.busy} onClick={submit.go}>
          Do them again
        </button>
        <button type="button" className="button" onClick={onClose}>
          Leave it
        </button>
      </div>
    </Dialog>
  );
}

function Template({ job, onClose }: { job: Job; onClose: () => void }) {
  const said = useQuery(jobRequest(job.id));
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [withInputs, setWithInputs] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const save = async () => {
    try {
      await api.post("/api/v1/job-templates", { body: templateOf(said.data?.request ?? {}, name, withInputs) });
      await client.invalidateQueries({ queryKey: ["templates"] });
      toast(`Saved. New jobs can begin from ${name}.`);
      onClose();
    } catch (reason) {
      setError(reason);
    }
  };
  return (
    <Dialog title="Save as a template" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Field
          label="Name"
          hint="Letters, digits, dots, dashes and underscores. A template of the same name is replaced."
        >
          <input
            type="text"
            required
            maxLength={100}
            pattern="[A-Za-z0-9][A-Za-z0-9_.\-]*"
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        </Field>
        <label className="check">
          <input type="checkbox" checked={withInputs} onChange={(event) => setWithInputs(event.target.checked)} />
          <span>
            With the inputs <span className="soft small">Else only the model and the limits.</span>
          </span>
        </label>
        {(error ?? said.error) !== null && <Failure error={error ?? said.error} />}
        <div className="row">
          <button type="submit" className="button primary" disabled={!said.data}>
            Save
          </button>
          <button type="button" className="button" onClick={onClose}>
            Leave it
          </button>
        </div>
      </form>
    </Dialog>
  );
}
