import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConcurrentWork } from '../../src/core/concurrent-work.ts';
import { UnusableAlterationError } from '../../src/core/errors.ts';
import { findConcurrentWork } from '../../src/folder/find-concurrent-work.ts';
import { parseSqlScript, placeOf, type SqlScript, splitStatements } from '../../src/folder/split-sql.ts';
import { listStatementRanges, summariseSql } from '../../src/folder/sql-text.ts';

const noTransaction = '-- alteration: no-transaction\n';

const parse = (text: string) => parseSqlScript(text, '1.0.0-1700000000-x.sql');
const textsOf = (script: SqlScript) => script.statements.map(({ text }) => text);

/** Every problem as `line:column message`, none if the script can be run. */
async function problemsOf(text: string): Promise<readonly string[]> {
  try {
    await parse(text);
    return [];
  } catch (error) {
    if (!(error instanceof UnusableAlterationError)) throw error;
    return error.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
  }
}

async function errorOf(text: string): Promise<UnusableAlterationError> {
  const error = await parse(text).catch((thrown: unknown) => thrown);
  if (error instanceof UnusableAlterationError) return error;
  throw new Error('the script was accepted');
}

describe('splitting', () => {
  it.each<[string, string, readonly string[]]>([
    ['two statements', 'select 1; select 2;', ['select 1', 'select 2']],
    ['no final semicolon', 'select 1;\nselect 2\n', ['select 1', 'select 2']],
    ['empty statements', ';;select 1;; ;\n;select 2;;', ['select 1', 'select 2']],
    ['only empty statements', ';;', []],
    ['comments only', '-- nothing to do\n/* and /* nested */ more; */\n', []],
    [
      'semicolons in quotes',
      `select ';', ";", e'\\';', 'a'';b'; select 2`,
      [`select ';', ";", e'\\';', 'a'';b'`, 'select 2'],
    ],
    ['semicolons in comments', 'select /* ; */ 1 -- ;\n; select 2', ['select /* ; */ 1', 'select 2']],
    [
      'comments around',
      '-- one\nselect 1 /* two */; -- three\n/* four */ select 2 -- five',
      ['select 1', 'select 2'],
    ],
    [
      'named dollar quotes',
      'do $a$ begin perform $b$;$b$; end $a$; select $$;$$',
      ['do $a$ begin perform $b$;$b$; end $a$', 'select $$;$$'],
    ],
    ['a byte order mark', '\uFEFFselect 1;', ['select 1']],
    ['CRLF', 'select 1;\r\nselect\r\n2;\r\n', ['select 1', 'select\n2']],
    [
      'a backslash in quotes',
      `select '\\i x', $$\\i y$$ -- \\i z\n; select "\\"`,
      [`select '\\i x', $$\\i y$$`, 'select "\\"'],
    ],
    [
      'characters of two to four bytes',
      "-- 😀ü\nselect 'ü€😀'; /* ÿ */ select 'ß' as \"é😀\" /* 😀 */; select 3",
      ["select 'ü€😀'", 'select \'ß\' as "é😀"', 'select 3'],
    ],
  ])('takes %s', async (_, text, statements) => {
    expect(textsOf(await parse(text))).toEqual(statements);
  });

  it('keeps the body of a begin atomic function together', async () => {
    const body =
      'create function f() returns int begin atomic select 1; select case when true then 2 end; end';

    expect(textsOf(await parse(`${body}; select 3`))).toEqual([body, 'select 3']);
  });

  it('says of each statement what it is and where', async () => {
    const text = '-- ü\n\ncreate table "ö" (a int);\n\n  create index i\n  on "ö" (a); -- 😀\ndrop table "ö"';

    const { statements } = await parse(text);

    expect(statements.map(({ line, kind, summary }) => [line, kind, summary])).toEqual([
      [3, 'CreateStmt', 'create table "ö" (a int)'],
      [5, 'IndexStmt', 'create index i on "ö" (a)'],
      [7, 'DropStmt', 'drop table "ö"'],
    ]);
  });

  const statement = fc.constantFrom(
    'select 1',
    "select 'ü; 😀 -- no comment', 'it''s /* neither'",
    `select e'\\';', u&"\\00e4;" from "a;b"`,
    'do $body$ begin perform $$;$$; /* ; */ end $body$',
    'create function f() returns text language sql begin atomic select 1; select case when true then 2 end; end',
    'create function "ö"(a text default $$;$$) returns int language plpgsql as $x$ begin return 1; end $x$',
    'create rule r as on insert to t do also (delete from u; delete from v)',
    'create index concurrently if not exists "i😀" on t (a, b)',
    'insert into t values (1, 2), (3, 4)',
    "select 1 as a$b$c, 2 as x, 'a'\n  'b;c'",
    "select e'a'\n  'b\\';c'",
    'vacuum (analyze) t',
  );
  const gap = fc
    .array(
      fc.constantFrom(
        ' ',
        '\n',
        '\n\n',
        '\t',
        ';',
        "-- begin; ü 😀 it's\n",
        '/* commit; /* "nested */ $$ */',
        '-- concurrently\n',
      ),
    )
    .map((parts) => parts.join(''));
  const script = fc.record({
    lead: gap,
    parts: fc.array(fc.tuple(statement, gap)),
    end: fc.constantFrom('', ';'),
  });
  const join = ({
    lead,
    parts,
    end,
  }: {
    lead: string;
    parts: readonly (readonly [string, string])[];
    end: string;
  }) => `${noTransaction}${lead}${parts.map(([text, space]) => `${text}\n;${space}`).join('')}${end}`;

  it('gives back the statements of any script, each at its offset', async () => {
    await fc.assert(
      fc.asyncProperty(script, async (input) => {
        const text = join(input);

        const parsed = await parse(text);

        expect(textsOf(parsed)).toEqual(input.parts.map(([each]) => each));
        for (const { text: sql, offset, line } of parsed.statements) {
          expect(text.slice(offset, offset + sql.length)).toBe(sql);
          expect(text.slice(0, offset).split('\n').length).toBe(line);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('finds the same statements without the parser', () => {
    fc.assert(
      fc.property(script, (input) => {
        const text = join(input);

        const ranges = listStatementRanges(text);

        expect(ranges.map(({ start, end }) => text.slice(start, end))).toEqual(
          input.parts.map(([each]) => each),
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe('a text that cannot be used', () => {
  it.each(['', ' \n\t\r\n', '\uFEFF'])('is an error when it is empty: %j', async (text) => {
    const { problems } = await errorOf(text);

    expect(problems).toEqual([
      {
        file: '1.0.0-1700000000-x.sql',
        message: expect.stringContaining('"1.0.0-1700000000-x.sql" is empty'),
      },
    ]);
  });

  it.each(['\0', '\uFFFD'])('is an error when it holds %j', async (character) => {
    expect(await problemsOf(`select 1;\n-- ${character}`)).toEqual([
      expect.stringMatching(/^2:4 This is not UTF-8 text/),
    ]);
  });
});

describe('settings in comments', () => {
  it.each([
    '-- alteration: no-transaction',
    '--alteration:no-transaction\nvacuum',
    '\uFEFF\r\n\r\n-- A title\r\n-- alteration: no-transaction\r\nvacuum;',
    '/* A licence */\n-- Alteration:   no-transaction  \nvacuum;',
  ])('choose the mode: %j', async (text) => {
    expect((await parse(text)).mode).toBe('no-transaction');
  });

  it.each([
    'select 1',
    '-- no-transaction\nselect 1',
    "-- title\nselect '-- alteration: no-transaction', $$\n-- alteration: no-transaction\n$$",
  ])('are not seen in %j', async (text) => {
    expect((await parse(text)).mode).toBe('transaction');
  });

  it.each([
    ['-- alteration: lock-timeout=10s\nselect 1', { mode: 'transaction', lockTimeoutMs: 10_000 }],
    ['--alteration:lock-timeout=1m30s', { mode: 'transaction', lockTimeoutMs: 90_000 }],
    ['-- alteration: lock-timeout=0\nselect 1', { mode: 'transaction', lockTimeoutMs: 0 }],
    [
      '-- alteration: no-transaction lock-timeout=500ms\nvacuum',
      { mode: 'no-transaction', lockTimeoutMs: 500 },
    ],
    [
      '-- alteration:  lock-timeout=2s   no-transaction  \r\nvacuum',
      { mode: 'no-transaction', lockTimeoutMs: 2_000 },
    ],
    [
      '-- A title\n-- alteration: no-transaction\n\n/* why */ -- alteration: lock-timeout=5s\nvacuum',
      { mode: 'no-transaction', lockTimeoutMs: 5_000 },
    ],
    [
      '-- alteration: lock-timeout=5s\n-- alteration: lock-timeout=7s\nselect 1',
      { mode: 'transaction', lockTimeoutMs: 7_000 },
    ],
  ])('set the lock timeout: %j', async (text, settings) => {
    expect(await parse(text)).toMatchObject(settings);
  });

  it.each(['select 1', "select '-- alteration: lock-timeout=10s'", '-- lock-timeout=10s\nselect 1'])(
    'leave the lock timeout to the run in %j',
    async (text) => {
      expect(await parse(text)).not.toHaveProperty('lockTimeoutMs');
    },
  );

  it.each([
    'lock-timeout',
    'lock-timeout=',
    'lock-timeout=10',
    'lock-timeout=soon',
    'lock-timeout=-1s',
    'lock-timeout=1s=2s',
  ])('are refused where "%s" is no duration', async (entry) => {
    expect(await problemsOf(`-- alteration: no-transaction ${entry}\nvacuum`)).toEqual([
      `1:1 "${entry}" means nothing after "-- alteration:"; it can say "no-transaction" and "lock-timeout=" with a duration such as 10s.`,
    ]);
  });

  it('are refused where blanks stand around the equals sign', async () => {
    expect(await problemsOf('-- alteration: lock-timeout = 10s\nselect 1')).toEqual(
      ['lock-timeout', '=', '10s'].map((entry) => expect.stringContaining(`"${entry}" means nothing`)),
    );
  });

  it.each<[string, readonly string[]]>([
    [
      '-- alteration: no-transcation',
      [
        '1:1 "no-transcation" means nothing after "-- alteration:"; it can say "no-transaction" and "lock-timeout=" with a duration such as 10s.',
      ],
    ],
    ['-- title\n  -- alteration: a b=1', ['2:3 "a" means', '2:3 "b=1" means']],
    ['-- alteration: no-transaction=yes', ['1:1 "no-transaction=yes" means nothing']],
    ['-- alteration: constructor', ['1:1 "constructor" means nothing']],
    [
      '-- alteration:\nselect 1',
      [
        '1:1 Nothing follows "-- alteration:"; it can say "no-transaction" and "lock-timeout=" with a duration such as 10s.',
      ],
    ],
    ['select 1;\n-- alteration: no-transaction\n', ['2:1 A comment "-- alteration:" has no effect after']],
    ['select 1 -- alteration: no-transaction', ['1:10 A comment "-- alteration:" has no effect after']],
    ['select 1;\n-- alteration: lock-timeout=1s\n', ['2:1 A comment "-- alteration:" has no effect after']],
  ])('are refused in %j', async (text, problems) => {
    expect(await problemsOf(text)).toEqual(problems.map((problem) => expect.stringContaining(problem)));
  });
});

describe('syntax errors', () => {
  it('are shown in place, all of them, with what to do', async () => {
    const { message, hint, problems } = await errorOf(
      "select 'ü😀';\n\tselect 'é😀' a frm from t;\nselect 1;\ncreate tabel x ()\n",
    );

    expect(message).toBe('"1.0.0-1700000000-x.sql" cannot be run as it is.');
    expect(hint).toMatch(/PostgreSQL 18.*file of its own/);
    expect(problems).toEqual([
      {
        file: '1.0.0-1700000000-x.sql',
        line: 2,
        column: 16,
        message: `PostgreSQL's parser refuses this: syntax error at or near "frm".`,
        excerpt: "1 | select 'ü😀';\n2 | \tselect 'é😀' a frm from t;\n  | \t               ^\n3 | select 1;",
      },
      {
        file: '1.0.0-1700000000-x.sql',
        line: 4,
        column: 8,
        message: `PostgreSQL's parser refuses this: syntax error at or near "tabel".`,
        excerpt: "2 | \tselect 'é😀' a frm from t;\n3 | select 1;\n4 | create tabel x ()\n  |        ^",
      },
    ]);
  });

  it('have their column counted in characters, not in bytes', async () => {
    expect(await problemsOf("select 1;\n  select 'é😀', from from t")).toEqual([
      expect.stringMatching(/^2:16 .*"from"/),
    ]);
  });

  it.each<[string, string]>([
    [
      "select 1; select 'abc",
      '1:18 PostgreSQL\'s parser refuses this: unterminated quoted string at or near "\'abc".',
    ],
    ['select "abc', "1:8 PostgreSQL's parser refuses this: unterminated quoted identifier"],
    ['do $x$ begin', "1:4 PostgreSQL's parser refuses this: unterminated dollar-quoted string"],
    ['/* /* */', "1:1 PostgreSQL's parser refuses this: unterminated /* comment"],
    [
      'create table x (a int; select 1;',
      "1:22 PostgreSQL's parser refuses this: syntax error at end of input",
    ],
  ])('name what is left open in %j', async (text, problem) => {
    expect(await problemsOf(text)).toEqual([expect.stringContaining(problem)]);
  });

  it.each([
    "repack (concurrently) table 'a;b' (c; d)",
    'create or replace function f() returns int begin atomic selekt newer syntax; select 2; end',
    `select ${'a||'.repeat(20_000)}a`,
  ])('leave a single statement to the server, which may be newer: %j', async (statement) => {
    const { statements } = await parse(`-- title; 😀\n\n${statement} ; -- end\n`);

    expect(statements).toMatchObject([
      { text: statement, offset: 14, line: 3, kind: 'unparsed', refusesTransaction: false },
    ]);
  });
});

describe('what only psql understands', () => {
  it.each<[string, readonly string[]]>([
    ['\\i x.sql', ['1:1 "\\i x.sql" is a command of psql, which only psql understands; write the included']],
    ["select 1;\n\\echo it's\nselect 2;", ['2:1 "\\echo it\'s" is a command of psql']],
    ['\\set x 1\n\\connect y\n', ['1:1 "\\set x 1"', '2:1 "\\connect y"']],
    [
      "\\copy t from 'x.csv' csv",
      ['1:1 "\\copy t from \'x.csv\' csv" is a command of psql, which only psql understands; write the rows'],
    ],
    ['\\restrict abc\nselect 1;\n\\unrestrict abc\n', ['1:1 "\\restrict abc"', '3:1 "\\unrestrict abc"']],
    ['select 1 \\gexec\ncommit;', ['1:10 "\\gexec"', '2:1 "commit" cannot stand']],
    ['\\i x.sql\nselect from from', ['1:1 "\\i x.sql"']],
  ])('is refused: %j', async (text, problems) => {
    expect(await problemsOf(text)).toEqual(problems.map((problem) => expect.stringContaining(problem)));
  });

  it.each<[string, readonly string[]]>([
    ['copy t from stdin', ['1:1 "copy … from stdin" gets no rows']],
    [
      "copy t (a) from stdin with (format csv);\n1,it's\n\\.\nselect 1;\ncommit;",
      ['1:1 "copy … from stdin"', '5:1 "commit"'],
    ],
    ['select 1;\nCOPY public.t (a) FROM stdin;\n1\t"\n', ['2:1 "copy … from stdin" gets no rows']],
    ['copy t to stdout', ['1:1 "copy … to stdout" has nowhere']],
    ["copy t from '/tmp/x'; copy t to program 'cat'", []],
  ])('the rows of a copy: %j', async (text, problems) => {
    expect(await problemsOf(text)).toEqual(problems.map((problem) => expect.stringContaining(problem)));
  });
});

describe('transactions', () => {
  it.each([
    'begin',
    'start transaction',
    'commit',
    'end',
    'rollback',
    'abort',
    'commit and chain',
    'begin isolation level serializable',
  ])('"%s" cannot stand in a file of either mode', async (statement) => {
    const remedy = { transaction: '"savepoint"', outside: 'a do block' };

    expect(await problemsOf(`select 1;\n${statement};`)).toEqual([
      expect.stringMatching(`^2:1 "${statement}" .*${remedy.transaction}`),
    ]);
    expect(await problemsOf(`${noTransaction}${statement};`)).toEqual([
      expect.stringMatching(`^2:1 "${statement}" .*${remedy.outside}`),
    ]);
  });

  it.each(["prepare transaction 'x'", "commit prepared 'x'", "rollback prepared 'x'"])(
    'neither can "%s"',
    async (statement) => {
      expect(await problemsOf(statement)).toHaveLength(1);
      expect(await problemsOf(noTransaction + statement)).toHaveLength(1);
    },
  );

  it.each([
    'savepoint a',
    'release a',
    'rollback to a',
    'lock table t',
    'set local work_mem = 1',
    'set transaction read only',
    'set constraints all deferred',
    'declare c cursor for select 1',
  ])('"%s" needs one', async (statement) => {
    expect(await problemsOf(statement)).toEqual([]);
    expect(await problemsOf(noTransaction + statement)).toEqual([
      expect.stringMatching(/^2:1 .* a do block/),
    ]);
  });

  it('are not needed for a cursor with hold', async () => {
    expect(
      await problemsOf(`${noTransaction}declare c cursor with hold for select 1; set work_mem = 1`),
    ).toEqual([]);
  });

  it('cannot hide the lock being released', async () => {
    expect(await problemsOf('discard all')).toEqual([expect.stringContaining('release the lock')]);
    expect(await problemsOf(`${noTransaction}discard all`)).toEqual([
      expect.stringContaining('release the lock'),
    ]);
  });

  // Both tables were compared with what PostgreSQL 15 and 18 do after `begin`.
  it.each<[string, string]>([
    ['vacuum', 'vacuum'],
    ['vacuum (analyze) t', 'vacuum'],
    ['create database d', 'create database'],
    ['drop database if exists d', 'drop database'],
    ['alter database d set tablespace x', 'alter database … set tablespace'],
    ["create tablespace x location '/x'", 'create tablespace'],
    ['drop tablespace if exists x', 'drop tablespace'],
    ['alter system reset all', 'alter system'],
    ['create index concurrently i on t (a)', 'create index concurrently'],
    ['create unique index concurrently if not exists i on t (a)', 'create index concurrently'],
    ['drop index concurrently if exists i', 'drop index concurrently'],
    ['reindex table concurrently t', 'reindex concurrently'],
    ['reindex (concurrently) index i', 'reindex concurrently'],
    ['reindex (concurrently 0, concurrently on) table t', 'reindex concurrently'],
    ['reindex database d', 'reindex database'],
    ['reindex system d', 'reindex system'],
    ['reindex schema s', 'reindex schema'],
    ['alter table t detach partition p concurrently', 'alter table … detach partition … concurrently'],
    ['cluster', 'cluster'],
    ['cluster (verbose)', 'cluster'],
    ["create subscription s connection 'x' publication p", 'create subscription with a slot'],
    [
      "create subscription s connection 'x' publication p with (create_slot, enabled = false)",
      'create subscription with a slot',
    ],
    ['alter subscription s refresh publication', 'alter subscription … refresh publication'],
    ['alter subscription s set publication p', 'alter subscription … publication with refresh'],
    [
      'alter subscription s add publication p with (refresh = on)',
      'alter subscription … publication with refresh',
    ],
  ])('are refused by PostgreSQL for: %s', async (statement, name) => {
    expect(await problemsOf(`select 1;\n${statement}`)).toEqual([
      `2:1 PostgreSQL refuses "${name}" inside a transaction; put it into a file whose first comment is "-- alteration: no-transaction".`,
    ]);
    expect((await parse(noTransaction + statement)).statements).toMatchObject([{ refusesTransaction: true }]);
  });

  it.each([
    'analyze',
    'discard plans',
    'create index "concurrently" on t (a) -- concurrently',
    'drop index i',
    'reindex table t',
    'reindex (concurrently off) table t',
    'reindex (concurrently 0) table t',
    'reindex (concurrently, concurrently false) table t',
    'refresh materialized view concurrently v',
    'alter table t detach partition p',
    'alter table t detach partition p finalize',
    'alter table t set tablespace x',
    'cluster t using i',
    "create subscription s connection 'x' publication p with (connect = false)",
    "create subscription s connection 'x' publication p with (create_slot = off)",
    "create subscription s connection 'x' publication p with (create_slot = 'FALSE')",
    'alter subscription s disable',
    'alter subscription s set publication p with (refresh = 0)',
    'drop subscription s',
    "alter type mood add value 'happy'",
    'alter database d connection limit 5',
    "select 'begin; commit; vacuum' /* vacuum; */",
    'do $$ begin perform 1; end $$',
  ])('are no obstacle to: %s', async (statement) => {
    expect((await parse(statement)).statements).toMatchObject([{ refusesTransaction: false }]);
  });

  it('are all looked at before an error is thrown', async () => {
    expect(await problemsOf('-- alteration: x\nbegin;\nvacuum;\ncopy t from stdin;\ncommit;\n')).toEqual([
      expect.stringMatching(/^1:1 "x" /),
      expect.stringMatching(/^2:1 "begin" /),
      expect.stringMatching(/^3:1 .*"vacuum" /),
      expect.stringMatching(/^4:1 "copy … from stdin" /),
      expect.stringMatching(/^5:1 "commit" /),
    ]);
  });
});

describe('what is done concurrently', () => {
  const t = { name: 't' };
  const quoted = { schema: 'S.x', name: 'A"b' };

  it.each<[string, ConcurrentWork]>([
    ['create index concurrently I on T (a)', { kind: 'create-index', table: t, index: 'i' }],
    [
      'create unique index concurrently if not exists "I;" on only "S.x"."A""b" (a)',
      { kind: 'create-index', table: quoted, index: 'I;' },
    ],
    [
      `create index concurrently ${'i'.repeat(70)} on t (a)`,
      { kind: 'create-index', table: t, index: 'i'.repeat(63) },
    ],
    ['drop index concurrently i', { kind: 'drop-index', indexes: [{ name: 'i' }] }],
    [
      'drop index concurrently if exists i, "S.x"."A""b", d.s.j cascade',
      { kind: 'drop-index', indexes: [{ name: 'i' }, quoted, { schema: 's', name: 'j' }] },
    ],
    ['reindex index concurrently "S.x"."A""b"', { kind: 'reindex', scope: 'index', name: quoted }],
    ['reindex (verbose, concurrently) table t', { kind: 'reindex', scope: 'table', name: t }],
    ['reindex schema concurrently "S"', { kind: 'reindex', scope: 'schema', schema: 'S' }],
    ['reindex database concurrently d', { kind: 'reindex', scope: 'database' }],
    ['reindex (concurrently) database', { kind: 'reindex', scope: 'database' }],
    [
      'alter table if exists "S.x"."A""b" detach partition s.p concurrently',
      { kind: 'detach-partition', table: quoted, partition: { schema: 's', name: 'p' } },
    ],
  ])('is told: %s', async (statement, work) => {
    const { statements } = await parse(noTransaction + statement);

    expect(statements.map(({ concurrentWork }) => concurrentWork)).toEqual([work]);
    expect(await findConcurrentWork(`-- ü\n${statement};`)).toEqual(work);
  });

  it.each([
    'create index concurrently_i on t (a)',
    'create index "concurrently" on t (a) -- concurrently',
    "select 'create index concurrently i on t (a)'",
    'drop index i /* concurrently */',
    'reindex (concurrently off) table t',
    'refresh materialized view concurrently v',
    'alter table t detach partition p finalize /* not concurrently */',
    'do $$ begin drop index concurrently i; end $$',
  ])('is nothing in: %s', async (statement) => {
    const [only] = (await parse(statement)).statements;

    expect(only).not.toHaveProperty('concurrentWork');
    expect(await findConcurrentWork(statement)).toBeUndefined();
  });

  it.each([
    'create index concurrently i on',
    'create index concurrently i on t (a); create index concurrently j on t (a)',
    'create index concurrently i on t (a) \0',
    '-- concurrently',
  ])('is not told of what is no single statement: %j', async (text) => {
    expect(await findConcurrentWork(text)).toBeUndefined();
  });

  it('can be told of a query without a name for its index', async () => {
    expect(await findConcurrentWork('create index concurrently on t (a)')).toEqual({
      kind: 'create-index',
      table: t,
    });
  });

  it('needs a name for its index in a file, which may have to repeat it', async () => {
    expect(
      await problemsOf(`${noTransaction}create index on t (a);\ncreate index concurrently on t (a);`),
    ).toEqual([
      '3:1 "create index concurrently on t (a)" does not name the index: if it does not come to its end, PostgreSQL leaves an invalid index under a name that it chose itself, which a repetition could not find; give it a name.',
    ]);
  });
});

describe('the place of an error that PostgreSQL reports', () => {
  it('is counted in characters from the start of the statement', async () => {
    const script = await parse(
      '\uFEFF-- 😀 ü\r\nselect 1;\r\nselect \'ü😀\' as "é😀",\r\n\tnope.x /* 😀 */;\r\n',
    );
    const [, statement] = script.statements;

    // 23 is what PostgreSQL 15 and 18 give for the missing table.
    expect(statement && placeOf(script, statement, 23)).toEqual({
      line: 4,
      column: 2,
      excerpt: '2 | select 1;\n3 | select \'ü😀\' as "é😀",\n4 | \tnope.x /* 😀 */;\n  | \t^',
    });
  });
});

describe('a query with several statements', () => {
  it.each<[string, readonly string[]]>([
    ['select 1; select 2;', ['select 1', 'select 2']],
    ["-- ü\nselect '😀;' /* ; */;\n\nselect 2 -- end", ["select '😀;'", 'select 2']],
    [' select 1; ', [' select 1; ']],
    ['/* hint; */ select 1;', ['/* hint; */ select 1;']],
    ['select 1; selec 2', ['select 1; selec 2']],
    ['select 1; \0 select 2', ['select 1; \0 select 2']],
    ['-- a; b', ['-- a; b']],
    ['', ['']],
    ["select '\ud800'; select 2", ["select '\ud800'", 'select 2']],
  ])('is split, anything else given back: %j', async (sql, statements) => {
    expect(await splitStatements(sql)).toEqual(statements);
  });
});

describe('a summary', () => {
  it.each<[string, string]>([
    ['create index concurrently\n  "i" -- why\n  on users', 'create index concurrently "i" on users'],
    ['do $body$ begin perform 1; end $body$', 'do $$…$$'],
    ["create role r password 'it''s secret'", "create role r password '…'"],
    ["select e'\\'s'", "select '…'"],
    [`select ${'ü😀, '.repeat(30)}1`, `select ${'ü😀, '.repeat(13).trim()}…`],
    ['select a.b::text, c(d)', 'select a.b::text, c(d)'],
  ])('of %j is short and holds no values', (statement, summary) => {
    expect(summariseSql(statement)).toBe(summary);
  });
});
