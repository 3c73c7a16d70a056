// The alterations of a random history, as files: what each does, how it is taken back, and where it may fail.

import type { Random } from './random.ts';

type Files = Readonly<Record<string, string>>;

/** How an alteration fails until something is done about it. */
export interface Fault {
  /** `row`: until its row is deleted · `attempts`: a number of times · `duplicates`: until its data is mended. */
  readonly kind: 'row' | 'attempts' | 'duplicates';
  /** Of `attempts`: how often. */
  readonly times: number;
  /** What a deploy ends with that meets it. */
  readonly exitCode: 4 | 5;
}

/** One alteration of a random history. */
export interface ChaosAlteration {
  /** Its timestamp. */
  readonly id: string;
  readonly files: Files;
  /** `atomic`: all or nothing · `journalled`: statement by statement · `two-phase`: all or nothing after what is re-runnable. */
  readonly mode: 'atomic' | 'journalled' | 'two-phase';
  /** The steps that it writes down in `chaos.effects`, in order, by direction. */
  readonly steps: Readonly<Record<'up' | 'down', readonly string[]>>;
  readonly fault?: Fault;
}

interface Naming {
  readonly id: string;
  readonly version: string;
  readonly random: Random;
}

/** Statements each way. */
type Change = Readonly<Record<'up' | 'down', readonly string[]>>;

/** What a text is put together from: statements, and the steps among them. */
interface Part {
  readonly text: string;
  readonly step?: string;
}

const kinds = {
  'plain-sql': plainSql,
  'plain-module': plainModule,
  'stepwise-sql': stepwiseSql,
  'two-phase-module': twoPhaseModule,
} as const;

export function createAlteration(naming: Naming): ChaosAlteration {
  const kind = naming.random.weigh({
    'plain-sql': 3,
    'plain-module': 3,
    'stepwise-sql': 4,
    'two-phase-module': 3,
  });
  return kinds[kind](naming);
}

function plainSql({ id, version, random }: Naming): ChaosAlteration {
  const fault = createFault(random, ['row', 'attempts', 'duplicates'], 4);
  const changes = [createChange(id, random), ...(fault?.kind === 'duplicates' ? [uniqueIndex(id, '')] : [])];
  const up = [
    effect(id, 'up', '1'),
    ...changes.flatMap((change) => [nap(random), ...partsOf(change.up)]),
    ...stumble(id, fault),
    nap(random),
    effect(id, 'up', '2'),
  ];
  const down = [
    effect(id, 'down', '1'),
    ...changes.toReversed().flatMap((change) => [...partsOf(change.down), nap(random)]),
    effect(id, 'down', '2'),
  ];
  const name = `${version}-${id}-plain-sql`;
  return {
    ...described(id, 'atomic', up, down, fault),
    files: { [`${name}.up.sql`]: sqlText(up), [`${name}.down.sql`]: sqlText(down) },
  };
}

function stepwiseSql({ id, version, random }: Naming): ChaosAlteration {
  const fault = createFault(random, ['row', 'attempts', 'duplicates'], 5);
  const changes = [
    ...Array.from({ length: random.between(2, 4) }, (_, index) => createOutsideChange(id, index + 1, random)),
    ...(fault?.kind === 'duplicates' ? [uniqueIndex(id, 'concurrently')] : []),
  ];
  const up = [
    ...changes.flatMap((change, index) => [
      effect(id, 'up', String(index + 1)),
      ...(random.chance(0.5) ? [nap(random)] : []),
      ...partsOf(change.up),
    ]),
    ...stumble(id, fault),
    effect(id, 'up', 'last'),
  ];
  const down = [
    ...changes
      .toReversed()
      .flatMap((change, index) => [effect(id, 'down', String(index + 1)), ...partsOf(change.down)]),
    effect(id, 'down', 'last'),
  ];
  const name = `${version}-${id}-stepwise-sql`;
  const head = '-- alteration: no-transaction\n';
  return {
    ...described(id, 'journalled', up, down, fault),
    files: { [`${name}.up.sql`]: head + sqlText(up), [`${name}.down.sql`]: head + sqlText(down) },
  };
}

