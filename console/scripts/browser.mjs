// A headless Chromium: the machine's own, or the one inside the npm package, which needs nothing but this folder.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const OWN = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

export async function launch() {
  const own = process.env.FABRIC_CHROMIUM || OWN.find((path) => existsSync(path));
  if (own && own !== "packaged") return chromium.launch({ executablePath: own, args: QUIET, headless: true });
  // Told that it runs there, the package also unpacks the few libraries (NSS, expat) that a bare machine lacks.
  process.env.AWS_LAMBDA_JS_RUNTIME = `nodejs${process.versions.node.split(".")[0]}.x`;
  const { default: packaged } = await import("@sparticuz/chromium");
  packaged.setGraphicsMode = false;
  const args = packaged.args.filter(
    (flag) => !/web-security|insecure-content|headless|single-process|no-zygote/.test(flag),
  );
  return chromium.launch({
    executablePath: await packaged.executablePath(),
    args: [...args, ...QUIET],
    headless: true,
  });
}
