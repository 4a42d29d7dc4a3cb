import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas } from "../api/client";
import { Act } from "../ui/act";
import { Ago, Failure, Field, Older, Skeleton } from "../ui/small";
import { toast } from "../ui/toasts";
import { FIRST, nextOf } from "./paged";

type Decided = Schemas["DecidedPricesOut"];
type Table = Schemas["DeviceTableBody"];
const percent = (bps: number) => `${(bps / 100).toFixed(2).replace(/\.?0+$/, "")} %`;

/** "12.5" → 1250 basis points; null when it is none. */
export function bpsOf(text: string): number | null {
  const found = /^(\d{1,2})(?:[.,](\d{1,2}))?$/.exec(text.trim());
  if (!found) return null;
  const bps = Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0") || 0);
  return bps <= 5000 ? bps : null;
}

export function Prices() {
  const query = useQuery({ queryKey: ["operator", "prices"], queryFn: () => api.get("/api/v1/operator/prices") });
  if (query.isPending) return <Skeleton lines={8} />;
  if (query.error) return <Failure error={query.error} retry={() => query.refetch()} />;
  return (
    <div className="columns">
      <div className="stack wide">
        <DeviceTable decided={query.data} />
        <Changes />
      </div>
      <Commission decided={query.data} />
    </div>
  );
}

function Commission({ decided }: { decided: Decided }) {
  const [text, setText] = useState(() => (decided.commission_bps / 100).toString());
  const [reason, setReason] = useState("");
  const bps = bpsOf(text);
  return (
    <section className="sheet">
      <h2>Commission</h2>
      <p>
        <strong>{percent(decided.commission_bps)}</strong> of the price{" "}
        <span className="soft">
          {decided.commission_since ? (
            <>
              since <Ago at={decided.commission_since} />
            </>
          ) : (
            "as this fabric was set up"
          )}
        </span>
      </p>
      <Decision
        reason={reason}
        setReason={setReason}
        wrong={bps === null || bps === decided.commission_bps}
        body={() => ({ commission_bps: bps, reason: reason.trim() })}
      >
        <Field label="New commission, in percent" error={bps === null ? "Between 0 and 50, such as 12.5." : null}>
          <input type="text" inputMode="decimal" value={text} onChange={(event) => setText(event.target.value)} />
        </Field>
      </Decision>
    </section>
  );
}

const RATES: [Exclude<keyof Table, "devices" | "other">, string][] = [
  ["cpu_thread_usd_per_hour", "A processor's thread"],
  ["npu_usd_per_hour", "An NPU"],
  ["memory_gib_usd_per_hour", "Each GiB of an accelerator"],
  ["watt_usd_per_hour", "Each watt of an accelerator"],
];

