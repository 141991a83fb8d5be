import * as fc from "fast-check";

/** A change of bytes: some of them replaced, cut out, doubled or cut off. */
export function mutatedBytes(valid: Buffer): fc.Arbitrary<Buffer> {
  const at = fc.nat(Math.max(0, valid.length - 1));
  const change = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), at, bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) }),
    fc.record({ kind: fc.constant("insert" as const), at, bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) }),
    fc.record({ kind: fc.constant("remove" as const), at, length: fc.integer({ min: 1, max: 16 }) }),
    fc.record({ kind: fc.constant("repeat" as const), at, length: fc.integer({ min: 1, max: 64 }) }),
    fc.record({ kind: fc.constant("cut" as const), at }),
  );
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    let bytes = Buffer.from(valid);
    for (const one of changes) {
      const [head, tail] = [bytes.subarray(0, one.at), bytes.subarray(one.at)];
      if (one.kind === "set") bytes = Buffer.concat([head, one.bytes, tail.subarray(one.bytes.length)]);
      else if (one.kind === "insert") bytes = Buffer.concat([head, one.bytes, tail]);
      else if (one.kind === "remove") bytes = Buffer.concat([head, tail.subarray(one.length)]);
      else if (one.kind === "repeat") bytes = Buffer.concat([head, tail.subarray(0, one.length), tail]);
      else bytes = Buffer.from(head);
    }
    return bytes;
  });
}

const hostileText = [
  "",
  ".",
  "..",
  "a/b",
  "../../etc/passwd",
  "a\0b",
  "\\x00",
  "\\u002e\\u002e",
  "\\057",
  '"',
  "\\",
  "\ud800",
  "ff".repeat(32),
  "9".repeat(40),
  "0000-00-00T00:00:00Z",
  "-271821-04-20T00:00:00Z",
  "A".repeat(5000),
];
const hostileNumbers = [-1, 0, 0.5, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 1e308];

const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, {}, [], [[]], { toString: 1 }),
  fc.constantFrom(...hostileText),
  fc.constantFrom(...hostileNumbers),
  fc.jsonValue({ maxDepth: 2 }),
);

/** The JSON document with some of its values replaced, removed, doubled or given other names. */
export function mutatedJson(valid: string): fc.Arbitrary<Buffer> {
  const change = fc.record({
    where: fc.nat(),
    kind: fc.constantFrom("replace", "remove", "double", "rename", "swap"),
    value: hostileValue,
    name: fc.constantFrom("__proto__", "constructor", "name", "type", "nodes", ...hostileText.slice(0, 4)),
  });
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    const document: unknown = JSON.parse(valid);
    // The values are used again for other documents, and would be changed along.
    const valueOf = ({ value }: { readonly value: unknown }): unknown => structuredClone(value);
    for (const one of changes) {
      const places = placesIn(document);
      const place = places[one.where % Math.max(1, places.length)];
      if (place === undefined) continue;
      const { holder, key } = place;
      if (Array.isArray(holder)) {
        const at = Number(key);
        if (one.kind === "remove") holder.splice(at, 1);
        else if (one.kind === "double") holder.splice(at, 0, holder[at]);
        else if (one.kind === "swap") holder.reverse();
        else holder[at] = valueOf(one);
      } else {
        if (one.kind === "remove" || one.kind === "rename") Reflect.deleteProperty(holder, key);
        if (one.kind === "rename") Reflect.set(holder, one.name, valueOf(one));
        if (one.kind === "replace" || one.kind === "swap") Reflect.set(holder, key, valueOf(one));
      }
    }
    return Buffer.from(JSON.stringify(document));
  });
}

/** Every member and element below the value. */
function placesIn(value: unknown): { readonly holder: object; readonly key: string }[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [{ holder: value, key }, ...placesIn(inner)]);
}
