// A second person lends a machine: all in the browser, but for the one command that the page shows. Started by Python:
//   node journeys/lend.mjs URL PROVIDER-JOIN… (the program that the installer puts on a machine, with what this one may lend)
import { spawn } from "node:child_process";
import { visitors } from "./people.mjs";

const [url, ...providerJoin] = process.argv.slice(2);
const { person, check, faults, browser } = await visitors(url);
const seen = {};

const page = await person({});
await page.goto(`${url}/`);
await page.getByRole("button", { name: "Make an account" }).click();
await page.getByLabel("E-mail address").fill(`linus-${Date.now()}@example.com`);
await page.getByLabel("Password").fill("correct horse battery");
await page.keyboard.press("Enter");
await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Machines" }).click();
await page.getByText("Lend your first machine").waitFor();
await check(page, "no machines yet");
await page.getByRole("button", { name: "Show me how" }).click();
await page.getByLabel("What the token is for").fill("attic");
await page.keyboard.press("Enter");
seen.command = await page.locator(".code pre").textContent();
await page.getByText("waiting for it").waitFor();

// The command is run on the machine; the page, which nobody touches, sees it come on line.
const [, token] = seen.command.split("--token ");
const [program, ...words] = providerJoin;
const agent = spawn(program, [...words, "--url", url, "--token", token], { stdio: ["ignore", "pipe", "pipe"] });
let said = "";
for (const stream of [agent.stdout, agent.stderr]) stream.on("data", (text) => (said += text));
const ended = new Promise((resolve) => agent.on("exit", resolve));
process.once("uncaughtExceptionMonitor", () => {
  agent.kill();
  console.error(said);
});
await page.getByText("attic is online").waitFor();
await page.getByRole("button", { name: "Done" }).click();
const machine = page.getByRole("region", { name: "attic" });
await machine.getByText("ready").waitFor();
await check(page, "a machine on line");

// It is paused and let go on; then it is removed, and its agent hears of it and ends.
await machine.getByRole("button", { name: "Pause" }).click();
await machine.getByText("paused", { exact: true }).waitFor();
await machine.getByRole("button", { name: "Take work again" }).click();
await machine.getByText("online", { exact: true }).waitFor();
await machine.getByRole("button", { name: "More for attic" }).click();
await page.getByRole("menuitem", { name: "Remove" }).click();
await page.getByRole("button", { name: "Remove it" }).click();
await page.getByText("Lend your first machine").waitFor();
seen.agentExit = await ended;

await browser.close();
console.log(JSON.stringify({ ...seen, faults }));
