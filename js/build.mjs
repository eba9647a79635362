/** Builds the two scripts: `widget.js` for notebooks, `standalone.js` for the offline page. `--watch` rebuilds. */

import { build, context } from "esbuild";

const shared = {
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "none",
  outdir: new URL("../dexar_widgets/widgets/static", import.meta.url).pathname,
};

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

const entries = [
  { entryPoints: ["src/widget.ts"], format: "esm" },
  { entryPoints: ["src/standalone.ts"], format: "iife" },
];
const watch = process.argv.includes("--watch");
for (const entry of entries) {
  const options = { ...shared, ...entry, plugins: [styles], ...(watch ? { sourcemap: "inline" } : {}) };
  if (watch) await (await context(options)).watch();
  else await build(options);
}
