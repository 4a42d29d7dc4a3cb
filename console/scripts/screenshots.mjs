// Pictures of every page of a running fabric, light and dark, wide and phone.
//   node scripts/screenshots.mjs URL EMAIL PASSWORD OWNER-EMAIL OWNER-PASSWORD FOLDER [page …]
// Fails when a page does not load, scrolls sideways, or writes an error or a warning to the browser's console.
import { mkdirSync } from "node:fs";
import { launch } from "./browser.mjs";

const [url, email, password, ownerEmail, ownerPassword, folder, ...only] = process.argv.slice(2);
const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const PAGES = {
  overview: "/",
  jobs: "/jobs",
  "new-job": "/jobs/new?model=digits",
  job: null,
  models: "/models",
  model: "/models/digits",
  wallet: "/wallet",
  marketplace: "/marketplace",
  settings: "/settings",
};

/** What one sees who lends machines. */
const OF_OWNERS = { machines: "/machines" };
/** What somebody does on a page before the picture is taken. */
const DOES = {
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
        () => document.querySelector("h1") && !document.querySelector(".skeleton, [aria-busy='true']"),
      );
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (sideways > 0) faults.push(`${where()}: scrolls sideways by ${sideways} px`);
      await page.screenshot({ path: `${folder}/${name}-${size}-${colorScheme}.png` });
    };
    const signIn = async (who, secret) => {
      await page.goto(`${url}/console/`);
      await picture("sign-in");
      await page.getByLabel("E-mail address").fill(who);
      await page.getByLabel("Password").fill(secret);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("heading", { name: "Overview" }).waitFor();
    };
    await signIn(email, password);
    await page.waitForFunction(() => document.querySelector(".job-line"));
    await page.goto(`${url}/console/jobs?status=succeeded&q=digits`);
    const finished = page
      .locator("a.job-line")
      .filter({ hasText: /digits.*succeeded/s })
      .first();
    const job = await finished.getAttribute("href", { timeout: 10_000 });
    for (const [name, path] of Object.entries(PAGES)) {
      if (only.length && !only.includes(name)) continue;
      await page.goto(path === null ? `${url}${job}` : `${url}/console${path}`);
      await DOES[name]?.(page);
      await picture(name);
    }
    await page.evaluate(() => {
      localStorage.clear();
      sessionStorage.clear();
    });
    await signIn(ownerEmail, ownerPassword);
    for (const [name, path] of Object.entries(OF_OWNERS)) {
      if (only.length && !only.includes(name)) continue;
      await page.goto(`${url}/console${path}`);
      await picture(name);
    }
    await context.close();
  }
}
await browser.close();
for (const fault of faults) console.error(fault);
process.exit(faults.length ? 1 : 0);
