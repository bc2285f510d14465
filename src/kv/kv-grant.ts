/** What today's request says of databases: which files a guest may open, under which names. */
export interface KvGrant {
  /** What the guest opens it by. */
  readonly name: string;
  /** Absolute. Made when it is not there, unless it is read-only. */
  readonly hostPath: string;
  readonly readOnly: boolean;
}