function DeviceTable({ decided }: { decided: Decided }) {
  const [editing, setEditing] = useState(false);
  const table = decided.devices;
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>Suggested rates, USD an hour</h2>
        <button type="button" className="button small" aria-expanded={editing} onClick={() => setEditing(!editing)}>
          {editing ? "Leave it" : "Change"}
        </button>
      </div>
      {editing ? (
        <EditTable table={table} onDone={() => setEditing(false)} />
      ) : (
        <table>
          <thead>
            <tr>
              <th>Device</th>
              <th className="num">USD/h</th>
              <th className="num">Watts</th>
            </tr>
          </thead>
          <tbody>
            {table.devices.map((device) => (
              <tr key={device.match}>
                <td>{device.match}</td>
                <td className="num">{plain(device.usd_per_hour)}</td>
                <td className="num">{device.watts}</td>
              </tr>
            ))}
            <tr>
              <td>Any other accelerator</td>
              <td className="num">{plain(table.other.usd_per_hour)}</td>
              <td className="num">{table.other.watts}</td>
            </tr>
            {RATES.map(([name, words]) => (
              <tr key={name}>
                <td>{words}</td>
                <td className="num">{plain(table[name])}</td>
                <td />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

const plain = (usd: string) => usd.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
const isRate = (text: string) => /^\d{1,6}(\.\d{1,9})?$/.test(text.trim());

function EditTable({ table, onDone }: { table: Table; onDone: () => void }) {
  const [next, setNext] = useState(table);
  const [reason, setReason] = useState("");
  const set = (match: string, usd: string) =>
    setNext({
      ...next,
      devices: next.devices.map((device) => (device.match === match ? { ...device, usd_per_hour: usd } : device)),
    });
  const all = [
    ...next.devices.map((device) => device.usd_per_hour),
    next.other.usd_per_hour,
    ...RATES.map(([name]) => next[name]),
  ];
  return (
    <Decision
      reason={reason}
      setReason={setReason}
      wrong={!all.every(isRate)}
      body={() => ({ devices: next, reason: reason.trim() })}
      onDone={onDone}
    >
      <div className="rate-fields">
        {next.devices.map((device) => (
          <Field key={device.match} label={device.match}>
            <input
              type="text"
              inputMode="decimal"
              value={plain(device.usd_per_hour)}
              onChange={(event) => set(device.match, event.target.value)}
            />
          </Field>
        ))}
        <Field label="Any other accelerator">
          <input
            type="text"
            inputMode="decimal"
            value={plain(next.other.usd_per_hour)}
            onChange={(event) => setNext({ ...next, other: { ...next.other, usd_per_hour: event.target.value } })}
          />
        </Field>
        {RATES.map(([name, words]) => (
          <Field key={name} label={words}>
            <input
              type="text"
              inputMode="decimal"
              value={plain(next[name])}
              onChange={(event) => setNext({ ...next, [name]: event.target.value })}
            />
          </Field>
        ))}
      </div>
    </Decision>
  );
}

function Decision({
  children,
  reason,
  setReason,
  wrong,
  body,
  onDone,
}: {
  children: React.ReactNode;
  reason: string;
  setReason: (reason: string) => void;
  wrong: boolean;
  body: () => Schemas["PriceChangeIn"];
  onDone?: () => void;
}) {
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    api.put("/api/v1/operator/prices", { body: body() }).then(() => {
      toast("Decided. It counts for jobs that are submitted from now on.");
      setReason("");
      onDone?.();
      return client.invalidateQueries({ queryKey: ["operator", "prices"] });
    }, setError);
  };
  return (
    <form className="stack" onSubmit={submit}>
      {children}
      <Field label="Why" hint="Kept for ever, with your name. Jobs that were submitted before keep what they have.">
        <input
          type="text"
          required
          maxLength={500}
          value={reason}
          onChange={(event) => setReason(event.target.value)}
        />
      </Field>
      {error !== null && <Failure error={error} />}
      <div>
        <Act
          type="submit"
          className="button primary"
          because={wrong ? "The commission is not right yet." : reason.trim() ? null : "Say why first."}
        >
          Decide
        </Act>
      </div>
    </form>
  );
}

function Changes() {
  const query = useInfiniteQuery({
    queryKey: ["operator", "prices", "changes"],
    queryFn: ({ pageParam }) => api.get("/api/v1/operator/prices/changes", { query: { limit: 20, cursor: pageParam } }),
    initialPageParam: FIRST,
    getNextPageParam: nextOf,
  });
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <section className="sheet">
      <h2>What was decided</h2>
      {query.isPending && <Skeleton lines={3} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && rows.length === 0 && <p className="soft">Nothing yet: prices are as this fabric was set up.</p>}
      <ul className="list tightly">
        {rows.map((change) => (
          <li key={change.id} className="row apart">
            <span>
              {change.commission_bps === null ? "Rates of devices" : `Commission of ${percent(change.commission_bps)}`}
              {!change.in_effect && <span className="badge">to come</span>}
              <br />
              <span className="small soft wrap">{change.reason}</span>
            </span>
            <span className="small soft">
              <Ago at={change.effective_at} />
            </span>
          </li>
        ))}
      </ul>
      {query.hasNextPage && (
        <div>
          <Older of={query} />
        </div>
      )}
    </section>
  );
}
