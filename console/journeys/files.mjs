// Somebody brings models and files that nobody prepared: a classifier that says nothing of pictures, and one of rows.
//   node journeys/files.mjs URL EMAIL PASSWORD FOLDER
// Prints one JSON line of what was seen; fails on any error or warning in the browser's console and on accessibility faults.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PHONE, visitors } from "./people.mjs";

const [url, email, password, folder] = process.argv.slice(2);
const { browser, faults, person, check, signIn } = await visitors(url);
const seen = {};
const page = await person({});
await signIn(page, email, password);

async function bring(model) {
  await page.goto(`${url}/console/jobs/new`);
  const another = page.getByRole("button", { name: "A new one" });
  const zone = page.getByLabel("An ONNX file");
  await another.or(zone).first().waitFor();
  if (!(await zone.count())) await another.click();
  await zone.setInputFiles(join(folder, model));
  await page.getByRole("button", { name: "Upload it" }).click();
}
async function run() {
  await page.getByRole("button", { name: "Start the job" }).click();
  await page.getByRole("heading", { name: "Bill", exact: true }).waitFor();
}

// The model's input is taken as numbers; the page says that it looks like pictures, and one press makes it so.
await bring("colours.onnx");
await page.getByRole("button", { name: /^Skip/ }).click();
seen.offer = await page.locator(".offer p").textContent();
await page.getByLabel("Files for pixels").setInputFiles(join(folder, "one.png"));
await page.getByText("Shall they be read as pictures?").waitFor();
await check(page, "offer");
await page.getByRole("button", { name: "Treat files as pictures" }).click();
await page.getByText("1 item", { exact: true }).waitFor();
seen.settings = await page.getByText("Read as pictures").textContent();
await page.getByRole("button", { name: "Remove" }).click();

// A zip is counted and shown before it is sent, and its pictures stand beside what they were read as.
await page.getByLabel("Files for pixels").setInputFiles(join(folder, "pictures.zip"));
await page.locator(".previews img").first().waitFor();
seen.thumbnails = await page.locator(".previews img").count();
seen.counted = await page.locator("fieldset strong", { hasText: "item" }).textContent();
await check(page, "previews");
await run();
await page.waitForFunction(() => [...document.querySelectorAll(".tile img")].some((image) => image.naturalWidth > 0));
seen.labels = await page.locator(".tile b").allTextContents();
await check(page, "labels");

// Rows are pasted as a spreadsheet gives them; what comes out is a table, here and as a file.
await bring("rows.onnx");
await page.getByRole("button", { name: "Use these" }).click();
await page.getByRole("tab", { name: "Type or paste" }).click();
await page.getByLabel("Values of x").fill(readFileSync(join(folder, "rows.tsv"), "utf8"));
await page.getByText("The first row is taken as names.").waitFor();
await run();
await page.locator("table.values tbody tr").first().waitFor();
seen.table = await page
  .locator("table.values tbody tr")
  .evaluateAll((rows) => rows.map((row) => [...row.cells].slice(1).map((cell) => cell.textContent)));
const [download] = await Promise.all([
  page.waitForEvent("download"),
  page.getByRole("button", { name: "CSV", exact: true }).click(),
]);
seen.csv = readFileSync(await download.path(), "utf8");

// A model that keeps its weights in a second file: refused with a word on what to do, joined when both are dropped.
await page.goto(`${url}/console/jobs/new`);
await page.getByRole("button", { name: "A new one" }).click();
await page.getByLabel("An ONNX file").setInputFiles(join(folder, "split.onnx"));
seen.missing = await page.getByRole("alert").textContent();
await page.getByLabel("An ONNX file").setInputFiles([join(folder, "split.onnx"), join(folder, "split.onnx.data")]);
await page.getByRole("button", { name: "Upload it" }).click();
await page.getByText("is accepted").waitFor();

const phone = await person(PHONE);
await signIn(phone, email, password);
await phone.goto(`${url}/console/jobs/new?model=colours`);
await check(phone, "pictures on a phone");

await browser.close();
console.log(JSON.stringify({ ...seen, faults }));
