/**
 * The guest that draws random numbers, where they are always the same (`fixed-program.ts`): then it is held
 * to fuel and memory also from before its draw on. For the rest see `anywhere.ts`.
 */
import { rmSync } from 'node:fs';
import { afterAll } from 'vitest';
import { goesOnFromAnywhere } from './anywhere.ts';
import { makeFixedProgram } from './fixed-program.ts';
import { GUEST_CASES } from './guest-cases.ts';

const fixed = makeFixedProgram();
afterAll(() => rmSync(fixed, { recursive: true }));

goesOnFromAnywhere(
  GUEST_CASES.filter(({ drawsRandom }) => drawsRandom).map((guest) => ({
    ...guest,
    drawsRandom: false,
  })),
  fixed,
);
