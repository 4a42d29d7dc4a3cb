import { Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { CodeField } from "../account/proof";
import { api, session } from "../api/client";
import { Problem } from "../api/problem";
import { signIn } from "../router";
import { Failure, Field } from "../ui/small";

export function SignInPage() {
  const { next } = signIn.useSearch();
  const navigate = useNavigate();
  const [registering, setRegistering] = useState(false);
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    document.title = "Sign in · Fabric";
  }, []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const body = { email, password };
      session.begin(
        registering
          ? await api.post("/api/v1/auth/register", { body })
          : await api.post("/api/v1/auth/login", { body: { ...body, code: code?.trim() || null } }),
      );
      await navigate({ href: next ?? "/" });
    } catch (reason) {
      const asksForCode = code === null && reason instanceof Problem && reason.code === "second_factor_needed";
      if (asksForCode) setCode("");
      else setError(reason);
      setBusy(false);
    }
  };

  return (
    <div className="door">
      <section className="door-words">
        <div className="brand">
          <img src="/console/mark.svg" width="30" height="30" alt="" /> Fabric
        </div>
        <h1>Your model, on many machines at once.</h1>
        <ul className="stack">
          <li>
            <strong>A price before, a bill after</strong>
            <span>
              Only seconds that were really used are charged. No cold starts, no failed tries, never more than you
              allowed.
            </span>
          </li>
          <li>
            <strong>Bring an ONNX file</strong>
            <span>Drop it with a pile of inputs. The pile is split, run side by side and given back in order.</span>
          </li>
          <li>
            <strong>Lend what you own</strong>
            <span>One command joins your machine, and it earns for every second that it works.</span>
          </li>
        </ul>
      </section>
      <main className="door-form">
        <div>
          <h2>{registering ? "Make an account" : "Sign in"}</h2>
          <form className="stack" onSubmit={submit}>
            <Field label="E-mail address">
              <input
                type="text"
                inputMode="email"
                name="email"
                autoComplete="username"
                required
                value={email}
                onChange={(event) => setEmail(event.target.value)}
              />
            </Field>
            <Field
              label="Password"
              hint={
                registering ? "At least 8 characters. A sentence is easy to remember and hard to guess." : undefined
              }
            >
              <input
                type="password"
                name="password"
                autoComplete={registering ? "new-password" : "current-password"}
                required
                minLength={registering ? 8 : 1}
                value={password}
                onChange={(event) => setPassword(event.target.value)}
              />
            </Field>
            {code !== null && <CodeField value={code} onChange={setCode} recovery />}
            {error !== null && <Failure error={error} />}
            <button type="submit" className="button primary" disabled={busy}>
              {registering ? "Make an account" : "Sign in"}
            </button>
          </form>
          <div className="small">
            {registering ? "You have an account already? " : "New here? "}
            <button
              type="button"
              className="button quiet small"
              onClick={() => {
                setRegistering(!registering);
                setCode(null);
                setError(null);
              }}
            >
              {registering ? "Sign in" : "Make an account"}
            </button>
          </div>
          {!registering && (
            <p className="small">
              <Link to="/forgot">Forgotten your password?</Link>
            </p>
          )}
        </div>
      </main>
    </div>
  );
}
