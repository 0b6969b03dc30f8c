// The sources and how they are compiled; what is wanted of them is each script's own.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const here = dirname(fileURLToPath(import.meta.url));
export const solc = createRequire(import.meta.url)("solc");
export const LIBRARIES = ["Approvals", "AssetChecks", "VaultViews"];
export const OURS = ["BroncoVault", "ShareToken", "EligibilityList", "ShareReference", "SupplyMonitor", "Timelock"];

function sources(dir, prefix) {
  return Object.fromEntries(
    readdirSync(join(here, dir), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".sol"))
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      .sort()
      .map((path) => [prefix + path.slice(join(here, dir).length + 1), { content: readFileSync(path, "utf8") }]),
  );
}

function findImport(path) {
  const file = join(here, "node_modules", path);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `no such file: ${path}` };
}

function input(settings) {
  return JSON.stringify({ language: "Solidity", sources: sources("src", "src/"), settings });
}

// Whatever solc says of src/ with these settings.
export function compile(settings) {
  return JSON.parse(solc.compile(input(settings), { import: findImport }));
}

export const sha256 = (text) => createHash("sha256").update(text).digest("hex");

// Of all that decides what the compiler gives: sources, settings, and which compiler and libraries.
export function fingerprint(settings) {
  return sha256(input(settings) + readFileSync(join(here, "package-lock.json"), "utf8"));
}
