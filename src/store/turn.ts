/** Lets the rest of the process have its turn, in the middle of long work. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
