/**
 * Text that a guest chose, made fit for a message: control, formatting and bidirectional characters,
 * quotes and lone surrogates are escaped, and long text is cut.
 */
const CHARACTERS_MAX = 200;

export function showGuestText(text: string): string {
  const shown: string[] = [];
  for (const character of text) {
    if (shown.length >= CHARACTERS_MAX) {
      shown.push('…');
      break;
    }
    shown.push(isPlain(character) ? character : escapeOf(character));
  }
  return `"${shown.join('')}"`;
}

function isPlain(character: string): boolean {
  return character === ' ' || !/[\p{C}\p{Z}"\\]/u.test(character);
}

function escapeOf(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`;
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
