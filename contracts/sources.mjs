// The sources and how they are compiled; what is wanted of them is each script's own.
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

// Whatever solc says of src/ with these settings.
export function compile(settings) {
  const input = { language: "Solidity", sources: sources("src", "src/"), settings };
  return JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
}
