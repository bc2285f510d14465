/**
 * Run as some user: asks the host at `argv[2]` everything in the JSON on standard input, one after the other, and
 * prints as JSON what was answered: `{done}` or the error's `{code, message, facts, hint}`.
 */
import { text } from 'node:stream/consumers';
import { openDoor } from '../../src/cli/door-client.ts';
import type { DoorAsk } from '../../src/cli/door-protocol.ts';

const asks = JSON.parse(await text(process.stdin)) as DoorAsk[];
const answers: unknown[] = [];
for (const ask of asks) {
  const door = await openDoor(process.argv[2]!, []);
  door.say(ask);
  let last: unknown = 'hung up';
  for await (const tell of door.tells) {
    if ('json' in tell) last = { [tell.tell]: JSON.parse(tell.json) };
  }
  answers.push(last);
}
process.stdout.write(JSON.stringify(answers));