function plainModule({ id, version, random }: Naming): ChaosAlteration {
  const fault = createFault(random, ['row', 'attempts'], 4);
  const change = createChange(id, random);
  const up = [
    effect(id, 'up', '1'),
    nap(random),
    ...partsOf(change.up),
    ...stumble(id, fault),
    effect(id, 'up', '2'),
  ];
  const down = [effect(id, 'down', '1'), ...partsOf(change.down), nap(random), effect(id, 'down', '2')];
  const nested = effect(id, 'up', 'nested');
  const text = moduleText({
    up: `${queries(up)}
    await new Promise((resolve) => setTimeout(resolve, ${random.between(0, 40)}));
    await connection.transaction(async (connection) => {
${queries([nested, nap(random)])}
    });`,
    down: queries(down),
  });
  return {
    ...described(id, 'atomic', [...up, nested], down, fault),
    files: { [`${version}-${id}-plain-module.ts`]: text },
  };
}

function twoPhaseModule({ id, version, random }: Naming): ChaosAlteration {
  const stumbles = random.pick<'before' | 'inside'>(['before', 'inside']);
  const fault =
    stumbles === 'before'
      ? createFault(random, ['row', 'attempts', 'duplicates'], 5)
      : createFault(random, ['row', 'attempts'], 4);
  const index = {
    up: [`create index concurrently if not exists index_${id} on entries (chaos.slow(n))`],
    down: [`drop index concurrently if exists index_${id}`],
  };
  const unique = uniqueIndex(id, 'concurrently if not exists');
  const changes = [index, ...(fault?.kind === 'duplicates' ? [unique] : [])];
  const stumbling = stumble(id, fault);
  const beforeUp = [
    onceEffect(id, 'up'),
    ...changes.flatMap((change) => partsOf(change.up)),
    ...(stumbles === 'before' ? stumbling : []),
  ];
  const up = [
    nap(random),
    effect(id, 'up', '1'),
    ...(stumbles === 'inside' ? stumbling : []),
    effect(id, 'up', '2'),
  ];
  const beforeDown = [onceEffect(id, 'down'), ...changes.flatMap((change) => partsOf(change.down))];
  const clear = { text: `delete from backfilled where alteration = '${id}'` };
  const down = [clear, nap(random), effect(id, 'down', '1')];
  const text = moduleText({
    beforeUp: `${queries(beforeUp)}\n${backfill(id, random)}`,
    up: queries(up),
    beforeDown: queries(beforeDown),
    down: queries(down),
  });
  return {
    ...described(id, 'two-phase', [...beforeUp, ...up], [...beforeDown, ...down], fault),
    files: { [`${version}-${id}-two-phase-module.ts`]: text },
  };
}

function backfill(id: string, random: Random): string {
  return `    for (let batch = 0; batch < ${random.between(2, 4)}; batch += 1) {
      await connection.query(sql.unsafe\`
        insert into backfilled select '${id}', n
        from generate_series(\${batch * 10 + 1}::int, \${batch * 10 + 10}::int) as n
        on conflict do nothing\`);
      await connection.query(sql.unsafe\`${nap(random).text}\`);
    }`;
}

/** The step of a phase that is run again after a failure. */
export const rerunnableStep = 'before';

function described(
  id: string,
  mode: ChaosAlteration['mode'],
  up: readonly Part[],
  down: readonly Part[],
  fault: Fault | undefined,
): Omit<ChaosAlteration, 'files'> {
  const stepsOf = (parts: readonly Part[]) => parts.flatMap(({ step }) => (step === undefined ? [] : [step]));
  return { id, mode, steps: { up: stepsOf(up), down: stepsOf(down) }, ...(fault ? { fault } : {}) };
}

function createFault(
  random: Random,
  possible: readonly Fault['kind'][],
  exitCode: Fault['exitCode'],
): Fault | undefined {
  const [is, kind, times] = [random.chance(0.08), random.pick(possible), random.between(1, 2)];
  return is ? { kind, times, exitCode } : undefined;
}

function stumble(id: string, fault: Fault | undefined): readonly Part[] {
  return fault && fault.kind !== 'duplicates' ? [{ text: `select chaos.stumble('${id}')` }] : [];
}

function effect(id: string, direction: 'up' | 'down', step: string): Part {
  return { text: `insert into chaos.effects values ('${id}', '${direction}', '${step}')`, step };
}

