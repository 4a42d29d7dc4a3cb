/** A model tried on a single item: a job like any other, of one item, that may cost no more than is said before. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { api, type Schemas } from "../api/client";
import { isOpen } from "../api/queries";
import { countedItems, type Draft, gathered, givenInputs, NOTHING } from "../jobs/drafts";
import { InputEditor } from "../jobs/input-editor";
import { useJob } from "../jobs/live";
import { jobChanged } from "../jobs/queries";
import { Results } from "../jobs/results";
import { uploaded } from "../jobs/upload";
import { waitingWords } from "../jobs/words";
import { Act } from "../ui/act";
import { secondsText } from "../ui/amounts";
import { Failure, Money, Skeleton, Status } from "../ui/small";

type Model = Schemas["ModelOut"];

export function TryIt({ model }: { model: Model }) {
  const client = useQueryClient();
  const given = useMemo(() => givenInputs(model), [model]);
  const [drafts, setDrafts] = useState<Record<string, Draft>>({});
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [tried, setTried] = useState<string | null>(null);
  const reference = `${model.name}:${model.version}`;
  const quote = useQuery({
    queryKey: ["quotes", "one", model.version_id],
    queryFn: () => api.post("/api/v1/quotes", { body: { model: reference, items: 1 } as Schemas["QuoteIn"] }),
    staleTime: 60_000,
  });
  const items = countedItems(given.map(({ name }) => drafts[name] ?? NOTHING));
  const go = async () => {
    setBusy(true);
    setError(null);
    try {
      const inputs = await gathered(model, drafts, uploaded, () => {});
      const hold = quote.data?.hold;
      const job = await api.post("/api/v1/jobs", {
        body: {
          model: reference,
          inputs,
          labels: { tried: "on its page" },
          ...(hold && hold.usd_nanos > 0 && { budget_usd: hold.usd }),
        } as unknown as Schemas["JobIn"],
      });
      jobChanged(client, job);
      setTried(job.id);
    } catch (reason) {
      setError(reason);
    }
    setBusy(false);
  };
  return (
    <section className="sheet" aria-label="Try it">
      <div className="sheet-head">
        <h2>Try it on one item</h2>
        {quote.data && (
          <span className="small soft">
            about <Money of={quote.data.price_expected} />, never more than <Money of={quote.data.hold} />
          </span>
        )}
      </div>
      {given.map(({ name, tensor, kind }) => (
        <InputEditor
          key={name}
          single
          name={name}
          tensor={tensor}
          kind={kind}
          draft={drafts[name] ?? NOTHING}
          onChange={(draft) => setDrafts((all) => ({ ...all, [name]: draft }))}
        />
      ))}
      {quote.data?.capacity.slots_matching === 0 && (
        <p className="notice warn">No machine on line can run it now. It would wait for one.</p>
      )}
      {(error ?? quote.error) !== null && <Failure error={error ?? quote.error} />}
      {items !== null && items > 1 && <p className="small bad">This is {items} items; give one, or start a job.</p>}
      <div className="row">
        <Act
          type="button"
          className="button primary"
          because={busy ? "It is being sent." : items === 1 ? null : "Give one item first."}
          onClick={() => void go()}
        >
          {busy ? "Sending …" : "Try it"}
        </Act>
      </div>
      {tried && <Tried key={tried} id={tried} />}
    </section>
  );
}

function Tried({ id }: { id: string }) {
  const { data: job, error } = useJob(id);
  if (error) return <Failure error={error} />;
  if (!job) return <Skeleton lines={2} />;
  const waits = isOpen(job) ? waitingWords(job.waiting_reason) : null;
  return (
    <div className="stack tried" role="status">
      <div className="row apart">
        <Status of={job.status} />
        <span className="small soft">
          {!isOpen(job) && (
            <>
              <Money of={job.cost.captured} /> in {secondsText(job.queue_s + job.run_s)}
              {" · "}
            </>
          )}
          <Link to="/jobs/$id" params={{ id }}>
            the job
          </Link>
        </span>
      </div>
      {waits && <p className="soft">{waits[0]}</p>}
      {job.error && <p className="notice bad">{job.error.detail || job.error.code}</p>}
      {!isOpen(job) &&
        job.errors?.map((one) => (
          <p key={one.index} className="notice bad">
            {one.detail || one.code}
          </p>
        ))}
      {!isOpen(job) && job.progress.items_done > 0 && <Results job={job} brief />}
    </div>
  );
}
