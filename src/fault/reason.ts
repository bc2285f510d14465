/** What somebody else's code threw, as the end of a sentence: without a full stop, never empty. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/[.\s]+$/, '') || 'no reason given';
}
