import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, randomKey, type Schemas, send } from "../api/client";
import { entries as entriesQuery, history as historyQuery, wallet as walletQuery } from "../api/queries";
import { entryWhy, entryWords, payoutWords } from "../jobs/words";
import { PlayMoney } from "../shell";
import { Act } from "../ui/act";
import { secondsText, typedAmount } from "../ui/amounts";
import { Choose } from "../ui/choose";
import { DayBars } from "../ui/day-bars";
import { Confirm, Dialog } from "../ui/dialog";
import { Ago, Empty, Fact, Failure, Field, Head, Money, Older, Skeleton } from "../ui/small";
import { toast, toastError } from "../ui/toasts";

export function WalletPage() {
  const wallet = useQuery(walletQuery);
  const [asking, setAsking] = useState<"top-up" | "limits" | null>(null);
  if (wallet.isPending) return <Skeleton lines={8} />;
  if (wallet.error) return <Failure error={wallet.error} retry={() => wallet.refetch()} />;
  const purse = wallet.data;
  return (
    <>
      <Head title="Wallet" intro={purse.livemode ? undefined : <PlayMoney />}>
        <button type="button" className="button primary" onClick={() => setAsking("top-up")}>
          Top up
        </button>
        <button type="button" className="button" onClick={() => setAsking("limits")}>
          Limits
        </button>
      </Head>
      {purse.status !== "active" && (
        <p className="notice warn">This wallet is {purse.status}; nothing new can be spent.</p>
      )}
      <dl className="facts">
        <Fact name="Available" note="may be spent">
          <Money of={purse.available} />
        </Fact>
        <Fact name="Set aside" note="for open jobs; what is not used comes back">
          <Money of={purse.held} />
        </Fact>
        {purse.promotional.usd_nanos > 0 && (
          <Fact name="Given to you" note="is spent first">
            <Money of={purse.promotional} />
          </Fact>
        )}
        <Fact name="Earned, free" note="by your machines; may be paid out">
          <Money of={purse.earned_available} />
        </Fact>
        <Fact name="Earned, maturing" note="within the time for disputes">
          <Money of={purse.earned_pending} />
        </Fact>
      </dl>
      <ByDay />
      <div className="columns">
        <Entries />
        <div className="stack">
          <Payouts />
          <Statement />
        </div>
      </div>
      {asking === "top-up" && <TopUp livemode={purse.livemode} onClose={() => setAsking(null)} />}
      {asking === "limits" && <LimitsDialog onClose={() => setAsking(null)} />}
    </>
  );
}

const SPANS = { "7": "7 days", "30": "30 days", "90": "90 days" } as const;

function ByDay() {
  const [span, setSpan] = useState<keyof typeof SPANS>("30");
  const query = useQuery(historyQuery(Number(span)));
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>By day</h2>
        <Choose label="How many days" names={SPANS} value={span} onChange={setSpan} />
      </div>
      {query.isPending && <Skeleton lines={4} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && (
        <>
          <div className="two-days">
            <DayBars
              name="Spent on jobs"
              kind="spent"
              days={query.data.days.map((one) => ({ day: one.day, amount: one.spent }))}
            />
            <DayBars
              name="Earned by machines"
              kind="earned"
              days={query.data.days.map((one) => ({ day: one.day, amount: one.earned }))}
            />
          </div>
          <p className="soft small">
            This month so far: <Money of={query.data.month.spent} /> spent, <Money of={query.data.month.earned} />{" "}
            earned after commission. Work counts on the UTC day on which it was done; credit that is only set aside is
            not spent.
          </p>
        </>
      )}
    </section>
  );
}

