// Compiles src/ and writes ABI + bytecode to ../clients/abi, which ships with the wheel, and the
// full output (storage layout, docs, sizes) to out/; what was built from what, to built.json.
//   node build.mjs               build
//   node build.mjs --check       compile, write nothing; exit 1 when clients/abi differs from the sources
//   node build.mjs --unchanged   exit 1 when sources or clients/abi changed since they were built; seconds
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LIBRARIES, OURS, compile, fingerprint, here, sha256, solc } from "./sources.mjs";

const SHIPPED = [...LIBRARIES, ...OURS, "DevUSDT", "DevFeed"];
// https://eips.ethereum.org/EIPS/eip-170
const CODE_LIMIT = 24576;

const BUILT = join(here, "built.json");
const settings = {
  viaIR: true,
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "cancun",
  // No source hash at the end of the code: the same sources give the same bytes everywhere.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: {
    "*": { "*": ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences", "evm.deployedBytecode.object", "storageLayout", "userdoc"] },
  },
};

const shipped = (name) => join(here, "..", "clients", "abi", `${name}.json`);
const sum = (path) => (existsSync(path) ? sha256(readFileSync(path, "utf8")) : "");
const record = () => ({
  from: fingerprint(settings),
  ...Object.fromEntries(SHIPPED.map((name) => [name, sum(shipped(name))])),
});

if (process.argv.includes("--unchanged")) {
  const built = JSON.parse(readFileSync(BUILT, "utf8"));
  const changed = Object.entries(record()).filter(([name, now]) => built[name] !== now);
  for (const [name] of changed) {
    const what = name === "from" ? "the sources, their settings or package-lock.json" : `clients/abi/${name}.json`;
    console.error(`${what} changed since the contracts were built; run: node contracts/build.mjs`);
  }
  process.exit(changed.length > 0 ? 1 : 0);
}

const output = compile(settings);
// A library's warnings are its authors' business; ours fail the build.
const problems = (output.errors ?? []).filter(
  (problem) => problem.severity === "error" || !problem.sourceLocation?.file.startsWith("@openzeppelin/"),
);
for (const problem of problems) console.error(problem.formattedMessage);
if (problems.length > 0) process.exit(1);

const contracts = Object.assign({}, ...Object.values(output.contracts));
const check = process.argv.includes("--check");
let stale = false;
for (const name of SHIPPED) {
  const built = contracts[name];
  const size = built.evm.deployedBytecode.object.length / 2;
  if (size > CODE_LIMIT) throw new Error(`${name}: ${size} bytes of code, the chain's limit is ${CODE_LIMIT}`);
  const { object, linkReferences } = built.evm.bytecode;
  // Where a library's address goes: its name and the offsets of its 20 bytes in the creation code.
  const links = Object.fromEntries(
    Object.values(linkReferences).flatMap((file) =>
      Object.entries(file).map(([library, places]) => [library, places.map((place) => place.start)]),
    ),
  );
  const parts = { name, compiler: solc.version(), abi: built.abi, links, bytecode: `0x${object}` };
  const text = JSON.stringify(parts, null, 1) + "\n";
  const path = shipped(name);
  if (check) {
    const same = existsSync(path) && readFileSync(path, "utf8") === text;
    if (!same) console.error(`${name}: clients/abi/${name}.json is not what the sources give; run: node contracts/build.mjs`);
    stale ||= !same;
    continue;
  }
  mkdirSync(dirname(path), { recursive: true });
  mkdirSync(join(here, "out"), { recursive: true });
  writeFileSync(path, text);
  writeFileSync(join(here, "out", `${name}.json`), JSON.stringify(built, null, 1));
  console.log(`${name}: ${size} bytes of code (limit ${CODE_LIMIT})`);
}
if (!check) writeFileSync(BUILT, JSON.stringify(record(), null, 1) + "\n");
process.exit(stale ? 1 : 0);
