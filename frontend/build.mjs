// Builds every scss/*.scss, js/*.js (partials start with "_") and images/*.svg into static/build/, plain and gzipped,
// under a name with a hash of its content. Writes manifest.json: plain name -> hashed name. Not a development server.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import * as esbuild from "esbuild";
import * as sass from "sass";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "..", "node_modules");
const target = join(here, "..", "pro_tracker", "web", "static", "build");
// A page in a script that is read from right to left is the mirror of one that is not.
const logical = [
  [/\b(margin|padding|border)-left\b/g, "$1-inline-start"],
  [/\b(margin|padding|border)-right\b/g, "$1-inline-end"],
  [/\btext-align:\s*left\b/g, "text-align: start"],
  [/\btext-align:\s*right\b/g, "text-align: end"],
  [/(^|[;{\s])left:/gm, "$1inset-inline-start:"],
  [/(^|[;{\s])right:/gm, "$1inset-inline-end:"],
];
// Browsers of the last six years of phones. Pages work without scripts in all others.
const browsers = ["chrome90", "firefox90", "safari14.1"];

function entries(folder, extension) {
  const isEntry = (name) => name.endsWith(extension) && !name.startsWith("_");
  return readdirSync(join(here, folder)).filter(isEntry).map((name) => join(here, folder, name));
}

function styleSheet(path) {
  const css = sass.compile(path, { loadPaths: [modules, join(here, "scss")], quietDeps: true }).css;
  const mirrored = logical.reduce((text, [physical, name]) => text.replace(physical, name), css);
  return esbuild.transformSync(mirrored, { loader: "css", minify: true, target: browsers, legalComments: "none" }).code;
}

function script(path) {
  const options = { entryPoints: [path], bundle: true, minify: true, format: "esm", target: "es2020", write: false };
  return esbuild.buildSync({ ...options, nodePaths: [modules], legalComments: "none" }).outputFiles[0].text;
}

function outputName(path, text) {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
  const extension = extname(path) === ".scss" ? ".css" : extname(path);
  const plain = basename(path, extname(path)) + extension;
  return [plain, plain.replace(extension, `.${hash}${extension}`)];
}

// Build into a new folder and swap the two at the end: old files disappear, and a page that loads during the build finds
// a complete set of files.
const fresh = `${target}.new`;
rmSync(fresh, { recursive: true, force: true });
mkdirSync(fresh, { recursive: true });
const manifest = {};
for (const [path, text] of [
  ...entries("scss", ".scss").map((path) => [path, styleSheet(path)]),
  ...entries("js", ".js").map((path) => [path, script(path)]),
  ...entries("images", ".svg").map((path) => [path, readFileSync(path, "utf8")]),
]) {
  const [plain, hashed] = outputName(path, text);
  writeFileSync(join(fresh, hashed), text);
  writeFileSync(join(fresh, `${hashed}.gz`), gzipSync(text, { level: 9 }));
  manifest[plain] = hashed;
}
writeFileSync(join(fresh, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
rmSync(target, { recursive: true, force: true });
renameSync(fresh, target);
