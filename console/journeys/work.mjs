// Somebody's daily work with jobs, in a real browser against a real fabric. Started by the Python test beside the other story:
//   node journeys/work.mjs URL EMAIL PASSWORD FINISHED-JOB WAITING-JOB PICTURE
// Prints one JSON line of what was seen; fails on any error or warning in the browser's console and on accessibility faults.
import { connect, createServer } from "node:net";
import { PHONE, visitors } from "./people.mjs";

const [fabric, email, password, finished, waiting, picture] = process.argv.slice(2);

/** A line to the fabric that can be cut. */
const sockets = new Set();
const line = createServer((near) => {
  const far = connect(Number(new URL(fabric).port), new URL(fabric).hostname);
  for (const [one, other] of [
    [near, far],
    [far, near],
  ]) {
    sockets.add(one);
    one.on("error", () => other.destroy());
    one.on("close", () => {
      sockets.delete(one);
      other.destroy();
    });
    one.pipe(other);
  }
});
const open = (port = 0) => new Promise((resolve) => line.listen(port, "127.0.0.1", resolve));
const cut = () =>
  new Promise((resolve) => {
    line.close(resolve);
    for (const socket of sockets) socket.destroy();
  });
await open();
const { port } = line.address();
const url = `http://127.0.0.1:${port}`;

const { browser, faults, quiet, person, check, signIn } = await visitors(url);
const seen = {};
const page = await person({});
await signIn(page, email, password);
const console_ = (path) => page.goto(`${url}/console${path}`);

// The job that waits says why. Its line is cut; it is cancelled meanwhile; the page catches up by itself.
const stream = page.waitForResponse(new RegExp(`/jobs/${waiting}/events`));
await console_(`/jobs/${waiting}`);
await stream;
await page.getByText("It waits: no machine that suits is free").waitFor();
await check(page, "waiting job");
// A second tab hears of the account from the first one: what is queued, and then that nothing is.
const beside = await page.context().newPage();
await beside.goto(`${url}/console/jobs?status=queued`);
const lines = (count) =>
  beside.waitForFunction((wanted) => document.querySelectorAll(".job-line").length === wanted, count, {
    timeout: 60_000,
  });
await lines(1);
quiet.expected = /net::ERR_/;
await cut();
const told = page.getByText("The live connection is cut").first();
await told.waitFor();
const token = await login();
await fetch(`${fabric}/api/v1/jobs/${waiting}/cancel`, { method: "POST", headers: token });
await open(port);
await page.locator(".head .status", { hasText: "cancelled" }).waitFor();
await told.waitFor({ state: "hidden" });
await lines(0);
await beside.getByText("No job of yours fits").waitFor();
await beside.getByRole("link", { name: "Show all jobs" }).click();
for (const id of [waiting, finished]) await beside.locator(`a.job-line[href$="${id}"]`).waitFor();
quiet.expected = null;

// A finished job: what failed, the itemised bill, a label, and everything in one file.
await console_(`/jobs/${finished}`);
await page.locator("canvas.gantt").waitFor();
await page.getByRole("heading", { name: "Items that failed" }).waitFor();
await page.getByRole("heading", { name: "Itemised" }).waitFor();
await page.locator("table td", { hasText: "slot" }).first().waitFor();
const label = `attempt:${Date.now()}`; // others may label jobs on this fabric too
await page.getByLabel("A label, as name:value").fill(label);
const labelled = page.waitForResponse((answer) => answer.request().method() === "PATCH");
await page.keyboard.press("Enter");
seen.labelled = (await labelled).status(); // it is shown before it is kept
await page.getByLabel("Remove the label attempt").waitFor();
const [download] = await Promise.all([
  page.waitForEvent("download"),
  page.getByRole("button", { name: "All as .npz" }).click(),
]);
seen.download = download.suggestedFilename();
await page.waitForFunction(() => document.querySelectorAll(".tile img").length > 0);
await page.getByRole("button", { name: "A job like it" }).click();
seen.code = await page.locator(".code pre").textContent();
await check(page, "finished job");

