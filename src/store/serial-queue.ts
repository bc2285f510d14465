/** Runs pieces of work one after the other, in the order in which they were handed in. */
export type SerialQueue = <T>(work: () => Promise<T>) => Promise<T>;

export function createSerialQueue(): SerialQueue {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    // What follows runs whatever became of this; whoever handed it in hears of its failure.
    last = result.catch(() => undefined);
    return result;
  };
}
