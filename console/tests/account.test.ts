import { expect, test } from "vitest";
import { deviceWords } from "../src/account/device";
import { pathOf } from "../src/account/qr";
import { deliveryWords, stateWords } from "../src/account/told";
import { bpsOf } from "../src/operator/prices";

test("a browser is called by its name and its system, a program as it calls itself", () => {
  const chrome =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
  const safari =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1";
  expect([chrome, `${chrome} Edg/156.0`, safari, "python-httpx/0.28.1", null].map(deviceWords)).toEqual([
    "Chrome on Linux",
    "Edge on Linux",
    "Safari on iOS",
    "python-httpx/0.28.1",
    "Unknown device",
  ]);
});

test("a QR code is drawn by its dark squares alone", () => {
  const rows = [
    [true, false],
    [false, true],
  ];
  expect(pathOf(rows)).toBe("M0 0h1v1h-1zM1 1h1v1h-1z");
});

test("a commission is a percentage of at most half, to two places", () => {
  expect(["10", "12.5", "0,25", "50", "50.01", "x", "-1", "1.234", ""].map(bpsOf)).toEqual([
    1000,
    1250,
    25,
    5000,
    null,
    null,
    null,
    null,
    null,
  ]);
});

test("a webhook says why it is off, and a delivery what became of it", () => {
  const on = { enabled: true, switched_off_because: null, failing_since: null };
  expect(
    [
      on,
      { ...on, failing_since: "2026-01-01T00:00:00Z" },
      { ...on, enabled: false },
      { ...on, enabled: false, switched_off_because: "It answered 410." },
    ].map(stateWords),
  ).toEqual(["on", "on, but nothing comes through", "off", "off: It answered 410."]);
  const sent = { status: "pending" as const, attempts: 0, failure: null, response_status: null };
  expect(
    [
      sent,
      { ...sent, attempts: 1, failure: "It answered 500." },
      { ...sent, status: "delivered" as const, response_status: 204 },
      { ...sent, status: "given_up" as const, failure: "It answered 500." },
    ].map(deliveryWords),
  ).toEqual([
    "on its way",
    "will be tried again after 1 try: It answered 500.",
    "taken (204)",
    "given up: It answered 500.",
  ]);
});
