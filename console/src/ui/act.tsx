/** A button that says why it cannot be pressed: it keeps its place in the order of the keyboard, and tells beside it. */
import { Button } from "@base-ui/react/button";
import type { ComponentProps } from "react";
import { Tip } from "./tip";

/** `because`: what is missing; null when it can be pressed. */
export function Act({ because, ...props }: ComponentProps<"button"> & { because: string | null }) {
  return (
    <Tip says={because} taps>
      <Button focusableWhenDisabled {...props} disabled={because !== null} />
    </Tip>
  );
}
