// Prints which custom errors each external function of our contracts can reach, from the sources'
// syntax tree: {contract: {function: [error, ...]}}. An error told apart by words carries them:
// "InvalidConfig: window". What other contracts revert with is theirs and not listed; a path that
// only values rule out is.
import { OURS, compile } from "./sources.mjs";

const output = compile({ evmVersion: "cancun", outputSelection: { "*": { "": ["ast"] } } });
const failed = (output.errors ?? []).filter((problem) => problem.severity === "error");
for (const problem of failed) console.error(problem.formattedMessage);
if (failed.length > 0) process.exit(1);

const nodes = new Map();
const owner = new Map(); // function or modifier id -> its contract
function visit(node, seen) {
  if (Array.isArray(node)) node.forEach((part) => visit(part, seen));
  else if (node !== null && typeof node === "object") {
    seen(node);
    for (const value of Object.values(node)) visit(value, seen);
  }
}
for (const { ast } of Object.values(output.sources)) {
  visit(ast, (node) => node.nodeType && nodes.set(node.id, node));
}
for (const node of nodes.values()) {
  if (node.nodeType === "ContractDefinition") node.nodes.forEach((part) => owner.set(part.id, node));
}

// Whether `low` is `high` or overrides it.
function overrides(low, high) {
  const bases = low.baseFunctions ?? low.baseModifiers ?? [];
  return low.id === high.id || bases.some((id) => overrides(nodes.get(id), high));
}

function shape(callable) {
  return callable.name + callable.parameters.parameters.map((p) => p.typeDescriptions.typeString);
}

class Reach {
  constructor(contract) {
    this.line = contract.linearizedBaseContracts.map((id) => nodes.get(id));
    this.seen = new Set();
    this.found = new Set();
  }

  // The definition that a call of `callable` runs in this contract.
  resolve(callable) {
    const parts = this.line.flatMap((base) => base.nodes);
    return parts.find((part) => part.nodeType === callable.nodeType && overrides(part, callable));
  }

  // The one that super.callable() runs, called in the contract `from`.
  above(callable, from) {
    const later = this.line.slice(this.line.indexOf(from) + 1).flatMap((base) => base.nodes);
    return later.find((part) => part.body && shape(part) === shape(callable));
  }

  enter(callable) {
    if (!callable || this.seen.has(callable.id)) return;
    this.seen.add(callable.id);
    visit([callable.body, callable.modifiers], (node) => this.look(node, callable));
  }

  look(node, within) {
    const target = nodes.get(node.referencedDeclaration);
    if (!target) return;
    if (node.nodeType === "IdentifierPath" && target.nodeType === "ModifierDefinition") {
      this.enter(this.resolve(target));
    }
    if (target.nodeType !== "FunctionDefinition") return;
    const home = owner.get(target.id);
    const scope = node.nodeType === "MemberAccess" ? node.expression : null;
    const named = scope && nodes.get(scope.referencedDeclaration)?.nodeType === "ContractDefinition";
    if (!home || home.contractKind === "library" || (named && this.line.includes(home))) this.enter(target);
    else if (scope?.name === "super") this.enter(this.above(target, owner.get(within.id)));
    else if (!scope && this.line.includes(home)) this.enter(this.resolve(target));
  }

  errors(callables) {
    const words = [];
    callables.forEach((callable) => this.enter(callable));
    for (const id of this.seen) {
      const { body, modifiers } = nodes.get(id);
      visit([body, modifiers], (node) => {
        const error = node.nodeType === "FunctionCall" && nodes.get(node.expression.referencedDeclaration);
        if (!error || error.nodeType !== "ErrorDefinition") return;
        const [first] = node.arguments;
        const told = first?.kind === "string" ? `: ${first.value}` : "";
        words.push(error.name + told);
      });
    }
    return [...new Set(words)].sort();
  }
}

const reverts = {};
for (const contract of nodes.values()) {
  if (contract.nodeType !== "ContractDefinition" || !OURS.includes(contract.name)) continue;
  const line = contract.linearizedBaseContracts.map((id) => nodes.get(id));
  const parts = line.flatMap((base) => base.nodes.filter((part) => part.nodeType === "FunctionDefinition"));
  const constructors = parts.filter((part) => part.kind === "constructor");
  const table = { constructor: new Reach(contract).errors(constructors) };
  for (const part of parts.reverse()) {
    if (!part.functionSelector && part.kind !== "receive" && part.kind !== "fallback") continue;
    const reach = new Reach(contract);
    table[part.name || part.kind] = reach.errors([reach.resolve(part)]);
  }
  reverts[contract.name] = table;
}
console.log(JSON.stringify(reverts, null, 1));
