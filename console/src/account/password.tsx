/** Another password; it ends every log-in, so this one begins anew. */
import { type FormEvent, useState } from "react";
import { api, type Schemas, session } from "../api/client";
import { Failure, Field } from "../ui/small";
import { toast } from "../ui/toasts";
import { CodeField, PasswordField } from "./proof";

export function Password({ me }: { me: Schemas["MeOut"] }) {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [code, setCode] = useState("");
  const [error, setError] = useState<unknown>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    try {
      await api.patch("/api/v1/auth/me", { body: { current_password: current || null, new_password: next } });
      const body = { email: me.email, password: next, ...(me.second_factor && { code: code.trim() }) };
      session.begin(await api.post("/api/v1/auth/login", { body }));
      setCurrent("");
      setNext("");
      setCode("");
      toast("Your password is changed. All other log-ins are ended.");
    } catch (reason) {
      setError(reason);
    }
  };
  return (
    <section className="sheet">
      <h2>Password</h2>
      <form className="stack" onSubmit={submit}>
        <input
          type="text"
          className="visually-hidden"
          autoComplete="username"
          value={me.email}
          readOnly
          tabIndex={-1}
          aria-hidden="true"
        />
        {me.has_password && <PasswordField label="Present password" value={current} onChange={setCurrent} />}
        <Field label="New password" hint="At least 8 characters. All other log-ins are ended.">
          <input
            type="password"
            autoComplete="new-password"
            required
            minLength={8}
            value={next}
            onChange={(event) => setNext(event.target.value)}
          />
        </Field>
        {me.second_factor && <CodeField value={code} onChange={setCode} />}
        {error !== null && <Failure error={error} />}
        <div>
          <button type="submit" className="button">
            Change it
          </button>
        </div>
      </form>
    </section>
  );
}
