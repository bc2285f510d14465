/**
 * Reads what the files under `src/` import, for the tests that hold the architecture.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const SOURCE = fileURLToPath(new URL('../src', import.meta.url));

export interface SourceFile {
  /** Below `src/`, such as `host/places.ts`. */
  readonly path: string;
  /** Without comments. */
  readonly code: string;
}

export interface Import {
  readonly from: string;
  /** Below `src/` for a file of ours, else the name of the package. */
  readonly to: string;
  readonly own: boolean;
  /** What is imported by name. */
  readonly names: readonly string[];
  /** Whether it is loaded with the file: neither a type alone nor imported later. */
  readonly loads: boolean;
}

export function readSource(): SourceFile[] {
  return readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path, code: withoutComments(readFileSync(join(SOURCE, path), 'utf8')) }));
}

/** Strings stay as they are, whatever they hold. */
export function withoutComments(code: string): string {
  const tokens =
    /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return code.replace(tokens, (token) => (token.startsWith('/') ? ' ' : token));
}

/** Every `import … from`, `export … from`, bare and dynamic import of a file, types included. */
export function findImports({ path, code }: SourceFile): Import[] {
  const statements =
    /\b(?:import|export)\s+(type\s+)?(?:([\w*{}\s,$]+?)\s+from\s+)?'([^']+)'|\bimport\(\s*'([^']+)'/g;
  return Array.from(code.matchAll(statements), ([, type, clause, named, dynamic]) => {
    const target = (named ?? dynamic)!;
    const own = target.startsWith('.');
    return {
      from: path,
      to: own ? relative('/', join('/', dirname(path), target)) : target,
      own,
      names:
        (clause ?? '').match(/[\w$]+/g)?.filter((name) => name !== 'type' && name !== 'as') ?? [],
      loads: dynamic === undefined && type === undefined && !namesTypesOnly(clause),
    };
  });
}

/** `{ type A, type B }` */
function namesTypesOnly(clause: string | undefined): boolean {
  const within = /^\{([^}]*)\}$/.exec(clause?.trim() ?? '')?.[1];
  return within?.split(',').every((one) => one.trim() === '' || /^\s*type\s/.test(one)) ?? false;
}

export function roomOf(path: string): string {
  const at = path.indexOf('/');
  return at < 0 ? '' : path.slice(0, at);
}
