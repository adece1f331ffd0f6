// The engine that runs scripts as classifiers: what is handed to `configure` is a script's text, with its file's name in a last line
// `//# sourceURL=NAME`. It knows the contract and no classifier. The script is one function's body, so that nothing of it is global.
import { log } from "tracejury:classifier/host@0.1.0";
import { find, texts } from "../templates/javascript/trace.js";

/** Lines that the engine of the language puts before the body of a function made of text. */
const LINES_BEFORE = 2;
/** How deep a value is written out on the console. */
const DEPTH = 4;

let script;

export function configure(settings) {
  const named = /\n?\/\/# sourceURL=([^\n]*)\s*$/.exec(settings);
  script = { file: named ? named[1] : "script.js", exports: {} };
  seal();
  run(() => {
    const module = { exports: script.exports };
    new Function("exports", "module", "console", "require", settings)(module.exports, module, console, refuse("require", "a script is one file"));
    script.exports = module.exports;
    if (typeof script.exports?.classify !== "function") throw new Error("exports.classify is not a function");
    script.description = description();
  });
}

export function describe() {
  return script?.description ?? { name: "javascript", version: "0.1.0", summary: "Runs a script as a classifier.", reads: [], classifications: [] };
}

export function classify(trace) {
  if (!script) throw "not configured";
  const answer = run(() => script.exports.classify(new Trace(trace)));
  if (answer == null) return [];
  if (typeof answer.then === "function") throw `${script.file}: classify is async; nothing can be waited for here`;
  return run(() => [answer].flat().map(verdict));
}

/** A script's own error, with its file and line. */
function run(what) {
  try {
    return what();
  } catch (error) {
    throw place(error);
  }
}

/** `file:line: Name: message`, from the innermost frame that is the script's. */
function place(error) {
  if (!(error instanceof Error)) return `${script.file}: threw ${show(error)}`;
  const frame = /<input>:(\d+)/.exec(error.stack ?? "");
  const line = frame ? `:${Math.max(1, frame[1] - LINES_BEFORE)}` : "";
  const hint = /keyword: (export|import)/.test(error.message) ? "; a script is no module: write exports.classify = (trace) => …" : "";
  return `${script.file}${line}: ${error.name}: ${error.message}${hint}`;
}

function description() {
  const told = script.exports.describe?.() ?? {};
  const stem = script.file.replace(/^.*[\\/]/, "").replace(/\.js$/, "");
  return {
    name: text(told, "describe", "name") ?? (stem.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 64) || "script"),
    version: text(told, "describe", "version") ?? "0.0.0",
    summary: text(told, "describe", "summary") ?? `The script ${stem}.`,
    reads: list(told, "describe", "reads"),
    classifications: list(told, "describe", "classifications"),
    settingsSchema: undefined,
  };
}

function verdict(said) {
  if (typeof said !== "object" || said === null) throw new TypeError(`classify returned ${show(said)}, not a verdict`);
  const known = ["classification", "confidence", "reason", "rule", "failingStep", "explanation", "evidence", "attributes"];
  const unknown = Object.keys(said).find((key) => !known.includes(key));
  if (unknown) throw new TypeError(`verdict.${unknown}: is no field of a verdict; there are ${known.join(", ")}`);
  const need = (field, type) => {
    if (typeof said[field] !== type) throw new TypeError(`verdict.${field}: is ${show(said[field])}, not a ${type}`);
    return said[field];
  };
  return {
    classification: need("classification", "string"),
    confidence: need("confidence", "number"),
    reason: text(said, "verdict", "reason"),
    rule: text(said, "verdict", "rule"),
    failingStep: said.failingStep ?? undefined,
    explanation: text(said, "verdict", "explanation") ?? "",
    evidence: [said.evidence ?? []].flat().map(evidence),
    attributes: pairs(said.attributes ?? []),
  };
}

function evidence(said) {
  if (typeof said?.location !== "string" || !Number.isInteger(said.start) || !Number.isInteger(said.end)) {
    throw new TypeError(`verdict.evidence: is ${show(said)}; trace.find gives what stands here`);
  }
  return { location: said.location, start: said.start, end: said.end };
}

function pairs(said) {
  const entries = Array.isArray(said) ? said : Object.entries(said);
  return entries.filter(([, value]) => value != null).map(([name, value]) => [String(name), String(value)]);
}

function text(object, what, field) {
  const value = object[field];
  if (value == null) return undefined;
  if (typeof value !== "string") throw new TypeError(`${what}.${field}: is ${show(value)}, not a string`);
  return value;
}

function list(object, what, field) {
  const value = object[field] ?? [];
  if (!Array.isArray(value) || value.some((entry) => typeof entry !== "string")) throw new TypeError(`${what}.${field}: is ${show(value)}, not a list of strings`);
  return value;
}

/** The trace of the contract, and how to look into it. */
class Trace {
  constructor(trace) {
    Object.assign(this, trace);
  }

  /** The failing step, if there is one. */
  get failing() {
    return this.failingStep == null ? undefined : this.steps[this.failingStep];
  }

  /** The failing step's texts, then those of the execution as a whole: `{ location, text }`. */
  get texts() {
    return texts(this);
  }

  /** Where `pattern`, a regular expression or a text, is first found: what `evidence` of a verdict holds, with `text` and `groups`. */
  find(pattern) {
    return find(this, pattern);
  }
}

const console = Object.fromEntries(
  [["log", "info"], ["info", "info"], ["warn", "warn"], ["error", "error"], ["debug", "debug"], ["trace", "trace"]].map(([name, level]) => [
    name,
    (...values) => log(level, values.map((value) => (typeof value === "string" ? value : show(value))).join(" ")),
  ]),
);

/** A value as text, for people. */
function show(value, depth = 0, seen = []) {
  if (typeof value === "string") return depth || value === "" ? JSON.stringify(value) : value;
  if (typeof value === "function") return `[function ${value.name || "without a name"}]`;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (seen.includes(value)) return "[circular]";
  if (depth >= DEPTH) return "…";
  const inner = [...seen, value];
  if (Array.isArray(value)) return `[${value.map((entry) => show(entry, depth + 1, inner)).join(", ")}]`;
  return `{${Object.entries(value).map(([key, entry]) => `${key}: ${show(entry, depth + 1, inner)}`).join(", ")}}`;
}

/** What there is no clock and no chance for: the same trace gets the same answer, whenever and wherever it is asked for. */
function seal() {
  const Real = Date;
  const clockless = refuse("the time", "a classifier has no clock");
  function Sealed(...args) {
    if (!new.target || args.length === 0) clockless();
    return Reflect.construct(Real, args, new.target === Sealed ? Real : new.target);
  }
  Object.setPrototypeOf(Sealed, Real);
  Sealed.prototype = Real.prototype;
  Real.prototype.constructor = Sealed;
  Sealed.now = clockless;
  Sealed.parse = Real.parse;
  Sealed.UTC = Real.UTC;
  globalThis.Date = Sealed;
  Math.random = refuse("Math.random", "a classifier has no randomness");
  delete globalThis.performance;
  for (const name of ["fetch", "setTimeout", "setInterval", "XMLHttpRequest", "WebSocket"]) {
    globalThis[name] = refuse(name, "a classifier has no network and nothing to wait for");
  }
}

function refuse(name, why) {
  return () => {
    throw new Error(`${name} is not available: ${why}`);
  };
}
