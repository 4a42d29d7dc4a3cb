import { expect, test } from "vitest";
import { capacityWords } from "../src/models/runs-now";

const now = (slots: number, slots_free: number, slots_own = 0) => ({
  slots,
  slots_free,
  slots_own,
  price_per_million: null,
});

test("a model says in words what could run it now", () => {
  expect(capacityWords(now(3, 3))).toBe("runs now on 3 slots, free");
  expect(capacityWords(now(3, 1, 2))).toBe("runs now on 3 slots, 1 free");
  expect(capacityWords(now(1, 0))).toBe("runs now on 1 slot, all busy");
  expect(capacityWords(now(0, 0, 1))).toBe("only 1 slot of your own could run it");
  expect(capacityWords(now(0, 0))).toBe("no machine on line can run it now");
});
