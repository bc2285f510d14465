/** Entry of a cell whose guest goes on from an image. */
import { beginCell } from './begin.ts';

await beginCell(true);
