import react from "@vitejs/plugin-react";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const wasm = fileURLToPath(new URL("./src/core/wasm/mifeng_wasm_bg.wasm", import.meta.url));
const fixed = fileURLToPath(new URL("./public", import.meta.url));
/** Its address stays, because a browser looks there for a new one. */
const SERVICE = "service.js";

function integrity(content: string | Uint8Array): string {
  return `sha384-${createHash("sha384").update(content).digest("base64")}`;
}

/**
 * Writes the hash of everything that the page names into the page, so that a proxy or a cache cannot change it alone, and the
 * hashes of all files into the service worker, which keeps them.
 */
function hashes(): Plugin {
  return {
    name: "hashes",
    enforce: "post",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const [page, service] = [bundle["index.html"], bundle[SERVICE]];
        if (page?.type !== "asset") this.error("there is no index.html");
        if (service?.type !== "chunk" || service.imports.length > 0) this.error(`${SERVICE} has to be a single script`);
        page.source = String(page.source).replace(/ (?:src|href)="\/(assets\/[^"]+)"/g, (attribute, name: string) => {
          const file = bundle[name];
          if (!file) return this.error(`the page names ${name}, which is not in the bundle`);
          return `${attribute} integrity="${integrity(file.type === "asset" ? file.source : file.code)}"`;
        });
        const built = Object.entries(bundle).filter(([name]) => name !== SERVICE).map(([name, file]): [string, string] => {
          return [name === "index.html" ? "/" : `/${name}`, integrity(file.type === "asset" ? file.source : file.code)];
        });
        const copied = readdirSync(fixed).map((name): [string, string] => [`/${name}`, integrity(readFileSync(join(fixed, name)))]);
        const files = Object.fromEntries([...built, ...copied].sort(([one], [other]) => (one < other ? -1 : 1)));
        const version = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16);
        const code = service.code.replace("__SHELL__", JSON.stringify({ version, files }));
        if (code === service.code) this.error(`${SERVICE} does not ask for the files`);
        service.code = code;
      },
    },
  };
}

export default defineConfig({
  plugins: [react(), hashes()],
  define: { __WASM_INTEGRITY__: JSON.stringify(existsSync(wasm) ? integrity(readFileSync(wasm)) : "") },
  worker: { format: "es" },
  build: {
    target: "es2022",
    // Nothing is inlined: the content security policy has no `data:`.
    assetsInlineLimit: 0,
    modulePreload: false,
    sourcemap: false,
    rolldownOptions: {
      input: { index: "index.html", service: "src/service.ts" },
      output: { entryFileNames: ({ name }) => (name === "service" ? SERVICE : "assets/[name]-[hash].js") },
    },
  },
});
