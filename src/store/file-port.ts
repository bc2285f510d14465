/**
 * The one way by which packs, leases and keys touch the file system, so that a test can put a fault into
 * any single operation. `node-files.ts` is the real one.
 *
 * Every operation rejects with the system's own error (`code`: ENOENT, ENOSPC, EIO …); callers turn it
 * into a HostError that says what they were doing.
 */
export interface FilePort {
  /** Makes a new file, mode 0600, for reading and writing. EEXIST when there is anything of that name. */
  create(path: string): Promise<OpenFile>;
  /** Opens for reading; does not follow a symbolic link at the end of the path. */
  open(path: string): Promise<OpenFile>;
  /** Makes a directory and what is missing above it, mode 0700. No error when it is there. */
  makeDirectory(path: string): Promise<void>;
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** A second name for a file. EEXIST when there is anything of that name. */
  link(path: string, newPath: string): Promise<void>;
  /** Gives a file another name, in place of whatever has that name; both in one file system. */
  rename(path: string, newPath: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Names in a directory, in no order. */
  list(path: string): Promise<readonly string[]>;
  /** What is at a path, a symbolic link itself and not its goal; null when nothing is. */
  look(path: string): Promise<FileFacts | null>;
  /** The path without symbolic links. */
  resolve(path: string): Promise<string>;
}

export interface OpenFile {
  /** Bytes written, perhaps fewer than asked. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Bytes read, perhaps fewer than asked; 0 at the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Makes the content durable. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileFacts {
  readonly kind: 'file' | 'directory' | 'other';
  /** Permission bits only. */
  readonly mode: number;
  readonly uid: number;
  readonly bytes: number;
}
