/** The e-mail address: whether it is confirmed, and another one. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas } from "../api/client";
import { Failure, Field } from "../ui/small";
import { toast, toastError } from "../ui/toasts";
import { PasswordField } from "./proof";

export function Address({ me }: { me: Schemas["MeOut"] }) {
  const [changing, setChanging] = useState(false);
  const again = () =>
    api.post("/api/v1/auth/email/verification").then(() => toast("The mail is on its way."), toastError);
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>E-mail address</h2>
        <span className={me.email_verified ? "badge accent" : "badge"}>
          {me.email_verified ? "confirmed" : "not confirmed"}
        </span>
      </div>
      <p className="wrap">
        <strong>{me.email}</strong>
      </p>
      {!me.email_verified && (
        <p className="soft">
          We sent a mail with a link there. Until you follow it, a forgotten password cannot be told from a stranger's.
        </p>
      )}
      {me.pending_email && (
        <p className="notice warn">
          It becomes {me.pending_email} as soon as you follow the link in the mail that was sent there.
        </p>
      )}
      {changing && <ChangeAddress me={me} onDone={() => setChanging(false)} />}
      {!changing && (
        <div className="row">
          {!me.email_verified && (
            <button type="button" className="button" onClick={() => void again()}>
              Send the mail again
            </button>
          )}
          <button type="button" className="button" onClick={() => setChanging(true)}>
            Use another address
          </button>
        </div>
      )}
    </section>
  );
}

function ChangeAddress({ me, onDone }: { me: Schemas["MeOut"]; onDone: () => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    api.patch("/api/v1/auth/me", { body: { email, current_password: password || null } }).then(() => {
      toast("A mail is on its way to the new address.");
      onDone();
      return client.invalidateQueries({ queryKey: ["me"] });
    }, setError);
  };
  return (
    <form className="stack" onSubmit={submit}>
      <Field label="New e-mail address" hint="It counts once you have followed the link that is sent there.">
        <input
          type="text"
          inputMode="email"
          autoComplete="email"
          required
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
      </Field>
      {me.has_password && <PasswordField value={password} onChange={setPassword} />}
      {error !== null && <Failure error={error} />}
      <div className="row">
        <button type="submit" className="button primary">
          Ask for it
        </button>
        <button type="button" className="button" onClick={onDone}>
          Keep the present one
        </button>
      </div>
    </form>
  );
}
