/** What is said beside a thing when it is pointed at, focused by keyboard, or (where it does nothing else) tapped. */
import { Tooltip } from "@base-ui/react/tooltip";
import { type MouseEvent, type ReactElement, useId } from "react";

const DELAY_MS = 350;
const tips = Tooltip.createHandle<string>();

/** The one bubble that every `Tip` shares; stands once around the page. */
export function Tips() {
  return (
    <Tooltip.Root handle={tips}>
      {({ payload }) => (
        <Tooltip.Portal>
          <Tooltip.Positioner className="tip-place" sideOffset={6} collisionPadding={8}>
            <Tooltip.Popup className="tip">{payload}</Tooltip.Popup>
          </Tooltip.Positioner>
        </Tooltip.Portal>
      )}
    </Tooltip.Root>
  );
}

/** `taps`: a finger shows it as well, since the thing itself does nothing when it is pressed. Null: there is nothing to say. */
export function Tip({ says, taps = false, children }: { says: string | null; taps?: boolean; children: ReactElement }) {
  const id = useId();
  const tap = (event: MouseEvent) => {
    if (says !== null && (event.nativeEvent as PointerEvent).pointerType === "touch") tips.open(id);
  };
  return (
    <Tooltip.Trigger
      handle={tips}
      id={id}
      payload={says ?? ""}
      disabled={says === null}
      delay={DELAY_MS}
      closeOnClick={!taps}
      render={children}
      {...(taps && { onClick: tap, tabIndex: 0 })}
    />
  );
}
