/** What stands above the page until it is answered: it keeps the focus, closes by Escape and gives the focus back. */
import { AlertDialog } from "@base-ui/react/alert-dialog";
import { Dialog as Parts } from "@base-ui/react/dialog";
import { type ReactNode, useRef, useState } from "react";
import { Failure } from "./small";

/** A press beside it does not close it: what was typed, or is shown once, would be gone. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  return (
    <Parts.Root open disablePointerDismissal onOpenChange={(open) => !open && onClose()}>
      <Parts.Portal>
        <Parts.Backdrop className="backdrop" />
        <Parts.Popup className="dialog">
          <Parts.Title>{title}</Parts.Title>
          {children}
        </Parts.Popup>
      </Parts.Portal>
    </Parts.Root>
  );
}

/** Asks before something that costs or cannot be undone; the focus begins on what changes nothing. */
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
  const safe = useRef<HTMLButtonElement>(null);
  const go = () => {
    setBusy(true);
    act().then(onClose, (reason) => {
      setError(reason);
      setBusy(false);
    });
  };
  return (
    <AlertDialog.Root open onOpenChange={(open) => !open && onClose()}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="backdrop" />
        <AlertDialog.Popup className="dialog" initialFocus={safe}>
          <AlertDialog.Title>{title}</AlertDialog.Title>
          <AlertDialog.Description className="soft" render={<div />}>
            {children}
          </AlertDialog.Description>
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
            <AlertDialog.Close ref={safe} className="button">
              Keep as it is
            </AlertDialog.Close>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
