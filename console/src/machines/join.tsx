/** How a machine joins, in three steps, and the tokens that still let one in. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api, type Schemas } from "../api/client";
import { joinTokens as tokensQuery } from "../api/queries";
import { plural } from "../ui/amounts";
import { Icon } from "../ui/icons";
import { Ago, Code, CopyButton, Failure, Status } from "../ui/small";
import { toast, toastError } from "../ui/toasts";

type Machine = Schemas["ProviderOut"];
const HOUR_S = 3600;

export function Join({ known, onClose }: { known: readonly Machine[]; onClose: () => void }) {
  const [label, setLabel] = useState("");
  const [made, setMade] = useState<{ token: Schemas["NewJoinTokenOut"]; before: ReadonlySet<string> } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const arrived = made && known.find((machine) => !made.before.has(machine.id));
  const make = () =>
    api
      .post("/api/v1/providers/join-tokens", { body: { label: label || "machine", uses_max: 1, expires_s: HOUR_S } })
      .then(
        (token) => {
          setMade({ token, before: new Set(known.map((machine) => machine.id)) });
          void client.invalidateQueries({ queryKey: ["join-tokens"] });
        },
        (reason) => setError(reason),
      );
  return (
    <section className="sheet" aria-label="Add a machine">
      <div className="row apart">
        <h2>Add a machine</h2>
        <button type="button" className="icon-button" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <div className="stack">
        <h3 className="step">
          <b>1</b> Make a token
        </h3>
        {made ? (
          <p className="soft">
            <Icon name="check" size={15} /> Made. It lets one machine join, within an hour.
          </p>
        ) : (
          <form
            className="row"
            onSubmit={(event) => {
              event.preventDefault();
              void make();
            }}
          >
            <input
              type="text"
              aria-label="What the token is for"
              placeholder="what it is for, such as: workshop PC"
              maxLength={100}
              value={label}
              onChange={(event) => setLabel(event.target.value)}
              className="join-label"
            />
            <button type="submit" className="button primary">
              Make a token
            </button>
          </form>
        )}
        {error !== null && <Failure error={error} />}
      </div>
      {made && (
        <>
          <div className="stack">
            <h3 className="step">
              <b>2</b> Run this on the machine
            </h3>
            <Code>{`curl -fsSL ${location.origin}/join | sh -s -- --token ${made.token.token}`}</Code>
            <p className="small soft">
              It needs Python and nothing else, and installs into a folder of its own. The token is shown this once; we
              keep only its hash. Windows, or no curl? <a href="/join">Other ways to join</a>.
            </p>
          </div>
          <div className="stack" role="status">
            <h3 className="step">
              <b>3</b> See it come
            </h3>
            {arrived ? (
              <div className="row">
                <Status of={arrived.status}>
                  {arrived.name} is {arrived.status}
                </Status>
                <button type="button" className="button small" onClick={onClose}>
                  Done
                </button>
              </div>
            ) : (
              <p className="soft">
                <Status of="running">waiting for it</Status>
              </p>
            )}
          </div>
        </>
      )}
    </section>
  );
}

export function Tokens() {
  const query = useQuery(tokensQuery);
  const client = useQueryClient();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 10_000);
    return () => clearInterval(timer);
  }, []);
  const live = (query.data?.data ?? []).filter(
    (token) => !token.revoked_at && Date.parse(token.expires_at) > now && token.uses < token.uses_max,
  );
  if (live.length === 0) return null;
  return (
    <section className="sheet">
      <h2>Open join tokens</h2>
      <ul className="list tightly">
        {live.map((token) => (
          <li key={token.id} className="row apart">
            <span>
              {token.label} <code className="soft">{token.hint}…</code>
              <CopyButton text={token.id} what="id" />
              <br />
              <span className="small soft">
                lets {plural(token.uses_max - token.uses, "more machine", "more machines")} join, ends{" "}
                <Ago at={token.expires_at} />
              </span>
            </span>
            <button
              type="button"
              className="button small"
              onClick={() =>
                api
                  .delete("/api/v1/providers/join-tokens/{token_id}", { path: { token_id: token.id } })
                  .then(() => {
                    toast("Nobody joins with it any more.");
                    return client.invalidateQueries({ queryKey: ["join-tokens"] });
                  })
                  .catch(toastError)
              }
            >
              Revoke
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
