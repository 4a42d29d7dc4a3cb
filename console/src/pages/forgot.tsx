import { Link } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { api } from "../api/client";
import { Failure, Field } from "../ui/small";
import "../styles/account.css";

export function ForgotPage() {
  const [email, setEmail] = useState("");
  const [asked, setAsked] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    document.title = "Forgotten password · Fabric";
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    api.post("/api/v1/auth/password/forgot", { body: { email } }).then(() => setAsked(true), setError);
  };
  return (
    <main className="door-form alone">
      <div>
        <div className="brand">
          <img src="/console/mark.svg" width="30" height="30" alt="" /> Fabric
        </div>
        <h1>Choose a new password</h1>
        {asked ? (
          <p role="status">
            If <strong className="wrap">{email}</strong> has an account, a mail with a link is on its way there. The
            link is good for a short while, and once.
          </p>
        ) : (
          <form className="stack" onSubmit={submit}>
            <Field label="E-mail address" hint="We send a link there with which you choose a new one.">
              <input
                type="text"
                inputMode="email"
                autoComplete="username"
                required
                value={email}
                onChange={(event) => setEmail(event.target.value)}
              />
            </Field>
            {error !== null && <Failure error={error} />}
            <button type="submit" className="button primary">
              Send the link
            </button>
          </form>
        )}
        <p className="small">
          <Link to="/sign-in">Back to signing in</Link>
        </p>
      </div>
    </main>
  );
}
