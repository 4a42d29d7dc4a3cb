// A person loses a password, gets a second factor and is cut off for a while; an operator audits the books. Started by Python:
//   node journeys/account.mjs URL MAIL-FOLDER OPERATOR-EMAIL OPERATOR-PASSWORD

import { createHmac } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { PHONE, visitors } from "./people.mjs";

const [url, mails, operatorEmail, operatorPassword] = process.argv.slice(2);
const { person, check, signIn, faults, browser } = await visitors(url);
const seen = {};
const email = `grace-${Date.now()}@example.com`;
const OLD = "correct horse battery";
const NEW = "a better battery horse";
// While the network is away the browser itself says so, a wrong log-in is answered with 401 and an address inside with 422.
const expected = (text) => /net::ERR_|status of (401|422)/.test(text);

const page = await person({}, expected);
await page.goto(`${url}/`);
await page.getByRole("button", { name: "Make an account" }).click();
await page.getByLabel("E-mail address").fill(email);
await page.getByLabel("Password").fill(OLD);
await page.keyboard.press("Enter");
await page.getByText("Run your first model").waitFor();

// The password is forgotten: the link comes by mail, and leads to a page where another one is chosen.
const forgetful = await person({}, expected);
await forgetful.goto(`${url}/`);
await forgetful.getByRole("link", { name: "Forgotten your password?" }).click();
await forgetful.getByRole("heading", { name: "Choose a new password" }).waitFor();
await forgetful.getByLabel("E-mail address").fill(email);
await check(forgetful, "forgotten password");
await forgetful.getByRole("button", { name: "Send the link" }).click();
await forgetful.getByText("has an account").waitFor();
let token = null;
while (token === null) {
  for (const name of readdirSync(mails).filter((one) => one.endsWith(".eml"))) {
    const text = readFileSync(join(mails, name), "utf8")
      .replace(/=\r?\n/g, "")
      .replaceAll("=3D", "=");
    if (text.includes(email)) token = /reset\?token=(\S+)/.exec(text)?.[1] ?? token;
  }
  await forgetful.waitForTimeout(100);
}
await forgetful.goto(`${url}/account/reset?token=${token}`);
await check(forgetful, "choose a new password");
await forgetful.getByLabel("New password").fill(NEW);
await forgetful.getByRole("button", { name: "Change it" }).click();
await forgetful.getByRole("heading", { name: "Your password is changed" }).waitFor();
await forgetful.getByRole("link", { name: "To the console" }).click();
await forgetful.getByLabel("E-mail address").fill(email);
await forgetful.getByLabel("Password").fill(NEW);
await forgetful.keyboard.press("Enter");
await forgetful.getByRole("heading", { name: "Overview" }).waitFor();

// A second factor: the key goes into an app (here: computed), codes are shown once, and the next log-in asks for one.
await forgetful.goto(`${url}/console/settings?part=security`);
await check(forgetful, "security");
await forgetful.getByRole("button", { name: "Set it up" }).click();
await forgetful.getByLabel("Your password").fill(NEW);
await forgetful.getByRole("button", { name: "Go on" }).click();
await forgetful.getByRole("img", { name: "QR code for an authenticator app" }).waitFor();
await check(forgetful, "QR code");
await forgetful.getByText("It cannot be scanned?").click();
const secret = await forgetful.getByRole("dialog").locator(".code pre").textContent();
await forgetful.getByLabel("Code of your authenticator app").fill(codeOf(secret, Date.now()));
await forgetful.getByRole("button", { name: "Switch it on" }).click();
await forgetful.locator(".recovery-codes li").first().waitFor();
const codes = await forgetful.locator(".recovery-codes li").allTextContents();
seen.codes = codes.length;
await forgetful.getByRole("button", { name: "I have kept them" }).click();
await forgetful.getByRole("button", { name: "Switch it off" }).waitFor();
const line = await cuttable(url);
const again = await person({}, expected, line.url);
await again.goto(`${line.url}/`);
await again.getByLabel("E-mail address").fill(email);
await again.getByLabel("Password").fill(NEW);
await again.keyboard.press("Enter");
await again.getByLabel("or a recovery code").fill(codes[0]);
await again.keyboard.press("Enter");
await again.getByRole("heading", { name: "Overview" }).waitFor();

// The stream is cut; what happened meanwhile is there as soon as it is back, without a reload.
await again.goto(`${line.url}/console/wallet`);
await again.getByRole("heading", { name: "By day" }).waitFor();
await again.evaluate(() => {
  window.notReloaded = true;
});
await line.cut();
await again.getByText("this page may be old").waitFor();
await forgetful.goto(`${url}/console/wallet`);
await forgetful.getByRole("button", { name: "Top up" }).click();
await forgetful.getByRole("button", { name: "Add play money" }).click();
await forgetful.getByText("Your play money has grown").waitFor();
await line.restore();
await again.locator(".fact", { hasText: "Available" }).getByText("$25.00").waitFor();
await again.getByText("this page may be old").waitFor({ state: "detached" });
seen.notReloaded = await again.evaluate(() => window.notReloaded);
await check(again, "wallet");

