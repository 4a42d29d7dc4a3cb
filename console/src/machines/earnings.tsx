/** What a machine earned: today, this month, ever, and a bar for each day. */
import type { Schemas } from "../api/client";
import { plural, secondsText } from "../ui/amounts";
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

export function Earnings({ of }: { of: MachineEarnings }) {
  const most = Math.max(1, ...of.days.map((day) => day.earned.usd_nanos));
  return (
    <div className="earnings">
      <dl className="row">
        {(["today", "month", "total"] as const).map((span) => (
          <div key={span}>
            <dt className="small soft">{span === "month" ? "this month" : span === "total" ? "ever" : span}</dt>
            <dd>
              <Money of={of[span]} />
            </dd>
          </div>
        ))}
      </dl>
      {!of.livemode && <span className="badge play">play money</span>}
      <div className="histogram small-bars" role="img" aria-label={`Earned in ${plural(of.days.length, "day")}`}>
        {of.days.map(({ day, earned, seconds, subtasks }) => (
          <i
            key={day}
            style={{ height: `${(100 * earned.usd_nanos) / most}%` }}
            title={`${day}: $${earned.usd} for ${plural(subtasks, "part")}, ${secondsText(seconds)}`}
          />
        ))}
      </div>
    </div>
  );
}
