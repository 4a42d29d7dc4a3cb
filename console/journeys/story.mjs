// A person's first minutes with the console, in a real browser against a real fabric. Started by the Python test beside it:
//   node journeys/story.mjs URL FOLDER-WITH-A-MODEL-AND-PICTURES OWNER-EMAIL OWNER-PASSWORD
// Prints one JSON line of what was seen; fails on any error or warning in the browser's console and on accessibility faults.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { PHONE, visitors } from "./people.mjs";

const [url, folder, ownerEmail, ownerPassword] = process.argv.slice(2);
const { browser, faults, person, check, signIn } = await visitors(url);
const seen = {};

// A stranger makes an account, by keyboard alone, and is told what to do first.
const email = `ada-${Date.now()}@example.com`;
const page = await person({});
await page.goto(`${url}/`);
await page.getByLabel("E-mail address").waitFor();
await check(page, "sign in");
const press = async (key, times = 1) => {
  for (let time = 0; time < times; time += 1) await page.keyboard.press(key);
};
await press("Tab", 4); // e-mail, password, sign in, make an account
await press("Enter");
await page.getByRole("heading", { name: "Make an account" }).waitFor();
await press("Shift+Tab", 3);
await page.keyboard.type(email);
await press("Tab");
await page.keyboard.type("correct horse battery");
await press("Enter");
await page.getByText("Run your first model").waitFor();
await check(page, "empty overview");
await press("Tab");
seen.skip = await page.evaluate(() => document.activeElement?.textContent?.trim());

// Play money comes first, since nothing runs without credit.
await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Wallet" }).click();
await page.getByRole("button", { name: "Top up" }).click();
await check(page, "top-up dialog");
await page.getByRole("button", { name: "Add play money" }).click();
await page.getByText("Your play money has grown").waitFor();

// A model is dropped, said to take pictures, and given some.
await page.getByRole("link", { name: "Jobs", exact: true }).first().click();
await page.getByRole("link", { name: "Start your first job" }).click();
await page.getByLabel("An ONNX file").setInputFiles(join(folder, "digits.onnx"));
await page.getByRole("button", { name: "Upload it" }).click();
await page.getByRole("button", { name: "Pictures" }).click();
await page.getByLabel("Colour").selectOption("gray");
await page.getByLabel("Values the model expects").selectOption("own");
await page.getByLabel("Factor for a byte").fill(String(1 / 15));
await check(page, "card");
await page.getByRole("button", { name: "Use these" }).click();
const pictures = readdirSync(folder)
  .filter((name) => name.endsWith(".png"))
  .sort();
await page.getByLabel("Files for image").setInputFiles(pictures.map((name) => join(folder, name)));
await page.getByText(`expected for ${pictures.length} items`).waitFor();
seen.quote = await page.locator(".quote-price").textContent();
await page.getByLabel("Budget").fill("0.50");
await page.locator(".quote dd", { hasText: "$0.50" }).waitFor(); // the quote follows what is typed
await check(page, "new job");

// It runs, is seen to end without a reload, and shows pictures beside what they were read as, and the bill.
await page.getByRole("button", { name: "Start the job" }).click();
await page.getByRole("heading", { name: "Bill", exact: true }).waitFor();
await page
  .locator(".tile b")
  .nth(pictures.length - 1)
  .waitFor();
await page.locator("canvas.gantt").waitFor();
seen.job = new URL(page.url()).pathname.split("/").at(-1);
seen.labels = await page.locator(".tile b").allTextContents();
seen.charged = await page.locator(".bill dd").first().textContent();
await page.waitForFunction(() => document.querySelectorAll(".tile img").length > 0);
await check(page, "job");
await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Wallet" }).click();
seen.email = email;
await page.getByText("Given back from a job").waitFor();

// Every page, on a phone and in the dark.
const phone = await person(PHONE);
await signIn(phone, email, "correct horse battery");
for (const path of [
  "/",
  "/jobs",
  "/jobs/new?model=digits",
  `/jobs/${seen.job}`,
  "/models",
  "/models/digits",
  "/machines",
  "/wallet",
  "/marketplace",
  "/settings",
  "/nowhere",
]) {
  await phone.goto(`${url}/console${path}`);
  await check(phone, `${path} on a phone`);
}
await phone.getByRole("button", { name: "More" }).click();
await check(phone, "more, on a phone");
const ink = () => phone.evaluate(() => getComputedStyle(document.body).color);
const inDark = await ink();
await phone.getByRole("menuitemradio", { name: "light" }).click();
seen.themed = (await ink()) !== inDark;
await phone.getByRole("menuitem", { name: "Settings" }).click();
await phone.getByRole("heading", { name: "Settings" }).waitFor();
await phone.getByRole("menu").waitFor({ state: "detached" });

// The owner sees the machines, makes a token that is shown once, and pauses a machine.
const owner = await person({});
await signIn(owner, ownerEmail, ownerPassword);
await owner.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Machines" }).click();
await owner.getByRole("button", { name: "Pause" }).first().click();
await owner.getByText("is paused. What runs is finished.").waitFor();
await owner.keyboard.press("F6"); // the message is reached by keyboard, and taken back
await owner.getByRole("button", { name: "Undo" }).press("Enter");
await owner.getByText("takes work again.").waitFor();
await owner.getByRole("button", { name: "Pause" }).first().click();
await owner.getByRole("button", { name: "Take work again" }).click();
await owner.getByRole("button", { name: "Take work again" }).waitFor({ state: "detached" });

// They set hours that are closed now: the machine itself takes them and holds back, and the page says so; then it lends at any time.
const days = [2, 3].map((days) =>
  new Date(Date.now() + days * 86_400_000).toLocaleDateString("en-GB", { weekday: "long" }),
);
const machine = owner.getByRole("region", { name: "local-1", exact: true });
await machine.getByText("Lends at any time").waitFor();
await machine.getByRole("button", { name: "Change schedule" }).click();
await owner.getByLabel("In certain hours").check();
await owner.getByRole("button", { name: "Weekends", exact: true }).click();
for (const day of ["Saturday", "Sunday"]) await owner.getByRole("checkbox", { name: day }).uncheck();
await owner.getByText("Each row needs a day").waitFor(); // none is left
for (const day of days) await owner.getByRole("checkbox", { name: day }).check();
await owner.getByLabel("from", { exact: true }).fill("10:00");
await owner.getByLabel("to", { exact: true }).fill("11:30");
await check(owner, "a machine's schedule");
await owner.getByRole("button", { name: "Set it" }).click();
await machine.getByText("it holds back by itself: lends at").waitFor();
seen.schedule = await machine.locator(".schedule p").first().textContent();
seen.week = await machine.getByRole("img", { name: /^Open / }).getAttribute("aria-label");
await machine.getByText("paused", { exact: true }).waitFor();
await check(owner, "a machine that is closed");
await machine.getByRole("button", { name: "Change schedule" }).click();
await owner.getByLabel("At any time").check();
await owner.getByRole("button", { name: "Set it" }).click();
await machine.getByText("online", { exact: true }).waitFor();
await machine.getByText("Lends at any time").waitFor();

await owner.getByRole("button", { name: "Add a machine" }).click();
await owner.getByLabel("What the token is for").fill("workshop");
await owner.getByRole("button", { name: "Make a token" }).click();
seen.join = await owner.locator(".code pre").textContent();
await check(owner, "machines");
await owner.reload();
await owner.getByRole("heading", { name: "Open join tokens" }).waitFor();
seen.tokenGone = !(await owner.content()).includes(seen.join.split("--token ")[1]);

await browser.close();
console.log(JSON.stringify({ ...seen, faults }));
