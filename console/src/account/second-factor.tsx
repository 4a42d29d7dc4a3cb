/** The second factor: set up with an authenticator app, recovery codes shown once, switched off again. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas } from "../api/client";
import { Dialog } from "../ui/dialog";
import { save } from "../ui/download";
import { Code, CopyButton, Failure } from "../ui/small";
import { toast } from "../ui/toasts";
import { CodeField, PasswordField } from "./proof";
import { QrCode } from "./qr";

type Me = Schemas["MeOut"];

export function SecondFactor({ me }: { me: Me }) {
  const [asking, setAsking] = useState<"on" | "off" | "codes" | null>(null);
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>Second factor</h2>
        <span className={me.second_factor ? "badge accent" : "badge"}>{me.second_factor ? "on" : "off"}</span>
      </div>
      <p className="soft">
        {me.second_factor
          ? "Signing in asks for a code of your authenticator app as well."
          : "With it a stolen password alone opens nothing: signing in also asks for a code of an app on your phone."}
      </p>
      <div className="row">
        {me.second_factor ? (
          <>
            <button type="button" className="button" onClick={() => setAsking("codes")}>
              New recovery codes
            </button>
            <button type="button" className="button danger" onClick={() => setAsking("off")}>
              Switch it off
            </button>
          </>
        ) : (
          <button type="button" className="button primary" onClick={() => setAsking("on")}>
            Set it up
          </button>
        )}
      </div>
      {asking === "on" && <Enrol me={me} onClose={() => setAsking(null)} />}
      {asking === "codes" && <NewCodes me={me} onClose={() => setAsking(null)} />}
      {asking === "off" && <SwitchOff me={me} onClose={() => setAsking(null)} />}
    </section>
  );
}

function Enrol({ me, onClose }: { me: Me; onClose: () => void }) {
  const [password, setPassword] = useState("");
  const [made, setMade] = useState<Schemas["EnrolmentOut"] | null>(null);
  const [code, setCode] = useState("");
  const [codes, setCodes] = useState<string[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    try {
      if (made) {
        const answer = await api.post("/api/v1/auth/second-factor/confirm", { body: { code: code.trim() } });
        setCodes(answer.recovery_codes);
        toast("The second factor is on.");
      } else {
        setMade(await api.post("/api/v1/auth/second-factor", { body: { current_password: password || null } }));
      }
    } catch (reason) {
      setError(reason);
    }
  };
  const close = () => {
    void client.invalidateQueries({ queryKey: ["me"] });
    onClose();
  };
  if (codes) {
    return (
      <Dialog title="Keep these recovery codes" onClose={close}>
        <RecoveryCodes codes={codes} onDone={close} />
      </Dialog>
    );
  }
  return (
    <Dialog title="Set up a second factor" onClose={close}>
      <form className="stack" onSubmit={submit}>
        {made === null && me.has_password && <PasswordField value={password} onChange={setPassword} />}
        {made === null && !me.has_password && <p className="soft">Go on to get a code for your app.</p>}
        {made && (
          <>
            <p>Scan this with your authenticator app, then write the six digits that it shows.</p>
            <QrCode text={made.otpauth_url} label="QR code for an authenticator app" />
            <details>
              <summary>It cannot be scanned?</summary>
              <div className="stack tight">
                <p className="soft small">Type this key into the app instead.</p>
                <Code>{made.secret}</Code>
              </div>
            </details>
            <CodeField value={code} onChange={setCode} />
          </>
        )}
        {error !== null && <Failure error={error} />}
        <div className="row">
          <button type="submit" className="button primary">
            {made ? "Switch it on" : "Go on"}
          </button>
          <button type="button" className="button" onClick={close}>
            Not now
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function RecoveryCodes({ codes, onDone }: { codes: string[]; onDone: () => void }) {
  const text = codes.join("\n");
  const keep = () => save(new Blob([`${text}\n`], { type: "text/plain" }), "fabric-recovery-codes.txt");
  return (
    <div className="stack">
      <p>
        When the app is lost, each of these opens your account once. They are <strong>shown this once</strong>.
      </p>
      <ul className="recovery-codes">
        {codes.map((code) => (
          <li key={code}>{code}</li>
        ))}
      </ul>
      <div className="row">
        <button type="button" className="button primary" onClick={onDone}>
          I have kept them
        </button>
        <button type="button" className="button" onClick={keep}>
          Save as a file
        </button>
        <CopyButton text={text} what="recovery codes" />
      </div>
    </div>
  );
}

function NewCodes({ me, onClose }: { me: Me; onClose: () => void }) {
  const [codes, setCodes] = useState<string[] | null>(null);
  return (
    <Dialog title="New recovery codes" onClose={onClose}>
      {codes ? (
        <RecoveryCodes codes={codes} onDone={onClose} />
      ) : (
        <Proof
          me={me}
          verb="Make new ones"
          words="The old ones are worthless from then on."
          onClose={onClose}
          act={async (body) =>
            setCodes((await api.post("/api/v1/auth/second-factor/recovery-codes", { body })).recovery_codes)
          }
        />
      )}
    </Dialog>
  );
}

function SwitchOff({ me, onClose }: { me: Me; onClose: () => void }) {
  const client = useQueryClient();
  return (
    <Dialog title="Switch the second factor off?" onClose={onClose}>
      <Proof
        me={me}
        verb="Switch it off"
        words="From then on the password alone opens your account."
        onClose={onClose}
        act={async (body) => {
          await api.post("/api/v1/auth/second-factor/off", { body });
          toast("The second factor is off.");
          await client.invalidateQueries({ queryKey: ["me"] });
          onClose();
        }}
      />
    </Dialog>
  );
}

function Proof({
  me,
  verb,
  words,
  act,
  onClose,
}: {
  me: Me;
  verb: string;
  words: string;
  act: (body: Schemas["ProofAndCodeIn"]) => Promise<void>;
  onClose: () => void;
}) {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [error, setError] = useState<unknown>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    act({ current_password: password || null, code: code.trim() }).catch(setError);
  };
  return (
    <form className="stack" onSubmit={submit}>
      <p className="soft">{words}</p>
      {me.has_password && <PasswordField value={password} onChange={setPassword} />}
      <CodeField value={code} onChange={setCode} recovery />
      {error !== null && <Failure error={error} />}
      <div className="row">
        <button type="submit" className="button primary">
          {verb}
        </button>
        <button type="button" className="button" onClick={onClose}>
          Keep it as it is
        </button>
      </div>
    </form>
  );
}
