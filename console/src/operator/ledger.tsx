import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api } from "../api/client";
import { PlayMoney } from "../shell";
import { plural } from "../ui/amounts";
import { Failure, Money, Skeleton } from "../ui/small";
import { Tip } from "../ui/tip";

const KINDS: Record<string, string> = {
  "platform:stripe": "Money at the payment service",
  "platform:commission": "Commission earned",
  "platform:stripe_fees": "Fees of the payment service",
  "platform:verification": "Paid for checks of results",
  "platform:goodwill": "Goodwill",
  "platform:chargeback_loss": "Lost to chargebacks",
  "platform:dispute_fees": "Fees of disputes",
  "platform:promotions": "Credit given away",
  "requestor:*:available": "People's credit",
  "requestor:*:promotional": "People's gifts, unspent",
  "requestor:*:refund_in_transit": "Refunds on their way",
  "job:*:hold": "Set aside for open jobs",
  "provider:*:pending": "Machines' earnings, maturing",
  "provider:*:available": "Owners' earnings, free",
  "provider:*:in_transit": "Payouts on their way",
  "provider:*:in_stripe": "Owners' money at the payment service",
  "provider:*:debt": "Owed by owners",
  "receivable:*": "Owed after chargebacks",
  "stripe_connected:*": "At owners' accounts of the payment service",
};

export function Ledger() {
  const books = useQuery({ queryKey: ["operator", "ledger"], queryFn: () => api.get("/api/v1/operator/ledger") });
  return (
    <div className="columns">
      <section className="sheet">
        <div className="row apart">
          <h2>The books</h2>
          {books.data && !books.data.livemode && <PlayMoney />}
        </div>
        {books.isPending && <Skeleton lines={6} />}
        {books.error && <Failure error={books.error} retry={() => books.refetch()} />}
        {books.data && (
          <>
            <p className={books.data.trial_balance.usd_nanos === 0 ? "soft" : "notice bad"}>
              Debits less credits over every entry: <Money of={books.data.trial_balance} />
              {books.data.trial_balance.usd_nanos === 0 ? ", as it must be." : ". The books are wrong."}
            </p>
            <dl className="pairs">
              {books.data.kinds.map((one) => (
                <div key={one.kind} className="pair">
                  <dt>
                    <Tip says={one.kind} taps>
                      <span>{KINDS[one.kind] ?? one.kind}</span>
                    </Tip>
                  </dt>
                  <dd className="num">
                    <Money of={one.balance} aligned />
                  </dd>
                </div>
              ))}
            </dl>
          </>
        )}
      </section>
      <div className="stack wide">
        <Audit />
        <Reconciliation livemode={books.data?.livemode ?? null} />
      </div>
    </div>
  );
}

function Audit() {
  const client = useQueryClient();
  const audit = useMutation({
    mutationFn: () => api.post("/api/v1/operator/ledger/audit"),
    onSuccess: () => client.invalidateQueries({ queryKey: ["operator", "ledger"] }),
  });
  return (
    <section className="sheet">
      <h2>Audit</h2>
      <p className="soft">
        Reads every entry and holds it against the rules of the ledger: balanced, numbered, never overdrawn, every split
        as it was agreed.
      </p>
      <div>
        <button type="button" className="button primary" disabled={audit.isPending} onClick={() => audit.mutate()}>
          {audit.isPending ? "Reading the books …" : "Audit now"}
        </button>
      </div>
      {audit.error && <Failure error={audit.error} />}
      {audit.data && audit.data.findings.length === 0 && (
        <p className="notice good-wash" role="status">
          All {audit.data.audits} audits hold. Nothing was found.
        </p>
      )}
      {audit.data && audit.data.findings.length > 0 && (
        <div className="notice bad" role="alert">
          <ul>
            {audit.data.findings.map((one) => (
              <li key={one.name}>
                {one.name.replace("audit_", "").replaceAll("_", " ")}: {plural(one.rows, "row")}
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

function Reconciliation({ livemode }: { livemode: boolean | null }) {
  const run = useMutation({ mutationFn: () => api.post("/api/v1/operator/ledger/reconciliation") });
  const { data } = run;
  return (
    <section className="sheet">
      <h2>Reconciliation</h2>
      <p className="soft">
        Compares the last seven days with the payment service, line by line. Nothing is mended: a person finds out why.
      </p>
      {livemode === false && (
        <p className="soft small">With play money there may be no payment service to compare with.</p>
      )}
      <div>
        <button type="button" className="button" disabled={run.isPending} onClick={() => run.mutate()}>
          {run.isPending ? "Comparing …" : "Reconcile now"}
        </button>
      </div>
      {run.error && <Failure error={run.error} />}
      {data && (
        <p className={data.differences.length ? "notice bad" : "notice good-wash"} role="status">
          {data.differences.length
            ? `${plural(data.differences.length, "difference")} between both sides.`
            : "Both sides agree."}{" "}
          {data.there} there, {data.here} here, {data.on_their_way} on their way.
        </p>
      )}
      {data && data.differences.length > 0 && (
        <ul className="list tightly">
          {data.differences.map((one) => (
            <li key={`${one.there} ${one.here} ${one.kind}`} className="row apart">
              <span>
                {one.kind.replaceAll("_", " ")}
                <br />
                <code className="small soft wrap">{one.there ?? one.here}</code>
              </span>
              <span className="right small">
                there <Money of={one.there_amount} />
                <br />
                here <Money of={one.here_amount} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
