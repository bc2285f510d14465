/** What every handle has, whatever it stands for. */
export interface HandleFacts {
  /** Rights of preview1 (`abi/rights.ts`) that the calls on this handle need. */
  rights: number;
  /** Rights that handles opened through this one may have. */
  rightsInheriting: number;
  /** `fdflags` of preview1 (`abi/flags.ts`). */
  flags: number;
}
