/**
 * Prints one line when all tests are over, `N passed, N failed`, for whoever reads results by machine.
 * A file that can't be loaded and an error outside of any test count as failures; so does a skipped
 * test, since there is no reason for one here.
 */
import type { Reporter, TestModule } from 'vitest/node';

export function countReporter(): Reporter {
  return {
    onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]) {
      let passed = 0;
      let failed = unhandled.length;
      for (const module of modules) {
        failed += module.errors().length;
        for (const test of module.children.allTests()) {
          if (test.result().state === 'passed') passed += 1;
          else failed += 1;
        }
      }
      process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
    },
  };
}
