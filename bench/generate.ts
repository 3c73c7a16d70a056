// The history that all of them get: what a product does to its tables in the course of its releases, ten alterations a
// feature, over and over. The same number always gives the same text.

import type { Alteration } from './alteration.ts';

type Feature = Omit<Alteration, 'number'>;

/** The first `count` alterations of the history. */
export function generateAlterations(count: number): readonly Alteration[] {
  const features = Math.ceil(count / alterationsOfFeature(1).length);
  return Array.from({ length: features }, (_, index) => alterationsOfFeature(index + 1))
    .flat()
    .slice(0, count)
    .map((alteration, index) => ({ number: index + 1, ...alteration }));
}

function alterationsOfFeature(feature: number): readonly Feature[] {
  const accounts = `accounts_${feature}`;
  const orders = `orders_${feature}`;
  return [
    createAccounts(accounts),
    createOrders(orders, accounts),
    addColumns(accounts),
    createIndexes(accounts),
    seedRows(accounts, feature),
    createTrigger(accounts),
    describeColumns(accounts),
    checkAmounts(orders),
    fillColumn(accounts),
    createView(`open_${orders}`, orders, accounts),
  ];
}

function createAccounts(accounts: string): Feature {
  return {
    name: 'create-accounts',
    comment: 'Who may sign in; one row for each person and tenant.',
    statements: [
      `create table ${accounts} (
  id bigint generated always as identity primary key,
  tenant_id text not null,
  email varchar(256) not null unique,
  settings jsonb not null default '{}', -- what the person chose; see the console
  created_at timestamptz not null default now(),
  check (length(email) > 2)
)`,
      `comment on table ${accounts} is 'People; who they are is another table''s business.'`,
    ],
  };
}

function createOrders(orders: string, accounts: string): Feature {
  return {
    name: 'create-orders',
    comment: 'Orders belong to an account and go with it.',
    statements: [
      `create table ${orders} (
  tenant_id text not null,
  number integer not null,
  account_id bigint not null references ${accounts} (id) on delete cascade,
  amount numeric(12, 2) not null default 0,
  paid_at timestamptz,
  primary key (tenant_id, number)
)`,
      `create index ${orders}_account_id on ${orders} (account_id)`,
    ],
  };
}

function addColumns(accounts: string): Feature {
  return {
    name: 'add-phone-and-suspension',
    comment: 'Sign-in by phone; suspended people stay, and cannot sign in.',
    statements: [
      `alter table ${accounts}
  add column phone text,
  add column is_suspended boolean not null default false`,
    ],
  };
}

function createIndexes(accounts: string): Feature {
  return {
    name: 'index-accounts',
    comment: "For the search of the console; and a phone is one person's.",
    statements: [
      `create index ${accounts}_lower_email on ${accounts} (lower(email))`,
      `create unique index ${accounts}_phone on ${accounts} (tenant_id, phone) where phone is not null`,
    ],
  };
}

function seedRows(accounts: string, feature: number): Feature {
  const rows = ['admin', 'support', 'billing', 'reports', 'robot'].map(
    (role, index) =>
      `  ('tenant-${feature % 7}', '${role}@example.com', '{"role": "${role}; of all", "level": ${index}}', null)`,
  );
  return {
    name: 'seed-accounts',
    comment: 'Every installation starts with these.',
    statements: [`insert into ${accounts} (tenant_id, email, settings, phone) values\n${rows.join(',\n')}`],
  };
}

function createTrigger(accounts: string): Feature {
  return {
    name: 'normalise-email',
    comment: 'Whatever writes it: an email is lower case.',
    statements: [
      `create function normalise_${accounts}() returns trigger language plpgsql as $$
begin
  -- not for those who sign in by phone; their email is none
  if new.email is not null then
    new.email := lower(trim(new.email));
  end if;
  return new;
end;
$$`,
      `create trigger normalise before insert or update of email on ${accounts}
  for each row execute function normalise_${accounts}()`,
    ],
  };
}

function describeColumns(accounts: string): Feature {
  return {
    name: 'describe-accounts',
    comment: 'For those who look at the database with a tool.',
    statements: [
      `comment on column ${accounts}.email is 'lower case; unique; never shown to others'`,
      `comment on column ${accounts}.settings is 'see "settings" in the manual'`,
    ],
  };
}

function checkAmounts(orders: string): Feature {
  return {
    name: 'check-amounts',
    comment: 'Looked at in a second step, which lets others write in between.',
    statements: [
      `alter table ${orders} add constraint ${orders}_amount check (amount >= 0) not valid`,
      `alter table ${orders} validate constraint ${orders}_amount`,
    ],
  };
}

function fillColumn(accounts: string): Feature {
  return {
    name: 'require-display-name',
    comment: 'Everybody has a name from here on.',
    statements: [
      `alter table ${accounts} add column display_name text`,
      `update ${accounts} set display_name = split_part(email, '@', 1) where display_name is null`,
      `alter table ${accounts} alter column display_name set not null`,
    ],
  };
}

function createView(view: string, orders: string, accounts: string): Feature {
  return {
    name: 'create-open-orders',
    comment: 'What the reminder reads each night.',
    statements: [
      `create view ${view} as
select o.tenant_id, o.number, o.amount, a.email
from ${orders} o join ${accounts} a on a.id = o.account_id
where o.paid_at is null and not a.is_suspended`,
    ],
  };
}
