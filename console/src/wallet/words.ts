/** What the kinds of movements and the states of payouts mean, in words. */
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