// It is kept as a template, and the list finds it by its label.
await page.getByRole("button", { name: "Save as a template" }).click();
await page.getByRole("dialog").getByLabel("Name").fill("nightly");
await page.getByRole("button", { name: "Save", exact: true }).click();
await page.getByText("New jobs can begin from nightly").waitFor();
await console_("/jobs");
await page.getByLabel("Search by model or label").fill(label);
await page.waitForURL(/label=/);
await page.waitForFunction(() => document.querySelectorAll(".job-line").length === 1);
seen.found = await page.locator(".job-line").first().getAttribute("href");
await check(page, "jobs by label");

// What failed is done again as a job of its own; then all of it, by keyboard, from a form that is filled in.
await console_(`/jobs/${finished}`);
await page.getByRole("button", { name: /^Only the 1 item/ }).click();
await page.getByRole("button", { name: "Do them again" }).click();
await page.waitForURL((address) => !address.pathname.endsWith(finished));
await page.getByText("1 of 1 item", { exact: true }).waitFor();
await page.getByText("It does again what").waitFor();
// The second tab follows the account since the first one has been somewhere else.
const made = new URL(page.url()).pathname.split("/").at(-1);
await beside.locator(`a.job-line[href$="${made}"]`).waitFor();
await beside.close();
await console_(`/jobs/new?again=${finished}`);
await page.getByText("as before").waitFor();
await page.getByText("expected for").waitFor();
await page.getByRole("button", { name: "Only check it" }).click();
await page.getByText("It would start").waitFor();
await check(page, "new job, filled in");
await page.getByRole("button", { name: "Start the job" }).focus();
await page.keyboard.press("Enter");
await page.waitForURL(/\/jobs\/job_/);
await page.getByRole("heading", { name: "Bill", exact: true }).waitFor();
seen.again = new URL(page.url()).pathname.split("/").at(-1);
await console_("/jobs/new?template=nightly");
await page.getByRole("heading", { name: "The inputs" }).waitFor();
seen.template = await page.locator('.choice[aria-pressed="true"] strong').textContent();

// A model is tried on one picture, and its card becomes the next version.
await console_("/models/scans");
await page.getByLabel("A file for image").setInputFiles(picture);
await page.getByRole("button", { name: "Try it" }).click();
await page.locator(".tried .tile b").waitFor();
seen.tried = await page.locator(".tried .tile b").textContent();
await check(page, "model, tried");
await page.getByRole("button", { name: "Edit the card" }).click();
await page.getByLabel("Description").fill("Digits, as people write them");
await check(page, "card editor");
await page.getByRole("button", { name: "Publish as the next version" }).click();
await page.getByText("is ready.").waitFor();
await page.getByText("the same file with another card").first().waitFor();
seen.version = await page.locator(".head .badge").first().textContent();

// The marketplace says where an item of it is cheapest, and shows two slots side by side.
await console_("/marketplace");
await page.getByLabel("Price an item of").selectOption({ label: "scans" });
await page.getByText("cheapest", { exact: true }).waitFor();
const boxes = page.getByRole("checkbox", { name: /^Compare/ });
await boxes.nth(0).check();
await boxes.nth(1).check();
await page.getByRole("heading", { name: "Side by side" }).waitFor();
await check(page, "marketplace");

// The same on a phone and in the dark.
const phone = await person(PHONE);
await signIn(phone, email, password);
for (const path of [
  `/jobs/${seen.again}`,
  `/jobs?label=${label}`,
  `/jobs/new?again=${finished}`,
  "/models/scans",
  "/marketplace",
]) {
  await phone.goto(`${url}/console${path}`);
  await check(phone, `${path} on a phone`);
}

await browser.close();
await cut();
console.log(JSON.stringify({ ...seen, faults }));

async function login() {
  const answer = await fetch(`${fabric}/api/v1/auth/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  return { Authorization: `Bearer ${(await answer.json()).access_token}` };
}
