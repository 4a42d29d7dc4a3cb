/** The types belong to the API's document, and what a page needs before it is seen stays small. Needs `npm run build`. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";

const built = new URL("../../fabric/api/console_files/", import.meta.url).pathname;
const FIRST_LOAD_BYTES_MAX = 250_000;
const ALL_BYTES_MAX = 350_000;
/** Of what nearly everybody needs; further Latin letters come when a text has some. */
const FONT_BYTES_MAX = 120_000;

test("the types are those of docs/openapi.json; if not, run `npm run types`", () => {
  const fresh = execFileSync("node_modules/.bin/openapi-typescript", ["../docs/openapi.json"], {
    cwd: new URL("..", import.meta.url),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(readFileSync(new URL("../src/api/schema.d.ts", import.meta.url), "utf8").trim()).toBe(fresh.trim());
}, 120_000);

const scripts = readdirSync(`${built}assets`).filter((name) => name.endsWith(".js"));
const index = readFileSync(`${built}index.html`, "utf8");
const entry = [...index.matchAll(/assets\/([^"]+\.js)"/g)].map((match) => match[1] ?? "");
const compressed = (names: Iterable<string>) =>
  [...names].reduce((total, name) => total + statSync(`${built}assets/${name}.gz`).size, 0);

/** These and all that they import before they run. */
function withImports(names: readonly string[]): Set<string> {
  const all = new Set(names);
  for (const name of all) {
    const text = readFileSync(`${built}assets/${name}`, "utf8");
    for (const [, imported = ""] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) all.add(imported);
  }
  return all;
}

const pages = readdirSync(new URL("../src/pages/", import.meta.url)).map((name) => name.replace(".tsx", ""));
const chunk = (name: string) => scripts.find((one) => new RegExp(`^${name}-[\\w-]{8}\\.js$`).test(one)) ?? "";

test.each(pages)("the first load of %s, with a chart, is at most 250 kB of compressed JavaScript", (page) => {
  expect(chunk(page)).not.toBe("");
  const loaded = withImports([...entry, chunk(page), chunk("chart")]);
  expect(loaded.size).toBeGreaterThan(3);
  expect(compressed(loaded)).toBeGreaterThan(50_000);
  expect(compressed(loaded)).toBeLessThan(FIRST_LOAD_BYTES_MAX);
});

test("what draws charts comes with the pages that show some, and all pages together stay small", () => {
  const always = withImports(entry);
  expect(always).not.toContain(chunk("chart"));
  for (const page of pages) expect(always).not.toContain(chunk(page));
  expect(compressed(scripts)).toBeLessThan(ALL_BYTES_MAX);
});

test("letters are those of Latin scripts, in files of their own, with their licence", () => {
  const fonts = readdirSync(`${built}assets`).filter((name) => name.endsWith(".woff2"));
  const size = (names: string[]) => names.reduce((total, name) => total + statSync(`${built}assets/${name}`).size, 0);
  expect(fonts.length).toBe(4);
  expect(size(fonts.filter((name) => !name.includes("latin-ext")))).toBeLessThan(FONT_BYTES_MAX);
  const licences = readFileSync(`${built}licences.txt`, "utf8");
  for (const name of ["@fontsource-variable/inter", "@base-ui/react", "uplot", "react-dom"])
    expect(licences).toContain(`\n${name} `);
  expect(licences).toContain("SIL OPEN FONT LICENSE");
});

test("whoever chooses light or dark gets it: colours are left to the browser, not to the system alone", () => {
  const [styles = ""] = readdirSync(`${built}assets`).filter((name) => /^index-.*\.css$/.test(name));
  const text = readFileSync(`${built}assets/${styles}`, "utf8");
  expect(text).toContain("--paper:light-dark(");
  expect(text).not.toContain("--lightningcss");
});

test("the page has no inline script or style and asks no other host", () => {
  expect(index).not.toMatch(/<script(?![^>]*src=)|<style|style=|https?:\/\//);
});
