/**
 * Reads the policy file. It decides what others may do, so it has to be root's or this host's own, and
 * nobody else may be able to write to it.
 */
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { NO_POLICY, type Policy } from './policy.ts';

const FILE_BYTES_MAX = 1024 * 1024;
const WRITABLE_BY_OTHERS = 0o022;

/** Where to look. */
export interface PolicyPlace {
  readonly path: string;
  /** The user named it; otherwise it may as well not be there, which allows everything. */
  readonly named: boolean;
}

/** Throws ERR_POLICY_FILE, naming everything that is wrong with it, and ERR_IO. */
export async function readPolicy({ path, named }: PolicyPlace): Promise<Policy> {
  const text = readText(path, named);
  if (text === null) return NO_POLICY;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unusable(path, 'it is not JSON', { cause });
  }
  // Loaded only where there is a policy: it takes as long as everything else that a host loads for one.
  const { parsePolicy } = await import('./policy-shape.ts');
  const parsed = parsePolicy(value);
  if (!('problems' in parsed)) return parsed;
  const [first, ...others] = parsed.problems;
  throw unusable(path, first!, {
    facts: Object.fromEntries(others.map((problem, index) => [`and ${index + 2}`, problem])),
  });
}

function readText(path: string, named: boolean): string | null {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') {
      if (!named) return null;
      throw unusable(path, 'it is not there');
    }
    throw ioFailure(`read ${path}`, error);
  }
  try {
    // Of what was opened, not of what stands at the path by now.
    checkOwner(path, fstatSync(fd));
    return readFileSync(fd, 'utf8');
  } catch (error) {
    throw error instanceof HostError ? error : ioFailure(`read ${path}`, error);
  } finally {
    closeSync(fd);
  }
}

function checkOwner(path: string, found: Stats): void {
  if (!found.isFile()) throw unusable(path, 'it is not a file');
  if (found.uid !== 0 && found.uid !== process.geteuid?.()) {
    throw unusable(path, 'it belongs to another user', { hint: `chown root ${path}` });
  }
  if ((found.mode & WRITABLE_BY_OTHERS) !== 0) {
    throw unusable(path, 'other users may write to it', { hint: `chmod go-w ${path}` });
  }
  if (found.size > FILE_BYTES_MAX) throw unusable(path, 'it is larger than 1 MiB');
}

function unusable(
  path: string,
  why: string,
  { facts = {}, ...more }: ConstructorParameters<typeof HostError>[2] = {},
): HostError {
  return new HostError('ERR_POLICY_FILE', `The policy file can't be used: ${why}.`, {
    hint: 'docs/policy.md shows one',
    ...more,
    facts: { file: path, ...facts },
  });
}
