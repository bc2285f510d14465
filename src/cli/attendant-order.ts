/** What a doorkeeper's attendant is told on its descriptor 4, as one line of JSON. */
import type { JobAsk } from './host.ts';
import type { Settings } from './settings.ts';

export interface AttendantOrder {
  readonly settings: Settings;
  /** Whether there is room for one more that stays. */
  readonly maySettle: boolean;
  /** null: what the client asks for. */
  readonly work: JobAsk | null;
}
