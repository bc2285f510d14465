/**
 * Text that somebody else wrote, made safe to show: a terminal obeys control characters, and a reader
 * is misled by characters that change direction or take no room.
 */

/** Controls, line and paragraph separators, bidi controls, zero-width characters, lone surrogates. */
const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose.
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const LENGTH_MAX = 1000;

/** `text` on one line, with what can't be seen written as `\u{…}`; longer text is cut with `…`. */
export function visibleText(text: string, lengthMax = LENGTH_MAX): string {
  const cut = text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text;
  return cut.replace(HIDDEN, escapeCharacter);
}

/** `value` as JSON that a terminal can be shown: what is hidden is escaped in JSON's own way. */
export function visibleJson(value: unknown): string {
  return JSON.stringify(value).replace(
    HIDDEN,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Like `visibleText` for output: lines and tabs stay, and nothing is cut. */
export function visibleOutput(text: string): string {
  return text.replace(HIDDEN, (found) =>
    found === '\n' || found === '\t' ? found : escapeCharacter(found),
  );
}

function escapeCharacter(found: string): string {
  return `\\u{${found.charCodeAt(0).toString(16)}}`;
}
