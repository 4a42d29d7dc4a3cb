import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { licences } from "./scripts/licences.ts";

const fabric = process.env.FABRIC_URL ?? "http://127.0.0.1:8700";

export default defineConfig({
  base: "/console/",
  plugins: [react(), licences()],
  build: {
    outDir: "../fabric/api/console_files",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: scripts or styles
    modulePreload: { polyfill: false },
    target: "es2023",
    // The first that know `light-dark()`: written for older ones, colours would follow the system whatever somebody chose.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
  },
  server: { host: "127.0.0.1", proxy: { "/api": fabric } },
});
