/** Builds the scripts: `widget.js`, `builder.js` for notebooks, `standalone.js` for the offline page. `--watch` rebuilds. */

import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, context } from "esbuild";

const FOLDER = fileURLToPath(new URL("../dexar_widgets/widgets/static", import.meta.url));

/** A style sheet, its imports included, becomes a string: it is put into the view's own element. */
const styles = {
  name: "styles",
  setup(chain) {
    chain.onLoad({ filter: /style\.css$/ }, async ({ path }) => {
      const { outputFiles } = await build({ entryPoints: [path], bundle: true, minify: true, write: false });
      return { contents: outputFiles[0].text.trim(), loader: "text" };
    });
  },
};

/** A notebook stores the widget's script once per widget: half of its bytes, unpacked when it is first used. */
const packed = {
  name: "packed",
  setup(chain) {
    chain.onEnd(async ({ outputFiles }) => {
      const code = gzipSync(outputFiles[0].contents, { level: 9 }).toString("base64");
      const unpack = `const code="${code}";
export default async()=>{
const bytes=Uint8Array.from(atob(code),(c)=>c.charCodeAt(0));
const script=await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
const url=URL.createObjectURL(new Blob([script],{type:"text/javascript"}));
try{return(await import(url)).default}finally{URL.revokeObjectURL(url)}};`;
      await mkdir(FOLDER, { recursive: true });
      await writeFile(outputFiles[0].path, unpack);
    });
  },
};

const watch = process.argv.includes("--watch");
const shared = { bundle: true, minify: true, target: "es2022", legalComments: "none", outdir: FOLDER };
const embedded = { format: "esm", ...(watch ? {} : { write: false, plugins: [styles, packed] }) };
const entries = [
  { entryPoints: ["src/widget.ts"], ...embedded },
  { entryPoints: ["src/builder.ts"], ...embedded },
  { entryPoints: ["src/standalone.ts"], format: "iife" },
];
for (const entry of entries) {
  const options = { ...shared, plugins: [styles], ...entry };
  if (watch) await (await context({ ...options, sourcemap: "inline" })).watch();
  else await build(options);
}