function Entries() {
  const query = useInfiniteQuery(entriesQuery);
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <section className="sheet flush">
      <div className="sheet-head">
        <h2>What went in and out</h2>
      </div>
      {query.isPending && (
        <div className="empty">
          <Skeleton />
        </div>
      )}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && rows.length === 0 && (
        <Empty title="Nothing yet">
          Top up, and every movement of your credit is listed here, each with what it was for.
        </Empty>
      )}
      {rows.length > 0 && (
        <table className="cards">
          <thead>
            <tr>
              <th>What</th>
              <th className="num">USD</th>
              <th className="num">Available after</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((entry) => (
              <tr key={entry.id}>
                <td data-label="What">
                  <span>
                    {entryWords(entry.kind)}
                    <br />
                    <span className="soft small">
                      {entryWhy(entry.kind) && (
                        <>
                          {entryWhy(entry.kind)}
                          <br />
                        </>
                      )}
                      <Ago at={entry.created_at} />
                      {entry.livemode === false && ", play money"}
                      {entry.job_id && (
                        <>
                          {", "}
                          <Link to="/jobs/$id" params={{ id: entry.job_id }}>
                            see the job
                          </Link>
                        </>
                      )}
                    </span>
                  </span>
                </td>
                <td data-label="USD" className={entry.amount.usd_nanos > 0 ? "num good" : "num"}>
                  <Money of={entry.amount} aligned sign />
                </td>
                <td data-label="Available after" className="num soft">
                  <Money of={entry.balance} aligned />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {query.hasNextPage && (
        <div className="list">
          <div className="line">
            <Older of={query} />
          </div>
        </div>
      )}
    </section>
  );
}

const SUGGESTED = ["5", "25", "100"];

function TopUp({ livemode, onClose }: { livemode: boolean; onClose: () => void }) {
  const [amount, setAmount] = useState("25");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [key] = useState(randomKey);
  const client = useQueryClient();
  const exact = typedAmount(amount);
  const pay = async () => {
    if (!exact) return;
    setBusy(true);
    setError(null);
    try {
      const made = await api.post("/api/v1/wallet/top-ups", {
        body: { amount_usd: exact, save_method: false },
        idempotencyKey: `${key}-${exact}`,
      });
      if (made.url) {
        location.assign(made.url);
        return;
      }
      await client.invalidateQueries({ queryKey: ["wallet"] });
      toast(made.livemode ? "Your credit has grown." : "Your play money has grown.");
      onClose();
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  };
  return (
    <Dialog title="Top up" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void pay();
        }}
      >
        {!livemode && <p className="notice warn">This fabric runs on play money: nobody pays, and nobody is paid.</p>}
        <Field label="Amount in USD" error={amount && !exact ? "Write an amount such as 25.00." : null}>
          <span className="money-input">
            <span aria-hidden="true">$</span>
            <input type="text" inputMode="decimal" value={amount} onChange={(event) => setAmount(event.target.value)} />
          </span>
        </Field>
        <div className="row">
          {SUGGESTED.map((one) => (
            <button type="button" className="button small" key={one} onClick={() => setAmount(one)}>
              ${one}
            </button>
          ))}
        </div>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <button type="submit" className="button primary" disabled={!exact || busy}>
            {livemode ? "Go to payment" : "Add play money"}
          </button>
          <button type="button" className="button" onClick={onClose}>
            Not now
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function LimitsDialog({ onClose }: { onClose: () => void }) {
  const query = useQuery({ queryKey: ["wallet", "limits"], queryFn: () => api.get("/api/v1/wallet/limits") });
  return (
    <Dialog title="Your own limits" onClose={onClose}>
      {query.isPending && <Skeleton lines={3} />}
      {query.error && <Failure error={query.error} />}
      {query.data && <LimitsForm limits={query.data} onClose={onClose} />}
    </Dialog>
  );
}

function LimitsForm({ limits, onClose }: { limits: Schemas["LimitsOut"]; onClose: () => void }) {
  const text = (money: Schemas["Money"] | null) => money?.usd.replace(/0+$/, "").replace(/\.$/, "") ?? "";
  const [job, setJob] = useState(text(limits.job));
  const [day, setDay] = useState(text(limits.day));
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const wrong = (value: string) => value.trim() !== "" && !typedAmount(value);
  const save = () =>
    api
      .patch("/api/v1/wallet/limits", {
        body: { job_usd: job.trim() ? typedAmount(job) : null, day_usd: day.trim() ? typedAmount(day) : null },
      })
      .then(() => {
        void client.invalidateQueries({ queryKey: ["wallet", "limits"] });
        toast("Your limits count from now on.");
        onClose();
      }, setError);
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <Field
        label="One job, at most"
        hint="Empty: no limit."
        error={wrong(job) ? "Write an amount such as 2.50." : null}
      >
        <span className="money-input">
          <span aria-hidden="true">$</span>
          <input type="text" inputMode="decimal" value={job} onChange={(event) => setJob(event.target.value)} />
        </span>
      </Field>
      <Field
        label="All jobs of a day (UTC), at most"
        hint="Empty: no limit."
        error={wrong(day) ? "Write an amount such as 20." : null}
      >
        <span className="money-input">
          <span aria-hidden="true">$</span>
          <input type="text" inputMode="decimal" value={day} onChange={(event) => setDay(event.target.value)} />
        </span>
      </Field>
      {error !== null && <Failure error={error} />}
      <div className="row">
        <button type="submit" className="button primary" disabled={wrong(job) || wrong(day)}>
          Save
        </button>
        <button type="button" className="button" onClick={onClose}>
          Leave them
        </button>
      </div>
    </form>
  );
}

const PAYOUT_STATES: Record<string, string> = {
  none: "not set up",
  onboarding: "being set up",
  ready: "ready",
  restricted: "the payment service asks for more",
};

function Payouts() {
  const account = useQuery({
    queryKey: ["wallet", "payout-account"],
    queryFn: () => api.get("/api/v1/payouts/account"),
    retry: false,
  });
  const list = useQuery({
    queryKey: ["wallet", "payouts"],
    queryFn: () => api.get("/api/v1/payouts", { query: { limit: 10 } }),
    retry: false,
  });
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const [key, setKey] = useState(randomKey);
  if (account.isPending) return <Skeleton lines={3} />;
  if (account.error) {
    return (
      <section className="sheet">
        <h2>Payouts</h2>
        <Failure error={account.error} />
      </section>
    );
  }
  const { data } = account;
  const enough = data.available.usd_nanos >= data.payout_min.usd_nanos;
  const onboard = () =>
    api
      .post("/api/v1/payouts/account/onboarding", { body: { return_url: location.href } })
      .then((made) => location.assign(made.url), toastError);
  const payOut = () =>
    api.post("/api/v1/payouts", { body: {}, idempotencyKey: key }).then(() => {
      toast("It is on its way.");
      setKey(randomKey());
      return client.invalidateQueries({ queryKey: ["wallet"] });
    });
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>Payouts</h2>
        <span className="badge">{PAYOUT_STATES[data.status]}</span>
      </div>
      <p className="soft">
        From <Money of={data.payout_min} />, to your bank. On the way: <Money of={data.in_transit} />.
      </p>
      {data.requirements.length > 0 && (
        <p className="notice warn">Still asked for: {data.requirements.join(", ").replaceAll("_", " ")}.</p>
      )}
      <div className="row">
        {data.status === "ready" ? (
          <Act
            type="button"
            className="button"
            because={enough ? null : "There is not enough yet."}
            onClick={() => setAsking(true)}
          >
            Pay out <Money of={data.available} />
          </Act>
        ) : (
          <button type="button" className="button" onClick={() => void onboard()}>
            Set up payouts
          </button>
        )}
      </div>
      {asking && (
        <Confirm
          title="Pay out what you earned?"
          verb="Pay it out"
          danger={false}
          onClose={() => setAsking(false)}
          act={payOut}
        >
          <Money of={data.available} /> go to your bank account. That takes some days and cannot be called back; what is
          still maturing stays.
        </Confirm>
      )}
      <ul className="list tightly">
        {list.data?.data.map((payout) => (
          <li key={payout.id} className="row apart">
            <span>
              <Money of={payout.amount} /> <span className="badge">{payoutWords(payout.status)}</span>
              {payout.failure && (
                <>
                  <br />
                  <span className="small bad">{payout.failure}</span>
                </>
              )}
            </span>
            <span className="small soft">
              <Ago at={payout.created_at} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Statement() {
  const [month, setMonth] = useState(() => new Date().toISOString().slice(0, 7));
  const query = useQuery({
    queryKey: ["wallet", "statement", month],
    queryFn: () => api.get("/api/v1/providers/statements", { query: { month } }),
  });
  const save = async (format: "csv" | "pdf") => {
    const made = URL.createObjectURL(
      await (await send(`/api/v1/providers/statements?month=${month}&format=${format}`)).blob(),
    );
    const link = document.createElement("a");
    link.href = made;
    link.download = `fabric-${month}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(made), 10_000);
  };
  const months = Array.from({ length: 12 }, (_, back) => {
    const day = new Date();
    day.setUTCDate(1);
    day.setUTCMonth(day.getUTCMonth() - back);
    return day.toISOString().slice(0, 7);
  });
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>Earnings</h2>
        <select className="month" aria-label="Month" value={month} onChange={(event) => setMonth(event.target.value)}>
          {months.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </div>
      {query.isPending && <Skeleton lines={2} />}
      {query.error && <Failure error={query.error} />}
      {query.data && query.data.rows.length === 0 && (
        <p className="soft">
          Nothing was earned in this month. <Link to="/machines">Lend a machine</Link> and it is listed here by day.
        </p>
      )}
      {query.data && query.data.rows.length > 0 && (
        <>
          <ul className="list tightly">
            {query.data.rows.slice(0, 31).map((row) => (
              <li key={`${row.date} ${row.machine} ${row.kind}`} className="row apart">
                <span>
                  {row.machine.replace(/ \(prv_\w+\)$/, "") || row.kind}
                  <br />
                  <span className="small soft num">
                    {row.date}, {secondsText(row.seconds)}
                  </span>
                </span>
                <Money of={row.net} aligned />
              </li>
            ))}
          </ul>
          <dl className="bill">
            <dt>Earned</dt>
            <dd>
              <strong>
                <Money of={query.data.earned} aligned />
              </strong>
            </dd>
            <dt className="soft">after commission of</dt>
            <dd className="soft">
              <Money of={query.data.commission} aligned />
            </dd>
          </dl>
          <div className="row">
            <button type="button" className="button small" onClick={() => void save("csv").catch(toastError)}>
              CSV
            </button>
            <button type="button" className="button small" onClick={() => void save("pdf").catch(toastError)}>
              PDF
            </button>
          </div>
        </>
      )}
    </section>
  );
}
