import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { HEADER, refusalOf } from './module-bytes.ts';

const ascii = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

describe('what is not a module is told what it looks like, and what to do', () => {
  test.each<[string, Uint8Array, RegExp, RegExp]>([
    ['nothing', Uint8Array.of(), /is empty/, /WASI module/],
    ['ELF', ascii('\x7fELF\x02\x01\x01'), /native program/, /WASI module/],
    ['Mach-O', Uint8Array.of(0xcf, 0xfa, 0xed, 0xfe, 7), /native program/, /WASI module/],
    ['gzip', gzipSync('x'), /gzip file/, /gunzip/],
    ['zip', ascii('PK\x03\x04'), /zip archive/, /unzip/],
    ['bitcode', ascii('BC\xc0\xde'), /LLVM bitcode/, /wasm-ld/],
    ['an archive', ascii('!<arch>\n'), /library archive/, /wasm-ld/],
    ['a script', ascii('#!/bin/sh\n'), /a script/, /module/],
    ['LFS', ascii('version https://git-lfs.example/spec/v1'), /Git LFS/, /git lfs pull/],
    ['HTML', ascii('<!DOCTYPE html><html>'), /web page/, /download/],
    [
      'text format',
      ascii(' ;; note\n(; (; ;)\n;)(; ;; ;)(\nmodule $m)'),
      /text format/,
      /wat2wasm/,
    ],
    ['component text', ascii('(component)'), /text format/, /wat2wasm/],
    ['text', ascii('hello there'), /plain text/, /WASI module/],
    ['noise', Uint8Array.of(0, 1, 2, 3, 0xff), /some other binary file/, /WASI module/],
    ['half a magic number', Uint8Array.of(0, 0x61, 0x73), /some other binary file/, /WASI module/],
  ])('%s', (_, bytes, sentence, hint) => {
    const refusal = refusalOf(bytes);
    expect(refusal.code).toBe('ERR_NOT_WASM');
    expect(refusal.message).toMatch(sentence);
    expect(refusal.hint).toMatch(hint);
  });

  test.each(['(;', '(;;)', '(; ;) ', ';;\n ', ';)', '( '])('%j again and again', (text) => {
    const refusal = refusalOf(ascii(text.repeat(100_000)));
    expect(refusal.code).toBe('ERR_NOT_WASM');
    expect(refusal.message).toMatch(/plain text/);
  });
});

test('a component is named as one', () => {
  const refusal = refusalOf(Uint8Array.from([...HEADER.slice(0, 4), 0x0d, 0, 1, 0]));
  expect(refusal.code).toBe('ERR_COMPONENT');
  expect(refusal.hint).toMatch(/preview 1/);
});

test('another version, and a header cut short, are malformed', () => {
  const version = refusalOf(Uint8Array.from([...HEADER.slice(0, 4), 2, 0, 0, 0]));
  expect(version.code).toBe('ERR_MALFORMED_MODULE');
  expect(version.message).toMatch(/version 2/);
  const cut = refusalOf(Uint8Array.from(HEADER.slice(0, 6)));
  expect(cut.code).toBe('ERR_MALFORMED_MODULE');
  expect(cut.message).toMatch(/header is cut off/);
});
