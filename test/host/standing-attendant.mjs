// Stands in for an attendant: tells its client whose it is, and ends when the client says so.
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';

const channel = new Socket({ fd: 4, readable: true, writable: true });
const [line] = await new Promise((resolve) => {
  createInterface(channel).once('line', (text) => resolve([text]));
});
const { uid, maySettle, work } = JSON.parse(line);
if (work === 'fails') {
  channel.end('failed because\n');
} else {
  const client = new Socket({ fd: 3, readable: true, writable: true });
  client.on('error', () => process.exit());
  client.on('close', () => process.exit());
  client.write(`${uid} ${maySettle}\n`);
  client.on('data', (said) => {
    if (String(said) === 'settle') channel.write('settled\n');
    else process.exit();
  });
}
channel.unref();
