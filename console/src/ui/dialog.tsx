/** A dialog of the browser's own: it keeps the focus, closes by Escape and gives the focus back. */
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Failure } from "./small";

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    ref.current?.showModal();
  }, []);
  return (
    <dialog ref={ref} aria-labelledby={id} onClose={onClose}>
      <div>
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

/** Asks before something that costs or cannot be undone. */
export function Confirm({
  title,
  children,
  verb,
  danger = true,
  act,
  onClose,
}: {
  title: string;
  children: ReactNode;
  verb: string;
  danger?: boolean;
  act: () => Promise<unknown>;
  onClose: () => void;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const go = () => {
    setBusy(true);
    act().then(onClose, (reason) => {
      setError(reason);
      setBusy(false);
    });
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="soft">{children}</div>
      {error !== null && <Failure error={error} />}
      <div className="row">
        <button
          type="button"
          className={danger ? "button danger primary" : "button primary"}
          disabled={busy}
          onClick={go}
        >
          {verb}
        </button>
        <button type="button" className="button" onClick={onClose}>
          Keep as it is
        </button>
      </div>
    </Dialog>
  );
}
