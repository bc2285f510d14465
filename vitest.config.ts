import { defineConfig } from 'vitest/config';
import { countReporter } from './test/count-reporter.ts';

const HOUR_MS = 3_600_000;
const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';

export default defineConfig({
  test: {
    reporters: ['default', countReporter()],
    include: ['test/**/*.test.ts'],
    // Every test file starts processes of its own; more files at once than cores only adds noise.
    maxWorkers: 2,
    // For what hangs. A slow or busy machine must not reach them.
    testTimeout: NIGHTLY ? 6 * HOUR_MS : HOUR_MS,
    hookTimeout: HOUR_MS,
  },
});