// A program of theirs shall be told how jobs end: an address inside is refused in words, one outside is made, tried and taken away.
await again.goto(`${line.url}/console/settings?part=webhooks`);
await again.getByText("No webhooks yet").waitFor();
await check(again, "webhooks, none yet");
await again.getByRole("button", { name: "New webhook" }).click();
await again.getByLabel("Address").fill("https://10.0.0.1/fabric");
await again.getByRole("button", { name: "Make the webhook" }).click();
seen.refusedHook = await again.getByRole("alert").first().textContent();
await again.getByLabel("Address").fill("https://hooks.invalid/fabric");
await again.getByLabel("What is it for?").fill("nightly report");
await again.getByRole("button", { name: "Make the webhook" }).click();
seen.hookSecret = await again.locator(".secret code").textContent();
await check(again, "a webhook's secret");
await again.getByRole("button", { name: "I have it" }).click();
await again.getByRole("button", { name: "Send a ping" }).click();
await again.getByText("will be tried again").waitFor();
seen.hookTold = await again.locator("li", { hasText: "hooks.invalid" }).locator("li").first().textContent();
await check(again, "webhooks");
await again.getByRole("button", { name: "Delete", exact: true }).click();
await again.getByRole("button", { name: "Delete it" }).click();
await again.getByText("No webhooks yet").waitFor();

// Everything that was seen is seen on a phone and in the dark as well.
const phone = await person(PHONE, expected);
await phone.goto(`${url}/`);
await phone.getByLabel("E-mail address").fill(email);
await phone.getByLabel("Password").fill(NEW);
await phone.keyboard.press("Enter");
await phone.getByLabel("or a recovery code").fill(codes[1]);
await phone.keyboard.press("Enter");
await phone.getByRole("heading", { name: "Overview" }).waitFor();
for (const part of ["profile", "security", "keys", "webhooks", "data"]) {
  await phone.goto(`${url}/console/settings?part=${part}`);
  await check(phone, `settings, ${part}, on a phone`);
}
await phone.goto(`${url}/console/operator`);
await phone.getByRole("heading", { name: "For operators" }).waitFor();
await check(phone, "operator's pages, for somebody else");

// An operator sees every part, finds the person, audits the books and changes the commission.
const operator = await person({});
await signIn(operator, operatorEmail, operatorPassword);
await operator.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Operator" }).click();
await operator.getByText("all as they should be").waitFor();
await check(operator, "health");
const parts = operator.getByRole("navigation", { name: "Operator" });
await parts.getByRole("link", { name: "Users" }).click();
await operator.getByLabel("Address holds").fill(email.slice(0, 12));
await operator.getByText(email).waitFor();
await check(operator, "users");
await parts.getByRole("link", { name: "Machines" }).click();
await operator.getByRole("button", { name: "Ban" }).first().waitFor();
await check(operator, "all machines");
await parts.getByRole("link", { name: "Jobs" }).click();
await check(operator, "all jobs");
await parts.getByRole("link", { name: "Ledger" }).click();
await operator.getByRole("button", { name: "Audit now" }).click();
seen.audit = await operator.getByText(/audits hold/).textContent();
await check(operator, "ledger");
await parts.getByRole("link", { name: "Prices" }).click();
await check(operator, "prices");
seen.commission = await operator
  .locator("section", { hasText: "New commission" })
  .locator("strong")
  .first()
  .textContent();
await operator.getByLabel("New commission, in percent").fill("60");
await operator.getByText("Between 0 and 50").waitFor();

const small = await person(PHONE);
await signIn(small, operatorEmail, operatorPassword);
for (const part of ["health", "users", "machines", "jobs", "ledger", "prices", "gate"]) {
  await small.goto(`${url}/console/operator?part=${part}`);
  await check(small, `operator, ${part}, on a phone`);
}

await browser.close();
await line.cut();
console.log(JSON.stringify({ ...seen, faults }));

/** What an authenticator app shows at a moment (RFC 6238: SHA-1, six digits, thirty seconds). */
function codeOf(base32, nowMs) {
  const bits = [...base32.trim()].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter));
  const key = Buffer.from(
    bits
      .map((five) => five.toString(2).padStart(5, "0"))
      .join("")
      .match(/.{8}/g)
      .map((eight) => Number.parseInt(eight, 2)),
  );
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(nowMs / 30_000)));
  const mac = createHmac("sha1", key).update(counter).digest();
  const at = (mac.at(-1) ?? 0) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** A way to the fabric that can be cut and restored. */
async function cuttable(to) {
  const open = new Set();
  let server;
  const { hostname, port } = new URL(to);
  const listen = async (at) => {
    server = createServer((near) => {
      const far = connect(Number(port), hostname);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ]) {
        open.add(one);
        one.pipe(other);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          open.delete(one);
          other.destroy();
        });
      }
    });
    await new Promise((listening) => server.listen(at, "127.0.0.1", listening));
    return server.address().port;
  };
  const own = await listen(0);
  return {
    url: `http://127.0.0.1:${own}`,
    cut: async () => {
      const closed = new Promise((done) => server.close(done));
      for (const socket of open) socket.destroy();
      await closed;
    },
    restore: () => listen(own),
  };
}
