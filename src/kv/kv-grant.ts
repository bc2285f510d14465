/** What today's request says of databases: which files a guest may open, under which names. */

/** The import module under which a guest finds databases. */
export const KV_IMPORTS = 'stasis_kv';

export interface KvGrant {
  /** What the guest opens it by. */
  readonly name: string;
  /** Absolute. Made when it is not there, unless it is read-only. */
  readonly hostPath: string;
  readonly readOnly: boolean;
}
