/** The small things that stand everywhere: money, moments, ids, states, empty places, errors. */
import { type ReactNode, useEffect, useState, useSyncExternalStore } from "react";
import type { Schemas } from "../api/client";
import { inWords, requestIdOf } from "../api/problem";
import { agoText, exactText, middleCut, moneyParts } from "./amounts";
import { Icon } from "./icons";
import { Tip } from "./tip";

const CENT_NANOS = 10_000_000;

/** Exact to the last digit. `aligned` keeps faint zeros, so that decimals stand below each other. */
export function Money({
  of,
  aligned = false,
  sign = false,
}: {
  of: Schemas["Money"];
  aligned?: boolean;
  sign?: boolean;
}) {
  const [text, zeros] = moneyParts(of.usd);
  // Where a figure stands large, what is less than a cent is written smaller beside whole cents.
  const cents = Math.abs(of.usd_nanos) >= CENT_NANOS ? text.indexOf(".") + 3 : text.length;
  return (
    <span className="money">
      {sign && of.usd_nanos > 0 && "+"}
      {text.slice(0, cents)}
      {cents < text.length && <span className="fine">{text.slice(cents)}</span>}
      {aligned && zeros && (
        <span className="zeros" aria-hidden="true">
          {zeros}
        </span>
      )}
    </span>
  );
}

const ticking = new Set<() => void>();
let now = Date.now();
setInterval(() => {
  now = Date.now();
  for (const tell of ticking) tell();
}, 5000);
/** The time of day, renewed every five seconds for everything that shows it. */
export function useNow(): number {
  return useSyncExternalStore(
    (tell) => {
      ticking.add(tell);
      return () => ticking.delete(tell);
    },
    () => now,
  );
}

/** How long ago; the exact moment beside it. `within`: it stands in a link, which takes focus and taps itself. */
export function Ago({ at, within = false }: { at: string; within?: boolean }) {
  const seen = Math.max(useNow(), Date.now() - 5000);
  return (
    <Tip says={exactText(at)} taps={!within}>
      <time dateTime={at}>{agoText(at, seen)}</time>
    </Tip>
  );
}

export function CopyButton({ text, what }: { text: string; what: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1600);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <Tip says={copied ? "Copied" : `Copy ${what}`}>
      <button
        type="button"
        className="icon-button"
        aria-label={copied ? `${what} copied` : `Copy ${what}`}
        onClick={() => copy(text).then(() => setCopied(true))}
      >
        <Icon name={copied ? "check" : "copy"} size={15} />
      </button>
    </Tip>
  );
}

async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain HTTP to another machine has no clipboard API.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Its two ends; the whole of it beside them, and in the clipboard. */
export function Id({ of, what = "id" }: { of: string; what?: string }) {
  return (
    <span className="soft id">
      <Tip says={of} taps>
        <code>{middleCut(of)}</code>
      </Tip>
      <CopyButton text={of} what={what} />
    </span>
  );
}

export function Code({ children }: { children: string }) {
  return (
    <div className="code">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>{children}</pre>
      <CopyButton text={children} what="code" />
    </div>
  );
}

const TONES: Record<string, string> = {
  queued: "warn",
  running: "accent live",
  succeeded: "good",
  failed: "bad",
  cancelled: "soft",
  online: "good",
  enrolled: "soft",
  paused: "warn",
  draining: "warn",
  offline: "soft",
};
export function Status({ of, children }: { of: string; children?: ReactNode }) {
  return <span className={`status ${TONES[of] ?? "soft"}`}>{children ?? of}</span>;
}

export function Bar({
  done,
  failed = 0,
  total,
  thin = false,
  label,
}: {
  done: number;
  failed?: number;
  total: number;
  thin?: boolean;
  label: string;
}) {
  const share = (part: number) => `${total > 0 ? Math.min(100, (100 * part) / total) : 0}%`;
  return (
    <div
      className={thin ? "bar thin" : "bar"}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={total > 0 ? Math.round((100 * (done + failed)) / total) : 0}
    >
      <i style={{ width: share(done) }} />
      {failed > 0 && <i className="failed" style={{ width: share(failed) }} />}
    </div>
  );
}

export function Empty({ title, children, action }: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      <p>{children}</p>
      {action}
    </div>
  );
}

export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const id = requestIdOf(error);
  return (
    <div className="notice bad" role="alert">
      <div>{inWords(error)}</div>
      {id && (
        <div className="small soft">
          Request <Id of={id} />
        </div>
      )}
      {retry && (
        <div>
          <button type="button" className="button small" onClick={retry}>
            Try again
          </button>
        </div>
      )}
    </div>
  );
}

export function Skeleton({ lines = 4 }: { lines?: number }) {
  return (
    <div className="stack" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
        <div className="skeleton" key={line}>
          &nbsp;
        </div>
      ))}
    </div>
  );
}

export function Fact({ name, children, note }: { name: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div className="fact">
      <dt>{name}</dt>
      <dd>
        {children}
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}

export function Head({ title, children, intro }: { title: ReactNode; children?: ReactNode; intro?: ReactNode }) {
  return (
    <div className="head">
      <div>
        <h1>{title}</h1>
        {intro && <div className="soft">{intro}</div>}
      </div>
      {children && <div className="row">{children}</div>}
    </div>
  );
}

export function Field({
  label,
  hint,
  error,
  children,
}: {
  label: string;
  hint?: ReactNode;
  error?: string | null;
  children: ReactNode;
}) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is the child
    <label className="field">
      <span className="label">{label}</span>
      {children}
      {hint && <span className="hint">{hint}</span>}
      {error && (
        <span className="error" role="alert">
          {error}
        </span>
      )}
    </label>
  );
}

/** An amount of dollars, as somebody types it. */
export function DollarInput({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <span className="money-input">
      <span aria-hidden="true">$</span>
      <input type="text" inputMode="decimal" value={value} onChange={(event) => onChange(event.target.value)} />
    </span>
  );
}

/** The next page of a list that goes back in time, on demand. */
export function Older({ of }: { of: { isFetchingNextPage: boolean; fetchNextPage: () => unknown } }) {
  return (
    <button
      type="button"
      className="button small"
      disabled={of.isFetchingNextPage}
      onClick={() => void of.fetchNextPage()}
    >
      Show older
    </button>
  );
}

/** A secret that is told this once, to be copied. */
export function ShownOnce({
  secret,
  what,
  children,
  onDone,
}: {
  secret: string;
  what: string;
  children: ReactNode;
  onDone: () => void;
}) {
  return (
    <div className="notice" role="status">
      <strong>{children}</strong>
      <div className="secret">
        <code>{secret}</code>
        <CopyButton text={secret} what={what} />
      </div>
      <div>
        <button type="button" className="button small" onClick={onDone}>
          I have it
        </button>
      </div>
    </div>
  );
}
