import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { Address } from "../account/address";
import { Deletion, Export } from "../account/leaving";
import { Password } from "../account/password";
import { SecondFactor } from "../account/second-factor";
import { OwnActs, Sessions } from "../account/sessions";
import { Webhooks } from "../account/webhooks";
import { api, type Schemas } from "../api/client";
import { apiKeys as keysQuery, me as meQuery } from "../api/queries";
import { settings } from "../router";
import { signOut } from "../shell";
import { Act } from "../ui/act";
import { Choose, Parts } from "../ui/choose";
import { Confirm } from "../ui/dialog";
import { Ago, Empty, Failure, Field, Head, Id, ShownOnce, Skeleton } from "../ui/small";
import { setTheme, useTheme } from "../ui/theme";
import { toast } from "../ui/toasts";
import "../styles/account.css";

const SCOPES: Record<string, string> = {
  jobs: "submit, follow and cancel jobs",
  models: "upload and read models",
  files: "upload and read files",
  wallet: "see and move money",
  providers: "manage machines",
  account: "change the account and its keys",
};
const DAY_S = 86_400;
const LIVES: [string, number | null][] = [
  ["30 days", 30 * DAY_S],
  ["a year", 365 * DAY_S],
  ["for ever", null],
];

const PARTS = {
  profile: "Profile",
  security: "Security",
  keys: "API keys",
  webhooks: "Webhooks",
  data: "Your data",
} as const;

export function SettingsPage() {
  const me = useQuery(meQuery);
  const { part = "profile" } = settings.useSearch();
  return (
    <>
      <Head title="Settings" intro={me.data && <Id of={me.data.id} />} />
      <Parts label="Settings">
        {Object.entries(PARTS).map(([name, words]) => (
          <Link
            key={name}
            to="/settings"
            search={name === "profile" ? {} : { part: name as keyof typeof PARTS }}
            activeOptions={{ exact: true }}
            aria-current={name === part ? "page" : undefined}
          >
            {words}
          </Link>
        ))}
      </Parts>
      {me.isPending && <Skeleton lines={6} />}
      {me.error && <Failure error={me.error} retry={() => me.refetch()} />}
      {me.data && <Part part={part} me={me.data} />}
    </>
  );
}

function Part({ part, me }: { part: keyof typeof PARTS; me: Schemas["MeOut"] }) {
  if (part === "keys") return <Keys />;
  if (part === "webhooks") return <Webhooks />;
  if (part === "security") {
    return (
      <div className="columns even">
        <div className="stack wide">
          <SecondFactor me={me} />
          <Password me={me} />
        </div>
        <div className="stack wide">
          <Sessions />
          <OwnActs />
        </div>
      </div>
    );
  }
  if (part === "data") {
    return (
      <div className="columns even">
        <Export />
        <Deletion me={me} />
      </div>
    );
  }
  return (
    <div className="columns even">
      <Address me={me} />
      <div className="stack wide">
        <Colours />
        <section className="sheet">
          <h2>This browser</h2>
          <p className="soft">Signing out ends this log-in on the fabric, not only here.</p>
          <div>
            <button type="button" className="button" onClick={() => void signOut()}>
              Sign out
            </button>
          </div>
        </section>
      </div>
    </div>
  );
}

function Colours() {
  const theme = useTheme();
  return (
    <section className="sheet">
      <h2>Colours</h2>
      <Choose
        label="Light or dark"
        names={{ system: "as the system", light: "light", dark: "dark" }}
        value={theme}
        onChange={setTheme}
      />
    </section>
  );
}

