/** The 16 bytes of an address of IPv6, in any of its spellings that `net.isIP` takes, but for zones. */
export function ipv6Bytes(address: string): Uint8Array {
  // A URL has one spelling of each address: groups in hexadecimal, at most one `::`.
  const { hostname } = new URL(`http://[${address}]/`);
  const [head = '', tail] = hostname.slice(1, -1).split('::');
  const groupsOf = (text: string) => (text === '' ? [] : text.split(':'));
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after];
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [index, group] of groups.entries())
    view.setUint16(index * 2, Number.parseInt(group, 16));
  return bytes;
}
