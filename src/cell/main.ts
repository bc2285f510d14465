/** Entry of a cell whose guest begins. */
import { beginCell } from './begin.ts';

await beginCell(false);
