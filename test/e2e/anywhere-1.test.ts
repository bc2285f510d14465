/** Every other guest, from the first on: see `anywhere.ts`. */
import { goesOnFromAnywhere } from './anywhere.ts';
import { GUEST_CASES } from './guest-cases.ts';

goesOnFromAnywhere(GUEST_CASES.filter((_, at) => at % 2 === 0));
