import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { wallet as walletQuery } from "../api/queries";
import { PlayMoney } from "../shell";
import { Fact, Failure, Head, Money, Skeleton } from "../ui/small";
import { ByDay } from "../wallet/by-day";
import { Entries } from "../wallet/entries";
import { LimitsDialog } from "../wallet/limits";
import { Payouts } from "../wallet/payouts";
import { Statement } from "../wallet/statement";
import { TopUp } from "../wallet/top-up";

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
