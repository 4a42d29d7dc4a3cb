/** Taking everything along, and the end of an account. */
import { type FormEvent, useState } from "react";
import { api, type Schemas, send, session } from "../api/client";
import { Act } from "../ui/act";
import { Dialog } from "../ui/dialog";
import { Failure, Field } from "../ui/small";
import { toast, toastError } from "../ui/toasts";
import { CodeField, PasswordField } from "./proof";

export function Export() {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const answer = await send("/api/v1/auth/me/export");
      const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? "fabric.zip";
      const made = URL.createObjectURL(await answer.blob());
      const link = document.createElement("a");
      link.href = made;
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(made), 10_000);
      toast("Your data is saved as a zip.");
    } catch (reason) {
      toastError(reason);
    }
    setBusy(false);
  };
  return (
    <section className="sheet">
      <h2>Take your data along</h2>
      <p className="soft">
        Everything that this fabric keeps about you, as one zip of JSON files: profile, jobs, machines, every line of
        the ledger. No secrets, and no contents of files.
      </p>
      <div>
        <button type="button" className="button" disabled={busy} onClick={() => void save()}>
          {busy ? "Putting it together …" : "Save it"}
        </button>
      </div>
    </section>
  );
}

export function Deletion({ me }: { me: Schemas["MeOut"] }) {
  const [asking, setAsking] = useState(false);
  return (
    <section className="sheet danger-zone">
      <h2>Delete your account</h2>
      <p className="soft">
        Now and for good. Jobs must have ended and machines earn nothing more; what the books must keep stays under a
        number that says nothing of you.
      </p>
      <div>
        <button type="button" className="button danger" onClick={() => setAsking(true)}>
          Delete it …
        </button>
      </div>
      {asking && <DeleteDialog me={me} onClose={() => setAsking(false)} />}
    </section>
  );
}

function DeleteDialog({ me, onClose }: { me: Schemas["MeOut"]; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [giveUp, setGiveUp] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    const body = { current_password: password || null, code: code.trim() || null, give_up_credit: giveUp };
    api.post("/api/v1/auth/me/deletion", { body }).then(() => {
      session.end();
      toast("Your account is deleted.");
    }, setError);
  };
  return (
    <Dialog title="Delete your account?" onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <p>This cannot be undone: files, models, results and keys go at once.</p>
        <Field label={`Write ${me.email} to go on`}>
          <input
            type="text"
            autoComplete="off"
            required
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
          />
        </Field>
        {me.has_password && <PasswordField value={password} onChange={setPassword} />}
        {me.second_factor && <CodeField value={code} onChange={setCode} recovery />}
        <label className="check">
          <input type="checkbox" checked={giveUp} onChange={(event) => setGiveUp(event.target.checked)} />
          <span>Credit and earnings that are left are given up</span>
        </label>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <Act
            type="submit"
            className="button danger primary"
            because={typed.trim() === me.email ? null : "Type your address as it stands there."}
          >
            Delete it for good
          </Act>
          <button type="button" className="button" onClick={onClose}>
            Keep my account
          </button>
        </div>
      </form>
    </Dialog>
  );
}
