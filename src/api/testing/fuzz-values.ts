import { document } from "./contract-check.ts";

/** Numbers that are the same for the same seed (mulberry32). */
export interface Random {
  /** 0 to less than 1. */
  next(): number;
  /** 0 to less than `bound`. */
  below(bound: number): number;
  chance(probability: number): boolean;
  pick<T>(values: readonly T[]): T;
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: <T>(values: readonly T[]): T => {
      const value = values[below(values.length)];
      if (value === undefined) throw new RangeError("nothing to pick from");
      return value;
    },
  };
}

const texts = [
  "",
  " ",
  "\0",
  "'; DROP TABLE users; --",
  '" OR 1=1',
  "<script>alert(1)</script>",
  "../../../../etc/passwd",
  "%2e%2e%2f",
  "${jndi:ldap://x}",
  "{{7*7}}",
  "\u202etxt.exe",
  "\ud800",
  "\u{1f600}".repeat(50),
  "İ",
  "a".repeat(5000),
  "null",
  "-0",
  "1e999",
  "__proto__",
  "constructor",
  "\r\nSet-Cookie: a=b",
  "root@example.com",
  "1d",
  "production:admin",
];

export const hostileText = (random: Random): string =>
  random.chance(0.8)
    ? random.pick(texts)
    : String.fromCharCode(...Array.from({ length: random.below(30) }, () => random.below(0x10000)));

function anything(random: Random, depth = 0): unknown {
  const kind = random.below(depth > 3 ? 6 : 8);
  if (kind === 0) return null;
  if (kind === 1) return random.chance(0.5);
  if (kind === 2) return random.pick([0, -1, 1.5, 2 ** 53, -(2 ** 63), 1e308, 5e-324]);
  if (kind < 6) return hostileText(random);
  const items = Array.from({ length: random.below(4) }, () => anything(random, depth + 1));
  return kind === 6 ? items : Object.fromEntries(items.map((item) => [hostileText(random), item]));
}

interface Schema {
  readonly $ref?: string;
  readonly anyOf?: readonly Schema[];
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
}

/**
 * A value of a schema of the document.
 * @param wrongness how probable it is of each part that it is something else
 */
export function valueOf(random: Random, given: unknown, wrongness: number): unknown {
  const schema = given as Schema;
  if (random.chance(wrongness)) return anything(random);
  if (schema.$ref !== undefined) return valueOf(random, referenced(schema.$ref), wrongness);
  if (schema.anyOf !== undefined) return valueOf(random, random.pick(schema.anyOf), wrongness);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return random.pick(schema.enum);
  switch (schema.type ?? "") {
    case "object":
      return objectOf(random, schema, wrongness);
    case "array":
      return Array.from({ length: 1 + random.below(3) }, () => valueOf(random, schema.items ?? {}, wrongness));
    case "integer":
    case "number":
      return random.pick([schema.minimum ?? 0, schema.maximum ?? 10, 1, random.below(100)]);
    case "boolean":
      return random.chance(0.5);
    case "null":
      return null;
    case "string":
      return random.pick(["1d", "main", "staging", "fuzz@example.com", "correct horse battery", hostileText(random)]);
    default:
      return anything(random);
  }
}

function objectOf(random: Random, { properties = {}, required = [] }: Schema, wrongness: number): unknown {
  const entries = Object.entries(properties)
    .filter(([key]) => required.includes(key) || random.chance(0.5))
    .map(([key, property]) => [key, valueOf(random, property, wrongness)] as const);
  return Object.fromEntries(random.chance(wrongness) ? [...entries, [hostileText(random), anything(random)]] : entries);
}

function referenced(pointer: string): unknown {
  const found = document.components.schemas[pointer.replace("#/components/schemas/", "")];
  if (found === undefined) throw new RangeError(`the document has no ${pointer}`);
  return found;
}
