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

const ENTRIES: Record<string, string> = {
  topup: "Top-up",
  hold: "Set aside for a job",
  release: "Given back from a job",
  clawback: "Given back for a bad result",
  refund_reserve: "Refund on its way",
  refund_failed: "Refund that did not work",
  chargeback: "Payment taken back by a bank",
  chargeback_won: "Payment that the bank gave back",
  writeoff: "Settled after a lost dispute",
  correction: "Correction by an operator",
  promotion: "Given to you",
};
export function entryWords(kind: string): string {
  return ENTRIES[kind] ?? kind.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
}

const WHY: Record<string, string> = {
  hold: "what is not used comes back when the job ends",
  release: "what the job did not use",
  clawback: "the whole price, commission included",
  chargeback: "the wallet is frozen until the dispute is settled",
};
/** What people ask about a line of the wallet; null where its name says it. */
export function entryWhy(kind: string): string | null {
  return WHY[kind] ?? null;
}

const PAYOUTS: Record<string, string> = {
  reserved: "about to be sent",
  transferring: "on its way to your account at the payment service",
  in_stripe: "at the payment service, on its way to your bank",
  paid: "at your bank",
  returned: "sent back by your bank; it is tried again",
  reversing: "on its way back to your earnings",
  reversed: "back in your earnings",
  unreserved: "not sent; back in your earnings",
};
export function payoutWords(status: string): string {
  return PAYOUTS[status] ?? status.replaceAll("_", " ");
}
