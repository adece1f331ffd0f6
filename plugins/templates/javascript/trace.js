// Looks into a trace: the failing step's texts, then those of the execution as a whole.

/** Where `pattern`, a regular expression or a text, is first found: what `evidence` of a verdict holds, with `text` and `groups`; null where it is not. */
export function find(trace, pattern) {
  for (const { location, text } of texts(trace)) {
    const match = pattern instanceof RegExp ? new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).exec(text) : plain(text, pattern);
    if (match) {
      const [from, to] = whole(text, match.index, match.index + match[0].length);
      const start = bytes(text.slice(0, from));
      return { location, start, end: start + bytes(text.slice(from, to)), text: match[0], groups: match.groups ?? {} };
    }
  }
  return null;
}

/** The texts with their places: `{ location, text }`. */
export function texts(trace) {
  const of = (error, path) =>
    ["message", "code", "stack"].filter((field) => error?.[field]).map((field) => ({ location: `${path}error.${field}`, text: error[field] }));
  return [...of(trace.steps[trace.failingStep]?.error, `steps[${trace.failingStep}].`), ...of(trace.error, "")];
}

function plain(text, wanted) {
  const index = text.indexOf(String(wanted));
  return index < 0 ? null : { index, 0: String(wanted) };
}

/** A stretch widened to whole characters: a pattern without the flag `u` may match half of one. */
function whole(text, start, end) {
  const low = (index) => /[\udc00-\udfff]/.test(text[index] ?? "") && /[\ud800-\udbff]/.test(text[index - 1] ?? "");
  return [low(start) ? start - 1 : start, low(end) ? end + 1 : end];
}

/** How many bytes a text takes in UTF-8, which is what evidence counts in. */
function bytes(text) {
  let count = 0;
  for (const char of text) {
    const code = char.codePointAt(0);
    count += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return count;
}
