/** What a job's codes mean, in words. */
export const WAITING: Record<string, [string, string]> = {
  no_capacity: [
    "No machine that suits is free",
    "It starts by itself as soon as one is. Wider requirements (accelerator, region, memory) would let more machines take it.",
  ],
  slot_memory: [
    "The machines that are free have too little memory",
    "This model needs more than any free slot offers. It waits for a larger one.",
  ],
  price_below_market: [
    "Your price limit is below what machines ask for",
    "It waits until somebody offers a slot at your price.",
  ],
  model_loading: ["A machine is loading the model", "That is not charged. It takes seconds for most models."],
  funds: [
    "The budget is used up",
    "Add to the budget and it goes on where it stopped. Otherwise it ends after a while with what it has.",
  ],
  provider_failing: [
    "The machine that had it keeps failing",
    "Its parts are given to others. Failed tries are not charged.",
  ],
};

export function waitingWords(reason: string | null | undefined): [string, string] | null {
  if (!reason) return null;
  return WAITING[reason] ?? [reason.replaceAll("_", " "), "It goes on by itself when that has passed."];
}
