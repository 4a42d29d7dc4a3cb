/** Webhooks: addresses of one's own that are told what happens to one's jobs, and what they answered. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas } from "../api/client";
import { Act } from "../ui/act";
import { Confirm } from "../ui/dialog";
import { Ago, Empty, Failure, Field, ShownOnce, Skeleton } from "../ui/small";
import { toast, toastError } from "../ui/toasts";
import { deliveryWords, EVENTS, type Event, stateWords } from "./told";

type Webhook = Schemas["WebhookOut"];

const KEY = ["webhooks"];
const SHOWN = 10;
const LOOK_AGAIN_MS = 2000;

export function Webhooks() {
  const client = useQueryClient();
  const query = useQuery({
    queryKey: KEY,
    queryFn: () => api.get("/api/v1/webhooks", { query: { limit: 100 } }),
  });
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Schemas["WebhookCreated"] | null>(null);
  const [deleting, setDeleting] = useState<Webhook | null>(null);
  // The list alone: what was told to a webhook that is gone must not be asked for.
  const renew = () => client.invalidateQueries({ queryKey: KEY, exact: true });
  return (
    <section className="sheet">
      <div className="row apart">
        <div>
          <h2>Webhooks</h2>
          <p className="soft">Addresses of your own that are told when jobs end and when results will go.</p>
        </div>
        <button type="button" className="button primary" aria-expanded={making} onClick={() => setMaking(!making)}>
          New webhook
        </button>
      </div>
      {made && (
        <ShownOnce secret={made.secret} what="secret" onDone={() => setMade(null)}>
          Copy the secret now; it is shown this once. It tells your program that we have written.
        </ShownOnce>
      )}
      {making && (
        <NewWebhook
          onMade={(webhook) => {
            setMade(webhook);
            setMaking(false);
            void renew();
          }}
        />
      )}
      {query.isPending && <Skeleton lines={2} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data?.data.length === 0 && !making && (
        <Empty title="No webhooks yet">Make one to have a program of yours told instead of asking.</Empty>
      )}
      <ul className="list tightly">
        {query.data?.data.map((webhook) => (
          <One key={webhook.id} webhook={webhook} onDelete={() => setDeleting(webhook)} />
        ))}
      </ul>
      {deleting && (
        <Confirm
          title="Delete this webhook?"
          verb="Delete it"
          onClose={() => setDeleting(null)}
          act={() =>
            api.delete("/api/v1/webhooks/{webhook_id}", { path: { webhook_id: deleting.id } }).then(() => {
              toast("It is told nothing any more.");
              return renew();
            })
          }
        >
          {deleting.url} is told nothing any more, and what it was told is forgotten. That cannot be undone.
        </Confirm>
      )}
    </section>
  );
}

function One({ webhook, onDelete }: { webhook: Webhook; onDelete: () => void }) {
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const path = { webhook_id: webhook.id };
  const renew = () => client.invalidateQueries({ queryKey: KEY });
  const ping = () =>
    api.post("/api/v1/webhooks/{webhook_id}/ping", { path }).then(() => {
      setOpen(true);
      return renew();
    }, toastError);
  const turn = () =>
    api.patch("/api/v1/webhooks/{webhook_id}", { path, body: { enabled: !webhook.enabled } }).then(renew, toastError);
  return (
    <li className="stack tight">
      <div className="row apart">
        <span className="stack tight">
          <strong className="wrap">{webhook.url}</strong>
          <span className="small soft">
            {webhook.description && `${webhook.description} · `}
            {webhook.events.join(", ")} · {stateWords(webhook)}
          </span>
        </span>
        <span className="row">
          <Act
            type="button"
            className="button small"
            because={webhook.enabled ? null : "It is switched off."}
            onClick={() => void ping()}
          >
            Send a ping
          </Act>
          <button type="button" className="button small" aria-expanded={open} onClick={() => setOpen(!open)}>
            Deliveries
          </button>
          <button type="button" className="button small" onClick={() => void turn()}>
            {webhook.enabled ? "Switch off" : "Switch on"}
          </button>
          <button type="button" className="button danger small" onClick={onDelete}>
            Delete
          </button>
        </span>
      </div>
      {open && <Deliveries webhook={webhook} />}
    </li>
  );
}

function Deliveries({ webhook }: { webhook: Webhook }) {
  const query = useQuery({
    queryKey: [...KEY, webhook.id, "deliveries"],
    queryFn: () =>
      api.get("/api/v1/webhooks/{webhook_id}/deliveries", {
        path: { webhook_id: webhook.id },
        query: { limit: SHOWN },
      }),
    refetchInterval: (known) =>
      known.state.data?.data.some((one) => one.status === "pending") ? LOOK_AGAIN_MS : false,
  });
  const again = (id: string) =>
    api
      .post("/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", {
        path: { webhook_id: webhook.id, delivery_id: id },
      })
      .then(() => query.refetch(), toastError);
  return (
    <>
      {query.isPending && <Skeleton lines={2} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data?.data.length === 0 && <p className="small soft">It was told nothing yet.</p>}
      <ul className="list tightly">
        {query.data?.data.map((delivery) => (
          <li key={delivery.id} className="row apart">
            <span className="stack tight">
              <span>
                {delivery.event} <span className="small soft">{delivery.job_id}</span>
              </span>
              <span className="small soft">
                <Ago at={delivery.created_at} /> · {deliveryWords(delivery)}
              </span>
            </span>
            <button
              type="button"
              className="button small"
              disabled={!webhook.enabled || delivery.status === "pending"}
              onClick={() => void again(delivery.id)}
            >
              Send again
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

function NewWebhook({ onMade }: { onMade: (webhook: Schemas["WebhookCreated"]) => void }) {
  const [url, setUrl] = useState("");
  const [description, setDescription] = useState("");
  const [events, setEvents] = useState<Event[]>(Object.keys(EVENTS) as Event[]);
  const [error, setError] = useState<unknown>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    api.post("/api/v1/webhooks", { body: { url, description, events } }).then(onMade, setError);
  };
  return (
    <form className="stack" onSubmit={submit}>
      <div className="grid-fields">
        <Field label="Address">
          <input
            type="url"
            required
            maxLength={2000}
            placeholder="https://example.com/fabric"
            value={url}
            onChange={(event) => setUrl(event.target.value)}
          />
        </Field>
        <Field label="What is it for?">
          <input
            type="text"
            maxLength={200}
            value={description}
            onChange={(event) => setDescription(event.target.value)}
          />
        </Field>
      </div>
      <fieldset className="stack tight">
        <legend className="label">Tell it when</legend>
        {(Object.keys(EVENTS) as Event[]).map((name) => (
          <label className="check" key={name}>
            <input
              type="checkbox"
              checked={events.includes(name)}
              onChange={(event) =>
                setEvents(event.target.checked ? [...events, name] : events.filter((one) => one !== name))
              }
            />
            <span>
              {EVENTS[name]} <span className="soft small">({name})</span>
            </span>
          </label>
        ))}
      </fieldset>
      {error !== null && <Failure error={error} />}
      <div>
        <Act
          type="submit"
          className="button primary"
          because={events.length === 0 ? "Choose what it is told first." : null}
        >
          Make the webhook
        </Act>
      </div>
    </form>
  );
}
