/**
 * What confines a cell, as it is asked for and as it came out. Plain data.
 */

/** `auto`: by whatever the system has; `require`: by all of it, or not at all; `off`: only Node's own. */
export const CONFINE_MODES = ['auto', 'require', 'off'] as const;
export type ConfineMode = (typeof CONFINE_MODES)[number];

export function isConfineMode(text: string): text is ConfineMode {
  return (CONFINE_MODES as readonly string[]).includes(text);
}

/** What of the kernel holds a cell, in the order in which it is put on. */
export const CONFINEMENTS = [
  'descriptors', // none inherited but the protocol's
  'files', // Landlock: what the run was granted, and what Node needs
  'network', // Landlock: no TCP connection or port
  'signals', // Landlock: none to processes outside
  'privileges', // capabilities dropped, none to be gained
  'limits', // data, descriptors, core
  'memory', // not to be dumped or looked into
  'calls', // seccomp
] as const;
export type Confinement = (typeof CONFINEMENTS)[number];
