import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, type Schemas } from "../api/client";
import { machines as machinesQuery, joinTokens as tokensQuery } from "../api/queries";
import { plural, typedAmount } from "../ui/amounts";
import { Confirm, Dialog } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { Ago, Bar, Code, CopyButton, Empty, Failure, Field, Head, Id, Money, Skeleton, Status } from "../ui/small";
import { toast, toastError } from "../ui/toasts";

type Machine = Schemas["ProviderOut"];
type Slot = Schemas["SlotOut"];
const HOUR_S = 3600;

export function MachinesPage() {
  const query = useQuery(machinesQuery);
  const [joining, setJoining] = useState(false);
  const machines = query.data?.data ?? [];
  return (
    <>
      <Head
        title="Machines"
        intro="What you lend. Models run on it in a sandbox, without network and without your files."
      >
        <button type="button" className="button primary" onClick={() => setJoining(true)}>
          <Icon name="plus" /> Add a machine
        </button>
      </Head>
      {joining && <Join known={machines} onClose={() => setJoining(false)} />}
      {query.isPending && <Skeleton />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && machines.length === 0 && !joining && (
        <section className="sheet">
          <Empty
            title="Lend your first machine"
            action={
              <button type="button" className="button primary" onClick={() => setJoining(true)}>
                Show me how
              </button>
            }
          >
            One command on any computer with Python finds and measures what it has. It earns for each second that it
            works; you set the price and may pause it at any time.
          </Empty>
        </section>
      )}
      <div className="stack">
        {machines.map((machine) => (
          <MachineSheet key={machine.id} machine={machine} />
        ))}
      </div>
      <Tokens />
    </>
  );
}

function Join({ known, onClose }: { known: readonly Machine[]; onClose: () => void }) {
  const [label, setLabel] = useState("");
  const [made, setMade] = useState<{ token: Schemas["NewJoinTokenOut"]; before: ReadonlySet<string> } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const arrived = made && known.find((machine) => !made.before.has(machine.id));
  const make = () =>
    api
      .post("/api/v1/providers/join-tokens", { body: { label: label || "machine", uses_max: 1, expires_s: HOUR_S } })
      .then(
        (token) => {
          setMade({ token, before: new Set(known.map((machine) => machine.id)) });
          void client.invalidateQueries({ queryKey: ["join-tokens"] });
        },
        (reason) => setError(reason),
      );
  return (
    <section className="sheet" aria-label="Add a machine">
      <div className="row apart">
        <h2>Add a machine</h2>
        <button type="button" className="icon-button" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <div className="stack">
        <h3 className="step">
          <b>1</b> Make a token
        </h3>
        {made ? (
          <p className="soft">
            <Icon name="check" size={15} /> Made. It lets one machine join, within an hour.
          </p>
        ) : (
          <form
            className="row"
            onSubmit={(event) => {
              event.preventDefault();
              void make();
            }}
          >
            <input
              type="text"
              aria-label="What the token is for"
              placeholder="what it is for, such as: workshop PC"
              maxLength={100}
              value={label}
              onChange={(event) => setLabel(event.target.value)}
              className="join-label"
            />
            <button type="submit" className="button primary">
              Make a token
            </button>
          </form>
        )}
        {error !== null && <Failure error={error} />}
      </div>
      {made && (
        <>
          <div className="stack">
            <h3 className="step">
              <b>2</b> Run this on the machine
            </h3>
            <Code>{`curl -fsSL ${location.origin}/join | sh -s -- --token ${made.token.token}`}</Code>
            <p className="small soft">
              It needs Python and nothing else, and installs into a folder of its own. The token is shown this once; we
              keep only its hash. Windows, or no curl? <a href="/join">Other ways to join</a>.
            </p>
          </div>
          <div className="stack" role="status">
            <h3 className="step">
              <b>3</b> See it come
            </h3>
            {arrived ? (
              <p>
                <Status of={arrived.status}>
                  {arrived.name} is {arrived.status}
                </Status>
              </p>
            ) : (
              <p className="soft">
                <Status of="running">waiting for it</Status>
              </p>
            )}
          </div>
        </>
      )}
    </section>
  );
}