function Keys() {
  const query = useQuery(keysQuery);
  const client = useQueryClient();
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Schemas["ApiKeyCreated"] | null>(null);
  const [revoking, setRevoking] = useState<Schemas["ApiKeyOut"] | null>(null);
  const renew = () => client.invalidateQueries({ queryKey: ["api-keys"] });
  return (
    <section className="sheet">
      <div className="row apart">
        <div>
          <h2>API keys</h2>
          <p className="soft">For programs, notebooks and the command line. Each may do only what you allow it.</p>
        </div>
        <button type="button" className="button primary" aria-expanded={making} onClick={() => setMaking(!making)}>
          New key
        </button>
      </div>
      {made && (
        <ShownOnce secret={made.key} what="key" onDone={() => setMade(null)}>
          Copy the key now; it is shown this once.
        </ShownOnce>
      )}
      {making && (
        <NewKey
          onMade={(key) => {
            setMade(key);
            setMaking(false);
            void renew();
          }}
        />
      )}
      {query.isPending && <Skeleton lines={2} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data?.data.length === 0 && !making && (
        <Empty title="No keys yet">Make one to use the Python client or the command line.</Empty>
      )}
      <ul className="list tightly">
        {query.data?.data.map((key) => (
          <li key={key.id} className="row apart">
            <span className="stack tight">
              <span className="row">
                <strong className="wrap">{key.label}</strong> <code className="soft">{key.hint}…</code>
              </span>
              <span className="small soft">
                {key.scopes.join(", ")} ·{" "}
                {key.last_used_at ? (
                  <>
                    used <Ago at={key.last_used_at} />
                  </>
                ) : (
                  "never used"
                )}{" "}
                ·{" "}
                {key.expires_at ? (
                  <>
                    ends <Ago at={key.expires_at} />
                  </>
                ) : (
                  "does not end"
                )}
              </span>
            </span>
            <button type="button" className="button danger small" onClick={() => setRevoking(key)}>
              Delete
            </button>
          </li>
        ))}
      </ul>
      {revoking && (
        <Confirm
          title={`Delete the key “${revoking.label}”?`}
          verb="Delete it"
          onClose={() => setRevoking(null)}
          act={() =>
            api.delete("/api/v1/api-keys/{key_id}", { path: { key_id: revoking.id } }).then(() => {
              toast("The key is worthless now.");
              return renew();
            })
          }
        >
          Whatever uses it is refused at once. That cannot be undone.
        </Confirm>
      )}
    </section>
  );
}

function NewKey({ onMade }: { onMade: (key: Schemas["ApiKeyCreated"]) => void }) {
  const [label, setLabel] = useState("");
  const [scopes, setScopes] = useState<string[]>(["jobs", "models", "files"]);
  const [life, setLife] = useState(0);
  const [error, setError] = useState<unknown>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    api
      .post("/api/v1/api-keys", { body: { label, scopes, expires_s: LIVES[life]?.[1] ?? null } })
      .then(onMade, setError);
  };
  return (
    <form className="stack" onSubmit={submit}>
      <div className="grid-fields">
        <Field label="What is it for?">
          <input
            type="text"
            required
            maxLength={100}
            value={label}
            onChange={(event) => setLabel(event.target.value)}
          />
        </Field>
        <Field label="Good for">
          <select value={life} onChange={(event) => setLife(Number(event.target.value))}>
            {LIVES.map(([words], index) => (
              <option key={words} value={index}>
                {words}
              </option>
            ))}
          </select>
        </Field>
      </div>
      <fieldset className="stack tight">
        <legend className="label">It may</legend>
        {Object.entries(SCOPES).map(([scope, words]) => (
          <label className="check" key={scope}>
            <input
              type="checkbox"
              checked={scopes.includes(scope)}
              onChange={(event) =>
                setScopes(event.target.checked ? [...scopes, scope] : scopes.filter((one) => one !== scope))
              }
            />
            <span>
              {words} <span className="soft small">({scope})</span>
            </span>
          </label>
        ))}
      </fieldset>
      {error !== null && <Failure error={error} />}
      <div>
        <Act
          type="submit"
          className="button primary"
          because={scopes.length === 0 ? "Choose what it may do first." : null}
        >
          Make the key
        </Act>
      </div>
    </form>
  );
}
