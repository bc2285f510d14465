import { defineConfig } from 'vitest/config';
import { countReporter } from './test/count-reporter.ts';

export default defineConfig({
  test: {
    reporters: ['default', countReporter()],
    include: ['test/**/*.test.ts'],
    // Every test file starts processes of its own; more files at once than cores only adds noise.
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
