/** Which pages the writers of the kill test change, and how they are filled. */
export const SHARED = 1;
export const WRITER_PAGES = 10;
/** Of a writer's pages: the first is its head, the next ones its ring. */
export const HEAD = 0;
export const RING = 6;

/** The page filled with one word from end to end: half a change shows. */
export function fillWords(bytes: Uint8Array, word: number): void {
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4).fill(word);
}

export function readWord(bytes: Uint8Array): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const word = words[0]!;
  if (!words.every((other) => other === word)) throw new Error('half a change is in a page');
  return word;
}
