import react from "@vitejs/plugin-react";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const wasm = fileURLToPath(new URL("./src/core/wasm/mifeng_wasm_bg.wasm", import.meta.url));

function integrity(content: string | Uint8Array): string {
  return `sha384-${createHash("sha384").update(content).digest("base64")}`;
}

/** Writes the hash of everything that the page names into the page, so that a proxy or a cache cannot change it alone. */
function subresourceIntegrity(): Plugin {
  return {
    name: "subresource-integrity",
    enforce: "post",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const page = bundle["index.html"];
        if (page?.type !== "asset") this.error("there is no index.html");
        page.source = String(page.source).replace(/ (?:src|href)="\/(assets\/[^"]+)"/g, (attribute, name: string) => {
          const file = bundle[name];
          if (!file) return this.error(`the page names ${name}, which is not in the bundle`);
          return `${attribute} integrity="${integrity(file.type === "asset" ? file.source : file.code)}"`;
        });
      },
    },
  };
}

export default defineConfig({
  plugins: [react(), subresourceIntegrity()],
  define: { __WASM_INTEGRITY__: JSON.stringify(existsSync(wasm) ? integrity(readFileSync(wasm)) : "") },
  worker: { format: "es" },
  // Nothing is inlined: the content security policy has no `data:`.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: false, sourcemap: false },
});