function onceEffect(id: string, direction: 'up' | 'down'): Part {
  const values = `'${id}', '${direction}', '${rerunnableStep}'`;
  const text = `insert into chaos.effects select ${values}
    where not exists (select from chaos.effects as e where (e.alteration, e.direction, e.step) = (${values}))`;
  return { text, step: rerunnableStep };
}

function nap(random: Random): Part {
  const ms = random.chance(0.1) ? random.between(150, 400) : random.between(2, 50);
  return { text: `select chaos.nap(${(ms / 1_000).toFixed(3)})` };
}

/** Something that a transaction can hold. */
function createChange(id: string, random: Random): Change {
  const amount = random.between(1, 9);
  return random.pick<Change>([
    {
      up: [`create table table_${id} as select n, n * ${amount} as word from generate_series(1, 20) as n`],
      down: [`drop table table_${id}`],
    },
    {
      up: [`alter table counters add column column_${id} int not null default ${amount}`],
      down: [`alter table counters drop column column_${id}`],
    },
    {
      up: [`create function function_${id}() returns int language sql as 'select ${amount}'`],
      down: [`drop function function_${id}()`],
    },
    { up: [`create view view_${id} as select n, total from counters`], down: [`drop view view_${id}`] },
    { up: [`create index index_${id} on entries (n, (n + ${amount}))`], down: [`drop index index_${id}`] },
    increment(amount),
  ]);
}

/** Something that PostgreSQL refuses in a transaction, or that shows when it is done twice. */
function createOutsideChange(id: string, number: number, random: Random): Change {
  const index = `index_${id}_${number}`;
  const part = `part_${id}_${number}`;
  const drop = [`drop index concurrently if exists ${index}`];
  const kind = random.weigh({
    build: 3,
    careful: 3,
    rebuild: 1,
    vacuum: 1,
    block: 2,
    increment: 2,
    detach: 1,
  });
  const changes = {
    build: { up: [`create index concurrently ${index} on entries (chaos.slow(n))`], down: drop },
    careful: {
      up: [`create index concurrently if not exists ${index} on entries (chaos.slow(n))`],
      down: drop,
    },
    rebuild: {
      up: ['reindex index concurrently entries_slow'],
      down: ['reindex table concurrently entries'],
    },
    vacuum: { up: ['vacuum counters'], down: ['analyze counters'] },
    block: {
      up: [
        batchedBlock(`insert into backfilled values ('${id}', ${number}00 + batch) on conflict do nothing`),
      ],
      down: [batchedBlock(`delete from backfilled where alteration = '${id}' and n = ${number}00 + batch`)],
    },
    increment: increment(random.between(1, 9)),
    detach: {
      up: [
        `create table ${part} partition of parted for values in (${id}${number})`,
        `alter table parted detach partition ${part} concurrently`,
      ],
      down: [`drop table ${part}`],
    },
  } as const;
  return changes[kind];
}

/** A block that commits by itself, and so cannot share a transaction with the journal: it must be re-runnable. */
function batchedBlock(statement: string): string {
  return `do $$
begin
  for batch in 1..3 loop
    ${statement};
    commit;
    perform chaos.nap(0.015);
  end loop;
end
$$`;
}

function increment(amount: number): Change {
  return {
    up: [`update counters set total = total + ${amount}`],
    down: [`update counters set total = total - ${amount}`],
  };
}

function uniqueIndex(id: string, way: '' | 'concurrently' | 'concurrently if not exists'): Change {
  return {
    up: [`create unique index ${way} unique_${id} on readings (value) where fault = '${id}'`],
    down: [`drop index ${way && 'concurrently'} if exists unique_${id}`],
  };
}

function partsOf(texts: readonly string[]): readonly Part[] {
  return texts.map((text) => ({ text }));
}

function sqlText(parts: readonly Part[]): string {
  return parts.map(({ text }) => `${text};\n`).join('');
}

function queries(parts: readonly Part[]): string {
  return parts.map(({ text }) => `    await connection.query(sql.unsafe\`${text}\`);`).join('\n');
}

function moduleText(phases: Readonly<Record<string, string>>): string {
  const members = Object.entries(phases).map(
    ([name, body]) => `  ${name}: async (connection: CommonQueryMethods) => {\n${body}\n  },\n`,
  );
  return `import { type CommonQueryMethods, sql } from 'slonik';\n\nexport default {\n${members.join('')}};\n`;
}
