// How long the page of a large job takes to open, and how smoothly a long list of jobs scrolls. For `benchmarks/bench_console.py`:
//   node scripts/measure.mjs URL EMAIL PASSWORD JOB
// Prints rows of figures as JSON.
import { launch } from "./browser.mjs";

const [url, email, password, job] = process.argv.slice(2);
const OPENINGS = 5;
const STEP_PX = 900;
const FRAME_MS = 1000 / 30;
const middle = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

const browser = await launch();
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
page.setDefaultTimeout(60_000);
await page.goto(`${url}/console/`);
await page.getByLabel("E-mail address").fill(email);
await page.getByLabel("Password").fill(password);
await page.getByRole("button", { name: "Sign in" }).click();
await page.getByRole("heading", { name: "Overview" }).waitFor();

const openings = { facts: [], drawn: [], factsCold: [], drawnCold: [] };
const devtools = await page.context().newCDPSession(page);
/** Opens the job once, by an address typed in; `cold`: as somebody whose browser has kept no file of the console. */
async function open(cold) {
  if (cold) await devtools.send("Network.clearBrowserCache");
  await page.goto(`${url}/console/jobs/${job}`, { waitUntil: "commit" });
  const started = await page.evaluate(() => performance.timeOrigin);
  const seen = async (what) => {
    await page.waitForFunction(what, null, { polling: 10 });
    return (await page.evaluate(() => Date.now())) - started;
  };
  const end = cold ? "Cold" : "";
  openings[`facts${end}`].push(await seen(() => document.querySelector("h1") && document.querySelector(".facts")));
  openings[`drawn${end}`].push(
    await seen(() => document.querySelector("canvas.gantt") && !document.querySelector(".skeleton")),
  );
}
for (const cold of [false, true]) for (let time = 0; time < OPENINGS; time += 1) await open(cold);

await page.goto(`${url}/console/jobs`);
await page.locator(".job-line").first().waitFor();
const scrolled = await page.evaluate(
  async ({ step }) => {
    const frames = [];
    let last = performance.now();
    let idle = 0;
    const started = last;
    while (idle < 120 && performance.now() - started < 120_000) {
      const before = scrollY;
      scrollBy(0, step);
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      frames.push(now - last);
      last = now;
      idle = scrollY === before ? idle + 1 : 0;
    }
    return {
      frames,
      height: document.documentElement.scrollHeight,
      rows: document.querySelectorAll(".job-line").length,
      seconds: (performance.now() - started) / 1000,
    };
  },
  { step: STEP_PX },
);
await browser.close();
const { frames } = scrolled;
const late = frames.filter((ms) => ms > FRAME_MS).length;
frames.sort((a, b) => a - b);
console.log(
  JSON.stringify([
    { name: "open a job of 100,000 parts: facts", value: middle(openings.facts), unit: "ms", reach: "< 1,000 ms" },
    { name: "open a job of 100,000 parts: all drawn", value: middle(openings.drawn), unit: "ms", reach: "< 1,000 ms" },
    { name: "open it, cold: facts", value: middle(openings.factsCold), unit: "ms" },
    { name: "open it, cold: all drawn", value: middle(openings.drawnCold), unit: "ms", reach: "< 1,000 ms" },
    { name: "scroll 10,000 jobs: frame, median", value: middle(frames), unit: "ms" },
    { name: "scroll 10,000 jobs: frame, 99 of 100", value: frames[Math.floor(0.99 * frames.length)], unit: "ms" },
    { name: "scroll 10,000 jobs: frames over 33 ms", value: (100 * late) / frames.length, unit: "%" },
    { name: "scroll 10,000 jobs: height reached", value: scrolled.height, unit: "px" },
    { name: "scroll 10,000 jobs: lines in the page", value: scrolled.rows, unit: "" },
    { name: "scroll 10,000 jobs: all of it", value: scrolled.seconds, unit: "s" },
  ]),
);
