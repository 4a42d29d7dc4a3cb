/** Why a machine earns nothing, or not more: what was found, what would be needed, and what to do. */
import type { Schemas } from "../api/client";
import { Ago } from "../ui/small";

type Reason = Schemas["ReasonOut"];

const MARKS = { ok: "good", problem: "warn", hint: "soft" } as const;

/** Problems stand open; everything that was looked at is one press away. */
export function Reasons({ of }: { of: readonly Reason[] }) {
  const problems = of.filter((reason) => reason.status === "problem");
  const others = of.filter((reason) => reason.status !== "problem");
  return (
    <>
      {problems.map((reason) => (
        <div className="notice warn" key={reason.id}>
          <strong>
            <Sentence>{reason.found}</Sentence>
          </strong>
          {reason.remedy && (
            <span>
              <Sentence>{reason.remedy}</Sentence>
            </span>
          )}
          {reason.until && (
            <span className="small">
              It ends by itself <Ago at={reason.until} />.
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
                <span className={`status ${MARKS[reason.status]}`}>
                  <span>
                    <Sentence>{reason.found}</Sentence>
                  </span>
                </span>
                {reason.remedy && (
                  <span className="small soft">
                    <Sentence>{reason.remedy}</Sentence>
                  </span>
                )}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

/** The fabric's words as a sentence; what stands between backticks is code. */
function Sentence({ children }: { children: string }) {
  const parts = children.split("`");
  return parts.map((part, place) =>
    place % 2 ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: parts of one sentence
      <code key={place}>{part}</code>
    ) : place === 0 ? (
      part.charAt(0).toUpperCase() + part.slice(1)
    ) : (
      part
    ),
  );
}
