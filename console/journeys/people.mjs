// People in front of a real browser, and what must hold on every page that they see.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { launch } from "../scripts/browser.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true, isMobile: true };

const ANSWERS_TOLD = 30;
const LOOK_MS = 5000;

/** What somebody sees at this moment, and the last answers that their page got. */
async function scene(page, answers) {
  const seen = await page
    .locator("body")
    // biome-ignore lint/performance/useDomNodeTextContent: what is hidden nobody sees
    .innerText({ timeout: LOOK_MS })
    .catch((error) => `(${error.message})`);
  return [`at ${page.url()}`, seen, "answers:", ...answers].join("\n");
}

/** A browser for people who visit `url`. `faults` gathers what no page may have; `expected` what one says while its line is cut. */
export async function visitors(url) {
  const faults = [];
  const quiet = { expected: null };
  const browser = await launch();

  // A story that breaks off tells what went wrong until then, and what stood before each person: a top-level await that fails ends
  // the process by "uncaughtException", after which there is still time to look.
  const pages = [];
  process.once("uncaughtException", async (error) => {
    for (const { page, answers } of pages) console.error(await scene(page, answers));
    console.error(JSON.stringify(faults), error.stack);
    process.exit(1);
  });

  /** Somebody new, whose browser may say no error and no warning (but what is `allowed`) and ask no other host than `home`. */
  async function person(options, allowed = () => false, home = url) {
    const fault = (text) => !quiet.expected?.test(text) && !allowed(text) && faults.push(text);

    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      reducedMotion: "reduce",
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const answers = [];
    pages.push({ page, answers });
    page.on("response", (answer) => {
      if (!answer.url().includes("/api/")) return;
      answers.push(`${answer.status()} ${answer.request().method()} ${answer.url().replace(home, "")}`);
      if (answers.length > ANSWERS_TOLD) answers.shift();
    });
    page.on("requestfailed", (request) =>
      answers.push(`${request.failure()?.errorText} ${request.url().replace(home, "")}`),
    );
    page.on("console", (said) => ["error", "warning"].includes(said.type()) && fault(`${page.url()}: ${said.text()}`));
    page.on("pageerror", (error) => fault(`${page.url()}: ${error}`));
    page.on(
      "request",
      (request) =>
        new URL(request.url()).origin !== new URL(home).origin &&
        !request.url().startsWith("blob:") &&
        faults.push(`asked another host: ${request.url()}`),
    );
    return page;
  }

  /** No serious fault of accessibility, and nothing scrolls sideways. */
  async function check(page, name) {
    await page.waitForFunction(() => document.querySelector("h1, h2") && !document.querySelector(".skeleton"));
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const { id, impact, nodes } of found.violations) {
      if (impact === "serious" || impact === "critical")
        faults.push(`${name}: ${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
    }
    const sideways = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    if (sideways > 0) faults.push(`${name} scrolls sideways by ${sideways} px`);
  }

  async function signIn(page, email, password) {
    await page.goto(`${url}/`);
    await page.getByLabel("E-mail address").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  }

  return { browser, faults, quiet, person, check, signIn };
}
