/** Earnings on their way to one's bank, and what is needed for that. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, randomKey } from "../api/client";
import { Act } from "../ui/act";
import { Confirm } from "../ui/dialog";
import { Ago, Failure, Money, Skeleton } from "../ui/small";
import { toast, toastError } from "../ui/toasts";
import { payoutWords } from "./words";

const PAYOUT_STATES: Record<string, string> = {
  none: "not set up",
  onboarding: "being set up",
  ready: "ready",
  restricted: "the payment service asks for more",
};

export function Payouts() {
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
