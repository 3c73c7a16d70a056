import { describe, expect, it } from 'vitest';
import { findSessionState } from '../../src/folder/session-state.ts';

describe('what a statement makes of its session', () => {
  it.each([
    ['set search_path = app', 'set search_path ='],
    ['/* names */ SET SESSION search_path TO app', 'SET SESSION search_path'],
    ["select set_config('search_path', 'app', false)", "set_config('search_path', 'app', false)"],
    ['create temp table scratch ()', 'create temp'],
    ['create local temporary table scratch ()', 'create local temporary'],
    ['listen jobs', 'listen jobs'],
    ['prepare p as select 1', 'prepare p'],
    ['select pg_advisory_lock(1)', 'pg_advisory_lock('],
    ['select pg_try_advisory_lock_shared(1, 2)', 'pg_try_advisory_lock_shared('],
  ])('is found in: %s', (text, found) => {
    expect(findSessionState(text)).toBe(found);
  });

  it.each([
    'set local search_path = app',
    'set constraints all immediate',
    "select set_config('search_path', 'app', true)",
    'create temp table scratch () on commit drop',
    'create table template ()',
    'select pg_advisory_xact_lock(1)',
    'update settings set search_path = 1',
    "-- set search_path = app\nselect 'listen'",
    'create index concurrently i on t (a)',
  ])('is nothing in: %s', (text) => {
    expect(findSessionState(text)).toBeUndefined();
  });
});
