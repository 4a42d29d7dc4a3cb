/** Whether anything on line could run a model now, and for how much. */
import type { Schemas } from "../api/client";
import { countText, plural } from "../ui/amounts";
import { Money, Status } from "../ui/small";

type Model = Schemas["ModelOut"];

/** Whether any slot on line takes it, of others or one's own. */
export const runsNow = (model: Model) => (model.now?.slots ?? 0) + (model.now?.slots_own ?? 0) > 0;

/** "runs now on 2 slots, one of them free", or what stands in the way. */
export function capacityWords({ slots, slots_free, slots_own }: NonNullable<Model["now"]>): string {
  if (slots === 0 && slots_own === 0) return "no machine on line can run it now";
  if (slots === 0) return `only ${plural(slots_own, "slot")} of your own could run it`;
  const free = slots_free === slots ? "free" : slots_free === 0 ? "all busy" : `${countText(slots_free)} free`;
  return `runs now on ${plural(slots, "slot")}, ${free}`;
}

export function RunsNow({ model }: { model: Model }) {
  if (!model.now) return null;
  return (
    <span className="small">
      <Status of={model.now.slots > 0 ? "online" : "paused"}>{capacityWords(model.now)}</Status>
      {model.now.price_per_million && (
        <span className="soft">
          {" · "}
          <Money of={model.now.price_per_million} /> a million items
        </span>
      )}
    </span>
  );
}
