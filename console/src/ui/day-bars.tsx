/** Amounts of money by day as bars. */
import { useMemo } from "react";
import type { Schemas } from "../api/client";
import { moneyParts, nanosText } from "./amounts";
import { Bars } from "./bars";
import { Money } from "./small";

export interface DayAmount {
  day: string;
  amount: Schemas["Money"];
  /** What it was for. */
  note?: string;
}

export function sumOf(days: readonly DayAmount[]): Schemas["Money"] {
  const nanos = days.reduce((sum, one) => sum + BigInt(one.amount.usd_nanos), 0n);
  return { usd_nanos: Number(nanos), usd: nanosText(nanos) };
}

const short = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });
export const dayText = (day: string) => short.format(new Date(`${day}T00:00:00Z`));
export const dollarsText = (nanos: number) => moneyParts(nanosText(BigInt(nanos)))[0];

/** `days`: every day, oldest first, today the last. */
export function DayBars({
  days,
  name,
  kind,
  height,
}: {
  days: readonly DayAmount[];
  name: string;
  kind: "spent" | "earned";
  height?: number;
}) {
  const bars = useMemo(
    () =>
      days.map(({ day, amount, note }, at) => ({
        label: at === days.length - 1 ? "today" : dayText(day),
        words: `${name}, ${at === days.length - 1 ? "today" : dayText(day)}${note ? `, ${note}` : ""}`,
        amount: amount.usd_nanos,
        shown: <Money of={amount} />,
        said: moneyParts(amount.usd)[0],
      })),
    [days, name],
  );
  const noted = days.some((one) => one.note);
  return (
    <Bars
      name={`${name} by day`}
      bars={bars}
      whole={[`${name}, ${days.length} days`, <Money key="sum" of={sumOf(days)} />]}
      tickText={dollarsText}
      tone={kind === "earned" ? "earned" : "accent"}
      marked={days.length - 1}
      {...(height !== undefined && { height })}
    >
      <table>
        <thead>
          <tr>
            <th>Day (UTC)</th>
            {noted && <th>For</th>}
            <th className="num">USD</th>
          </tr>
        </thead>
        <tbody>
          {[...days].reverse().map((one) => (
            <tr key={one.day}>
              <td>{one.day}</td>
              {noted && <td className="soft">{one.note}</td>}
              <td className="num">
                <Money of={one.amount} aligned />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Bars>
  );
}