function MachineSheet({ machine }: { machine: Machine }) {
  const client = useQueryClient();
  const [asking, setAsking] = useState<"drain" | "remove" | "price" | null>(null);
  const id = { provider_id: machine.id };
  const renew = () => client.invalidateQueries({ queryKey: ["machines"] });
  const change = (body: Partial<Schemas["ProviderChangeIn"]>, words: string) =>
    api.patch("/api/v1/providers/{provider_id}", { path: id, body: { slots: [], ...body } }).then(async () => {
      await renew();
      toast(words);
    });
  const report = machine.agent_state as {
    state?: string;
    metrics?: Record<string, number>;
    slots?: { slot: number; state: string }[];
  };
  const facts = machine.capabilities as {
    cpu?: string;
    cpu_cores?: number;
    memory_gib?: number;
    isolation?: string;
    onnxruntime_version?: string;
  };
  const lives = machine.status === "online" || machine.status === "draining" || machine.status === "paused";
  return (
    <section className="sheet" aria-label={machine.name}>
      <div className="row apart">
        <div className="stack tight">
          <div className="row">
            <h2 className="wrap">{machine.name}</h2>
            <Status of={machine.status} />
          </div>
          <span className="small soft">
            {facts.cpu}, {facts.cpu_cores} cores, {facts.memory_gib?.toFixed(1)} GiB, region {machine.region}
            {machine.last_heartbeat_at && (
              <>
                , heard <Ago at={machine.last_heartbeat_at} />
              </>
            )}
          </span>
        </div>
        <div className="row">
          {machine.status === "paused" && machine.holding && (
            <span className="small soft">{machine.holding.detail}</span>
          )}
          {machine.status === "paused" && !machine.holding && (
            <button
              type="button"
              className="button small"
              onClick={() => change({ state: "online" }, `${machine.name} takes work again.`).catch(toastError)}
            >
              Take work again
            </button>
          )}
          {machine.status === "online" && (
            <button
              type="button"
              className="button small"
              onClick={() =>
                change({ state: "paused" }, `${machine.name} is paused. What runs is finished.`).catch(toastError)
              }
            >
              Pause
            </button>
          )}
          <button type="button" className="button small" onClick={() => setAsking("price")}>
            Price
          </button>
          {lives && (
            <button type="button" className="button small" onClick={() => setAsking("drain")}>
              Drain
            </button>
          )}
          <button type="button" className="button danger small" onClick={() => setAsking("remove")}>
            Remove
          </button>
        </div>
      </div>
      <Why machine={machine} />
      <div className="scroll">
        <table className="cards slots">
          <thead>
            <tr>
              <th>Slot</th>
              <th>Device</th>
              <th className="num">Speed, runs a second</th>
              <th className="num">Memory</th>
              <th>Now</th>
              <th className="num">For an hour</th>
            </tr>
          </thead>
          <tbody>
            {machine.slots.map((slot) => (
              <SlotRow
                key={slot.slot}
                slot={slot}
                state={lives ? report.slots?.find((one) => one.slot === slot.slot)?.state : undefined}
              />
            ))}
          </tbody>
        </table>
      </div>
      {lives && report.metrics?.cpu_percent !== undefined && (
        <div className="stack tight small">
          <div className="row apart">
            <span className="soft">Processor</span>
            <span className="num">{Math.round(report.metrics.cpu_percent)} %</span>
          </div>
          <Bar thin done={report.metrics.cpu_percent} total={100} label={`Processor of ${machine.name}`} />
        </div>
      )}
      <details>
        <summary className="small">More about it</summary>
        <dl className="pairs small">
          <dt>Id</dt>
          <dd>
            <Id of={machine.id} />
          </dd>
          <dt>Models run in</dt>
          <dd>{facts.isolation}</dd>
          <dt>ONNX Runtime</dt>
          <dd>{facts.onnxruntime_version}</dd>
          <dt>Agent</dt>
          <dd>{machine.agent_version}</dd>
          <dt>Joined</dt>
          <dd>
            <Ago at={machine.created_at} />
          </dd>
        </dl>
      </details>
      {asking === "price" && (
        <Price
          machine={machine}
          onClose={() => setAsking(null)}
          save={(price) =>
            change({ price_usd_per_hour: price }, "The new price counts for what is given to it from now on.")
          }
        />
      )}
      {asking === "drain" && (
        <Confirm
          title={`Drain ${machine.name}?`}
          verb="Drain it"
          danger={false}
          onClose={() => setAsking(null)}
          act={() =>
            api.post("/api/v1/providers/{provider_id}/drain", { path: id }).then(() => {
              toast("It finishes what runs, then leaves.");
              return renew();
            })
          }
        >
          It finishes what runs, takes nothing new, then leaves. Start <code>provider-join</code> again to bring it
          back.
        </Confirm>
      )}
      {asking === "remove" && (
        <Confirm
          title={`Remove ${machine.name}?`}
          verb="Remove it"
          onClose={() => setAsking(null)}
          act={() =>
            api.delete("/api/v1/providers/{provider_id}", { path: id }).then(() => {
              toast(`${machine.name} is removed.`);
              return renew();
            })
          }
        >
          Its credential is refused and its node ended at once; what runs on it is given to others and not paid. What it
          earned stays yours. Drain it first to lose nothing.
        </Confirm>
      )}
    </section>
  );
}

