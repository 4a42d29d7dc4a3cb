/** Short messages that go by themselves, but not while they are pointed at or focused (F6); errors stay until they are closed. */
import { Toast } from "@base-ui/react/toast";
import { inWords, requestIdOf } from "../api/problem";
import { Icon } from "./icons";

const STAY_MS = 4500;
/** Time to read, to decide and to reach the button. */
const UNDO_MS = 9000;
const SHOWN_MAX = 4;
const manager = Toast.createToastManager();

/** How to take back what was just done. */
export interface Undo {
  verb?: string;
  act: () => Promise<unknown>;
}

export function toast(text: string, undo?: Undo): void {
  if (!undo) {
    manager.add({ title: text, timeout: STAY_MS });
    return;
  }
  const id = manager.add({
    title: text,
    timeout: UNDO_MS,
    actionProps: {
      children: undo.verb ?? "Undo",
      onClick: () => {
        manager.close(id);
        undo.act().catch(toastError);
      },
    },
  });
}

export function toastError(error: unknown): void {
  const requestId = requestIdOf(error);
  manager.add({
    title: inWords(error),
    description: requestId && `Request ${requestId}`,
    timeout: 0,
    priority: "high",
    type: "error",
  });
}

export function Toasts() {
  return (
    <Toast.Provider toastManager={manager} timeout={STAY_MS} limit={SHOWN_MAX}>
      <Toast.Portal>
        <Toast.Viewport className="toasts" aria-label="Messages">
          <All />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  );
}

function All() {
  return Toast.useToastManager().toasts.map((one) => (
    <Toast.Root key={one.id} toast={one} swipeDirection={["right", "down"]} className="toast">
      <Toast.Content className="toast-words">
        <Toast.Title render={<div />} />
        <Toast.Description render={<small />} />
      </Toast.Content>
      <Toast.Action className="toast-undo" />
      <Toast.Close className="icon-button" aria-label="Close this message">
        <Icon name="close" size={15} />
      </Toast.Close>
    </Toast.Root>
  ));
}
