import { expect, test } from 'vitest';
import { findPlace } from '../../src/folder/stack-place.ts';

const folder = '/srv/alterations';
const place = { file: '1.0.0-1-a.ts', line: 7, column: 16 };

test.each([
  ['a frame with a function', '    at Object.up (/srv/alterations/1.0.0-1-a.ts:7:16)', place],
  ['a frame without a function', '    at /srv/alterations/1.0.0-1-a.ts:7:16', place],
  ['an async frame', '    at async up (file:///srv/alterations/1.0.0-1-a.ts:7:16)', place],
  ['a URL with a query', '    at file:///srv/alterations/1.0.0-1-a.ts?run=2:7:16', place],
  ['a syntax error of Node', 'file:///srv/alterations/1.0.0-1-a.ts:7', { ...place, column: 1 }],
  ['a file in a folder', '    at /srv/alterations/utils/b.ts:7:16', { ...place, file: 'utils/b.ts' }],
  ['a file outside', '    at up (/srv/other/1.0.0-1-a.ts:7:16)', undefined],
  ['a package inside', '    at f (/srv/alterations/node_modules/p/index.js:7:16)', undefined],
  ['a part of Node', '    at node:internal/modules/run_main:7:16', undefined],
  ['a message', 'Error: 7:16', undefined],
])('finds the place in %s', (_, frame, expected) => {
  const error = new Error('no');
  error.stack = `Error: no\n    at query (/srv/node_modules/pg/client.js:1:2)\n${frame}\n    at last:1:1`;
  expect(findPlace(error, folder)).toEqual(expected);
});

test('finds the place in a cause', () => {
  const cause = new Error('first');
  cause.stack = `Error: first\n    at /srv/alterations/1.0.0-1-a.ts:7:16`;
  const error = new Error('second', { cause });
  error.stack = 'Error: second\n    at /srv/runner.js:1:1';
  expect(findPlace(error, folder)).toEqual(place);
});

test('takes a part of Node for no file of the working directory', () => {
  const error = new Error('no');
  error.stack = 'Error: no\n    at node:internal/modules/run_main:7:16';
  expect(findPlace(error, process.cwd())).toBeUndefined();
});
