// Pictures of every page of a running fabric, light and dark, wide and phone.
//   node scripts/screenshots.mjs URL FOLDER USER-PASSWORD OWNER-PASSWORD OPERATOR-PASSWORD [page …]
// Fails when a page does not load, scrolls sideways, or writes an error or a warning to the browser's console.
import { mkdirSync } from "node:fs";
import { launch } from "./browser.mjs";

const [url, folder, userPassword, ownerPassword, operatorPassword, ...only] = process.argv.slice(2);
const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
/** What one sees who submits jobs. */
const OF_USERS = {
  overview: "/",
  jobs: "/jobs",
  "new-job": "/jobs/new?model=digits",
  job: null,
  models: "/models",
  model: "/models/digits",
  wallet: "/wallet",
  marketplace: "/marketplace",
  settings: "/settings?part=profile",
  security: "/settings?part=security",
  keys: "/settings?part=keys",
  webhooks: "/settings?part=webhooks",
  data: "/settings?part=data",
};
/** What one sees who lends machines. */
const OF_OWNERS = { machines: "/machines" };
/** What one sees who runs the fabric. */
const OF_OPERATORS = {
  operator: "/operator",
  "all-users": "/operator?part=users",
  "all-machines": "/operator?part=machines",
  "all-jobs": "/operator?part=jobs",
  ledger: "/operator?part=ledger",
  prices: "/operator?part=prices",
  gate: "/operator?part=gate",
};
/** What somebody does on a page before the picture is taken. */
const DOES = {
  machines: async (page) => {
    await page.locator(".earnings").nth(1).waitFor();
    await page.locator(".week").waitFor();
  },
  job: (page) => page.waitForFunction(() => !document.querySelector(".tile-blank")),
  ledger: async (page) => {
    await page.getByRole("button", { name: "Audit now" }).click();
    await page.getByText("audits hold").waitFor();
  },
  marketplace: async (page) => {
    await page.getByLabel("Price an item of").selectOption({ label: "digits" });
    await page.getByText("cheapest", { exact: true }).waitFor();
    const boxes = page.getByRole("checkbox", { name: /^Compare/ });
    await boxes.nth(0).check();
    await boxes.nth(1).check();
    await page.evaluate(() => scrollTo(0, 0));
  },
};

mkdirSync(folder, { recursive: true });
const browser = await launch();
const faults = [];
for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
    const page = await context.newPage();
    const where = () => `${new URL(page.url()).pathname} ${size} ${colorScheme}`;
    page.on(
      "console",
      (said) => ["error", "warning"].includes(said.type()) && faults.push(`${where()}: ${said.text()}`),
    );
    page.on("pageerror", (error) => faults.push(`${where()}: ${error}`));
    const picture = async (name) => {
      if (only.length && !only.includes(name)) return;
      await page.waitForFunction(
        () =>
          document.querySelector("h1") &&
          !document.querySelector(".skeleton, [aria-busy='true']") &&
          document.fonts.status === "loaded" &&
          [...document.querySelectorAll(".bars-plot")].every((plot) => plot.querySelector("canvas")),
      );
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (sideways > 0) faults.push(`${where()}: scrolls sideways by ${sideways} px`);
      await page.screenshot({ path: `${folder}/${name}-${size}-${colorScheme}.png` });
    };
    const signIn = async (name, secret) => {
      await page.evaluate(() => {
        localStorage.clear();
        sessionStorage.clear();
      });
      await page.goto(`${url}/console/sign-in`);
      await page.getByLabel("E-mail address").fill(`${name}@localhost`);
      await page.getByLabel("Password").fill(secret);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("heading", { name: "Overview" }).waitFor();
    };
    const visit = async (pages, job) => {
      for (const [name, path] of Object.entries(pages)) {
        if (only.length && !only.includes(name)) continue;
        await page.goto(path === null ? `${url}${job}` : `${url}/console${path}`);
        await DOES[name]?.(page);
        await picture(name);
      }
    };
    await page.goto(`${url}/console/`);
    await picture("sign-in");
    await page.getByRole("button", { name: "Make an account" }).click();
    await picture("register");
    await page.goto(`${url}/console/forgot`);
    await picture("forgot");
    await signIn("you", userPassword);
    await page.waitForFunction(() => document.querySelector(".job-line"));
    await page.goto(`${url}/console/jobs?status=succeeded&q=digits`);
    const finished = page
      .locator("a.job-line")
      .filter({ hasText: /digits.*succeeded/s })
      .first();
    await visit(OF_USERS, await finished.getAttribute("href", { timeout: 10_000 }));
    await signIn("owner", ownerPassword);
    await visit(OF_OWNERS);
    await signIn("operator", operatorPassword);
    await visit(OF_OPERATORS);
    await context.close();
  }
}
await browser.close();
for (const fault of faults) console.error(fault);
process.exit(faults.length ? 1 : 0);
