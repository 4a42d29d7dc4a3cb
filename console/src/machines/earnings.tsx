/** What a machine earned: today, this month, ever, and a bar for each day. */
import { useMemo } from "react";
import type { Schemas } from "../api/client";
import { PlayMoney } from "../shell";
import { plural, secondsText } from "../ui/amounts";
import { DayBars } from "../ui/day-bars";
import { Money } from "../ui/small";

type Amount = Schemas["Money"];
export interface MachineEarnings {
  today: Amount;
  month: Amount;
  total: Amount;
  /** Every day, oldest first, today the last. */
  days: { day: string; earned: Amount; seconds: number; subtasks: number }[];
  /** False: play money. */
  livemode: boolean;
}
const SPANS = { today: "Earned today", month: "This month", total: "Ever" } as const;

export function Earnings({ of }: { of: MachineEarnings }) {
  const days = useMemo(
    () =>
      of.days.map(({ day, earned, seconds, subtasks }) => ({
        day,
        amount: earned,
        ...(subtasks > 0 && { note: `${plural(subtasks, "part")} in ${secondsText(seconds)}` }),
      })),
    [of.days],
  );
  return (
    <div className="earnings">
      <dl>
        {(["today", "month", "total"] as const).map((span) => (
          <div key={span}>
            <dt className="small soft">{SPANS[span]}</dt>
            <dd>
              <Money of={of[span]} />
            </dd>
          </div>
        ))}
        {!of.livemode && (
          <div>
            <dt className="visually-hidden">Kind of money</dt>
            <dd className="plain">
              <PlayMoney />
            </dd>
          </div>
        )}
      </dl>
      <DayBars name="Earned" kind="earned" days={days} height={104} />
    </div>
  );
}
