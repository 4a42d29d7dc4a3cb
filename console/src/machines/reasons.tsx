/** Why a machine earns nothing, or not more: what was found, what would be needed, and what to do. */
import { Ago } from "../ui/small";
import type { Holding } from "./live";

export interface Reason {
  /** state, slots, price, work …; there may be more in time. */
  id: string;
  status: "ok" | "problem" | "hint";
  found: string;
  needed: string;
  /** Empty when there is nothing to do. */
  remedy: string;
}

const MARKS = { ok: "good", problem: "warn", hint: "soft" } as const;

/** Problems stand open; everything that was looked at is one press away. */
export function Reasons({ of, holding = null }: { of: readonly Reason[]; holding?: Holding | null }) {
  const problems = of.filter((reason) => reason.status === "problem");
  const others = of.filter((reason) => reason.status !== "problem");
  return (
    <>
      {problems.map((reason) => (
        <div className="notice warn" key={reason.id}>
          <strong>{reason.found}</strong>
          {(reason.needed || reason.remedy) && <span>{[reason.needed, reason.remedy].filter(Boolean).join(" ")}</span>}
          {holding?.until && (
            <span className="small">
              Until <Ago at={holding.until} />.
            </span>
          )}
        </div>
      ))}
      {others.length > 0 && (
        <details>
          <summary className="small">
            {problems.length > 0 ? "What else was looked at" : "Why it does not earn more"}
          </summary>
          <ul className="list tightly">
            {others.map((reason) => (
              <li key={reason.id} className="stack tight">
                <span className={`status ${MARKS[reason.status]}`}>{reason.found}</span>
                {(reason.needed || reason.remedy) && (
                  <span className="small soft">{[reason.needed, reason.remedy].filter(Boolean).join(" ")}</span>
                )}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}
