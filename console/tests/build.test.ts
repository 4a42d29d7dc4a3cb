/** The types belong to the API's document, and the first page that is opened stays small. Needs `npm run build`. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";

const built = new URL("../../fabric/api/console_files/", import.meta.url).pathname;
const FIRST_LOAD_BYTES_MAX = 250_000;

test("the types are those of docs/openapi.json; if not, run `npm run types`", () => {
  const fresh = execFileSync("node_modules/.bin/openapi-typescript", ["../docs/openapi.json"], {
    cwd: new URL("..", import.meta.url),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(readFileSync(new URL("../src/api/schema.d.ts", import.meta.url), "utf8").trim()).toBe(fresh.trim());
}, 120_000);

test("the first load is at most 250 kB of compressed JavaScript, whatever page is opened", () => {
  const index = readFileSync(`${built}index.html`, "utf8");
  const first = [...index.matchAll(/(?:src|href)="\/console\/(assets\/[^"]+\.js)"/g)].map((match) => match[1] ?? "");
  expect(first.length).toBeGreaterThan(0);
  const size = (path: string) => statSync(`${built}${path}.gz`).size;
  const entry = first.reduce((total, path) => total + size(path), 0);
  const others = readdirSync(`${built}assets`).filter(
    (name) => name.endsWith(".js") && !first.includes(`assets/${name}`),
  );
  const all = others.reduce((total, name) => total + size(`assets/${name}`), entry);
  expect(entry).toBeGreaterThan(10_000);
  expect(all).toBeLessThan(FIRST_LOAD_BYTES_MAX); // even everything together
});

test("the page has no inline script or style and asks no other host", () => {
  const index = readFileSync(`${built}index.html`, "utf8");
  expect(index).not.toMatch(/<script(?![^>]*src=)|<style|style=|https?:\/\//);
});