/** What stands between this machine and an income, as far as facts say. */
function Why({ machine }: { machine: Machine }) {
  const off = machine.slots.filter((slot) => !slot.enabled).length;
  const reasons: Partial<Record<Machine["status"], string>> = {
    offline: "It is off line and earns nothing: no sign of life comes from it. Start provider-join on it again.",
    paused: "It is paused and takes no work.",
    enrolled: "It has enrolled and starts its node. That takes up to a minute.",
    draining: "It finishes what it has, then leaves.",
  };
  const reason = reasons[machine.status] ?? (off === machine.slots.length ? "Every slot is switched off." : null);
  return reason ? <p className="notice warn">{reason}</p> : null;
}

function SlotRow({ slot, state }: { slot: Slot; state: string | undefined }) {
  return (
    <tr>
      <td data-label="Slot">{slot.slot}</td>
      <td data-label="Device">
        {slot.device} <span className="badge">{slot.accelerator}</span>
      </td>
      <td className="num" data-label="Speed, runs a second">
        {Math.round(slot.benchmark_runs_per_s).toLocaleString("en-US")}
      </td>
      <td className="num" data-label="Memory">
        {slot.memory_gib.toFixed(1)} GiB
      </td>
      <td data-label="Now">{slot.enabled ? (state ?? "off line") : "switched off"}</td>
      <td className="num" data-label="For an hour">
        <Money of={slot.price_per_hour} />
      </td>
    </tr>
  );
}

function Price({
  machine,
  save,
  onClose,
}: {
  machine: Machine;
  save: (price: string) => Promise<void>;
  onClose: () => void;
}) {
  const [price, setPrice] = useState(
    machine.slots[0] ? machine.slots[0].price_per_hour.usd.replace(/0+$/, "").replace(/\.$/, "") : "",
  );
  const [error, setError] = useState<unknown>(null);
  const exact = typedAmount(price);
  return (
    <Dialog title={`Price of ${machine.name}`} onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (exact) save(exact).then(onClose, setError);
        }}
      >
        <Field
          label="For an hour of each slot"
          hint="You get this less the platform's commission. Work that is given already keeps its price."
          error={exact ? null : "Write an amount such as 0.25."}
        >
          <span className="money-input">
            <span aria-hidden="true">$</span>
            <input type="text" inputMode="decimal" value={price} onChange={(event) => setPrice(event.target.value)} />
          </span>
        </Field>
        <p className="small">
          <Link to="/marketplace">See what others ask</Link>
        </p>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <button type="submit" className="button primary" disabled={!exact}>
            Set the price
          </button>
          <button type="button" className="button" onClick={onClose}>
            Keep it
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Tokens() {
  const query = useQuery(tokensQuery);
  const client = useQueryClient();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 10_000);
    return () => clearInterval(timer);
  }, []);
  const live = (query.data?.data ?? []).filter(
    (token) => !token.revoked_at && Date.parse(token.expires_at) > now && token.uses < token.uses_max,
  );
  if (live.length === 0) return null;
  return (
    <section className="sheet">
      <h2>Open join tokens</h2>
      <ul className="list tightly">
        {live.map((token) => (
          <li key={token.id} className="row apart">
            <span>
              {token.label} <code className="soft">{token.hint}…</code>
              <CopyButton text={token.id} what="id" />
              <br />
              <span className="small soft">
                lets {plural(token.uses_max - token.uses, "more machine", "more machines")} join, ends{" "}
                <Ago at={token.expires_at} />
              </span>
            </span>
            <button
              type="button"
              className="button small"
              onClick={() =>
                api
                  .delete("/api/v1/providers/join-tokens/{token_id}", { path: { token_id: token.id } })
                  .then(() => {
                    toast("Nobody joins with it any more.");
                    return client.invalidateQueries({ queryKey: ["join-tokens"] });
                  })
                  .catch(toastError)
              }
            >
              Revoke
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
