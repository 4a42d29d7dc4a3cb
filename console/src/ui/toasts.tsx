/** Short messages that go by themselves; errors stay until they are closed. */
import { useSyncExternalStore } from "react";
import { inWords, requestIdOf } from "../api/problem";
import { Icon } from "./icons";

interface Toast {
  id: number;
  text: string;
  small: string | null;
}
const STAY_MS = 4500;
let shown: readonly Toast[] = [];
let counter = 0;
const listeners = new Set<() => void>();

function change(next: readonly Toast[]): void {
  shown = next;
  for (const listener of listeners) listener();
}
const close = (id: number) => change(shown.filter((toast) => toast.id !== id));

export function toast(text: string): void {
  counter += 1;
  const id = counter;
  change([...shown.slice(-3), { id, text, small: null }]);
  setTimeout(() => close(id), STAY_MS);
}

export function toastError(error: unknown): void {
  counter += 1;
  const requestId = requestIdOf(error);
  change([...shown.slice(-3), { id: counter, text: inWords(error), small: requestId && `Request ${requestId}` }]);
}

export function Toasts() {
  const all = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {all.map((toast) => (
        <div className="toast" key={toast.id}>
          <div>
            {toast.text}
            {toast.small && <small>{toast.small}</small>}
          </div>
          <button type="button" className="icon-button" aria-label="Close this message" onClick={() => close(toast.id)}>
            <Icon name="close" size={15} />
          </button>
        </div>
      ))}
    </div>
  );
}
