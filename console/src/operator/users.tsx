import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useDeferredValue, useState } from "react";
import { api, type Schemas } from "../api/client";
import { Confirm } from "../ui/dialog";
import { Ago, Field } from "../ui/small";
import { toast } from "../ui/toasts";
import { FIRST, nextOf, Paged } from "./paged";

type User = Schemas["UserOut"];

export function Users() {
  const [typed, setTyped] = useState("");
  const part = useDeferredValue(typed.trim());
  const [asking, setAsking] = useState<{ user: User; act: "role" | "sessions" } | null>(null);
  const query = useInfiniteQuery({
    queryKey: ["operator", "users", part],
    queryFn: ({ pageParam }) =>
      api.get("/api/v1/operator/users", { query: { limit: 50, cursor: pageParam, part: part || null } }),
    initialPageParam: FIRST,
    getNextPageParam: nextOf,
  });
  return (
    <section className="sheet flush">
      <div className="sheet-head">
        <h2>Users</h2>
        <Field label="Address holds">
          <input type="text" value={typed} onChange={(event) => setTyped(event.target.value)} />
        </Field>
      </div>
      <Paged
        query={query}
        nothing="Nobody has such an address."
        head={
          <tr>
            <th>Who</th>
            <th>Since</th>
            <th>What they have</th>
            <th>
              <span className="visually-hidden">Acts</span>
            </th>
          </tr>
        }
        row={(user) => (
          <tr key={user.id}>
            <td data-label="Who">
              <span className="stack tight">
                <strong className="wrap">{user.email}</strong>
                <span className="row small">
                  {user.role === "operator" && <span className="badge accent">operator</span>}
                  {user.second_factor && <span className="badge">second factor</span>}
                  {!user.email_verified && <span className="soft">not confirmed</span>}
                </span>
              </span>
            </td>
            <td data-label="Since" className="soft">
              <Ago at={user.created_at} />
            </td>
            <td data-label="What they have">
              <span className="row small">
                <Link to="/operator" search={{ part: "jobs", user: user.id }}>
                  jobs
                </Link>
                <Link to="/operator" search={{ part: "machines", user: user.id }}>
                  machines
                </Link>
              </span>
            </td>
            <td className="right">
              <span className="row end">
                <button type="button" className="button small" onClick={() => setAsking({ user, act: "role" })}>
                  {user.role === "operator" ? "Make a user" : "Make an operator"}
                </button>
                <button
                  type="button"
                  className="button danger small"
                  onClick={() => setAsking({ user, act: "sessions" })}
                >
                  Sign out
                </button>
              </span>
            </td>
          </tr>
        )}
      />
      {asking && <Ask {...asking} onClose={() => setAsking(null)} />}
    </section>
  );
}

function Ask({ user, act, onClose }: { user: User; act: "role" | "sessions"; onClose: () => void }) {
  const client = useQueryClient();
  const role = user.role === "operator" ? "user" : "operator";
  const path = { user_id: user.id };
  const done = (words: string) => {
    toast(words);
    return client.invalidateQueries({ queryKey: ["operator", "users"] });
  };
  if (act === "sessions") {
    return (
      <Confirm
        title={`Sign ${user.email} out everywhere?`}
        verb="Sign out"
        onClose={onClose}
        act={() =>
          api
            .delete("/api/v1/operator/users/{user_id}/sessions", { path })
            .then((answer) => done(`${answer.ended} log-ins are ended.`))
        }
      >
        Every log-in of theirs ends at once. Their API keys go on working.
      </Confirm>
    );
  }
  return (
    <Confirm
      title={role === "operator" ? `Make ${user.email} an operator?` : `Make ${user.email} a user again?`}
      verb={role === "operator" ? "Make an operator" : "Make a user"}
      danger={role === "operator"}
      onClose={onClose}
      act={() =>
        api
          .patch("/api/v1/operator/users/{user_id}", { path, body: { role } })
          .then(() => done(role === "operator" ? "They are an operator from now on." : "They are a user again."))
      }
    >
      {role === "operator"
        ? "They see everybody's jobs and machines and the books, and may ban, decide on prices and give credit."
        : "They keep what is theirs, and see no more of others."}
    </Confirm>
  );
}
