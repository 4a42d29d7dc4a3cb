/** Everything of others that ends in the build, with the licence that goes along, as `licences.txt`. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Plugin } from "vite";

const PACKAGE = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//;

export function licences(): Plugin {
  return {
    name: "licences",
    generateBundle(_options, bundle) {
      const folders = new Map<string, string>();
      for (const file of Object.values(bundle)) {
        for (const source of file.type === "chunk" ? file.moduleIds : file.originalFileNames) {
          const [, folder, name] = PACKAGE.exec(resolve(source)) ?? [];
          if (folder && name) folders.set(name, folder);
        }
      }
      const texts = [...folders].sort().map(([name, folder]) => textOf(name, folder));
      this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join("\n\n") });
    },
  };
}

function textOf(name: string, folder: string): string {
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : "";
  return `${"=".repeat(80)}\n${name} ${version} (${license})\n\n${text}\n`;
}
