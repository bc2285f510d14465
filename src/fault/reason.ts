/** What somebody else's code threw, as the end of a sentence: without a full stop, never empty. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/[.\s]+$/, '') || 'no reason given';
}

/** What to try when the runtime kept a provider from a file: nothing else of a cell asks for more. */
export function accessHint(error: unknown): { readonly hint?: string } {
  const isDenied = error instanceof Error && 'code' in error && error.code === 'ERR_ACCESS_DENIED';
  return isDenied ? { hint: 'grant it more with --provider-read and --provider-write' } : {};
}
