/** Where one is signed in, and the end of that; what happened on the account. */
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { signOut } from "../shell";
import { Confirm } from "../ui/dialog";
import { Ago, Empty, Failure, Older, Skeleton } from "../ui/small";
import { Tip } from "../ui/tip";
import { toast, toastError } from "../ui/toasts";
import { deviceWords } from "./device";

const KEY = ["sessions"];

export function Sessions() {
  const client = useQueryClient();
  const [endingAll, setEndingAll] = useState(false);
  const query = useQuery({
    queryKey: KEY,
    queryFn: () => api.get("/api/v1/auth/sessions", { query: { limit: 100 } }),
  });
  const end = (id: string) =>
    api.delete("/api/v1/auth/sessions/{session_id}", { path: { session_id: id } }).then(() => {
      toast("That log-in is ended.");
      return client.invalidateQueries({ queryKey: KEY });
    }, toastError);
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>Where you are signed in</h2>
        <button type="button" className="button danger small" onClick={() => setEndingAll(true)}>
          End all
        </button>
      </div>
      {query.isPending && <Skeleton lines={2} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      <ul className="list tightly">
        {query.data?.data.map((session) => (
          <li key={session.id} className="row apart">
            <span className="stack tight">
              <span className="row">
                <Tip says={session.device ?? "It did not say what it is."} taps>
                  <strong className="wrap">{deviceWords(session.device)}</strong>
                </Tip>
                {session.current && <span className="badge accent">this one</span>}
              </span>
              <span className="small soft">
                {session.address ?? "unknown address"} · by {session.method} · seen <Ago at={session.last_seen_at} />
              </span>
            </span>
            {session.current ? (
              <button type="button" className="button small" onClick={() => void signOut()}>
                Sign out
              </button>
            ) : (
              <button type="button" className="button danger small" onClick={() => void end(session.id)}>
                End
              </button>
            )}
          </li>
        ))}
      </ul>
      {endingAll && (
        <Confirm
          title="End every log-in?"
          verb="End all"
          onClose={() => setEndingAll(false)}
          act={() => api.delete("/api/v1/auth/sessions").then(() => signOut())}
        >
          You are signed out everywhere, here too. API keys go on working.
        </Confirm>
      )}
    </section>
  );
}

const ACTS: Record<string, string> = {
  logged_in: "Signed in",
  log_in_failed: "Sign-in that failed",
  logged_out: "Signed out",
  registered: "Account made",
  password_reset: "Password reset by mail",
  password_reset_asked: "Password reset asked for",
  second_factor_on: "Second factor switched on",
  second_factor_off: "Second factor switched off",
  second_factor_refused: "Wrong code of the second factor",
  api_key_created: "API key made",
  api_key_deleted: "API key deleted",
  email_verified: "Address confirmed",
  webhook_created: "Webhook made",
};
export const actWords = (act: string) =>
  ACTS[act] ?? act.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());

export function OwnActs() {
  const query = useInfiniteQuery({
    queryKey: ["acts"],
    queryFn: ({ pageParam }) => api.get("/api/v1/auth/audit-log", { query: { limit: 15, cursor: pageParam } }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
  });
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <section className="sheet">
      <h2>What happened on your account</h2>
      {query.isPending && <Skeleton lines={3} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && rows.length === 0 && <Empty title="Nothing yet">Sign-ins and changes are listed here.</Empty>}
      <ul className="list tightly">
        {rows.map((line) => (
          <li key={line.id} className="row apart">
            <span>
              {actWords(line.act)}
              <br />
              <span className="small soft">{line.address ?? "by this fabric"}</span>
            </span>
            <span className="small soft">
              <Ago at={line.created_at} />
            </span>
          </li>
        ))}
      </ul>
      {query.hasNextPage && (
        <div>
          <Older of={query} />
        </div>
      )}
    </section>
  );
}
