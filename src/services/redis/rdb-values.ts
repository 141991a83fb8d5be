import { rdbDamaged, type RdbCursor } from "./rdb-cursor.ts";

/**
 * The bytes of a value of this type at the cursor, which moves behind it. Members of sets and fields of hashes, which
 * the server yields in the order of its hash table, are put in the order of their bytes.
 */
export function takeValue(cursor: RdbCursor, type: number, isValkey: boolean): Buffer {
  const start = cursor.at;
  switch (type) {
    case 2:
      return sortedMembers(cursor, start, 0, skipOne);
    case 4:
      return sortedMembers(cursor, start, 0, skipPair);
    case 22:
      return isValkey ? sortedMembers(cursor, start, 0, skipPairAndTime) : sortedMembers(cursor, start, 0, skipTtlPair);
    case 24:
      return sortedMembers(cursor, start, 8, skipTtlPair);
    default:
      skipValue(cursor, type);
      return cursor.bytes.subarray(start, cursor.at);
  }
}

const skipOne = (cursor: RdbCursor): void => cursor.skipString();
const skipPair = (cursor: RdbCursor): void => {
  cursor.skipString();
  cursor.skipString();
};
const skipPairAndTime = (cursor: RdbCursor): void => {
  skipPair(cursor);
  cursor.skip(8);
};
const skipTtlPair = (cursor: RdbCursor): void => {
  cursor.length();
  skipPair(cursor);
};

function sortedMembers(cursor: RdbCursor, start: number, headBytes: number, skip: (cursor: RdbCursor) => void): Buffer {
  cursor.skip(headBytes);
  const count = cursor.length();
  const head = cursor.bytes.subarray(start, cursor.at);
  const members: Buffer[] = [];
  for (let index = 0; index < count; index += 1) {
    const from = cursor.at;
    skip(cursor);
    members.push(cursor.bytes.subarray(from, cursor.at));
  }
  members.sort((a, b) => a.compare(b));
  return Buffer.concat([head, ...members]);
}

function skipValue(cursor: RdbCursor, type: number): void {
  switch (type) {
    case 1:
    case 14:
      return repeat(cursor, skipOne);
    case 3:
      return repeat(cursor, (at) => {
        at.skipString();
        const length = at.byte();
        if (length < 253) at.skip(length);
      });
    case 5:
      return repeat(cursor, (at) => {
        at.skipString();
        at.skip(8);
      });
    case 7:
      cursor.length();
      return skipModuleData(cursor);
    case 0:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
    case 16:
    case 17:
    case 20:
    case 23:
      return cursor.skipString();
    case 18:
      return repeat(cursor, (at) => {
        at.length();
        at.skipString();
      });
    case 15:
    case 19:
    case 21:
      return skipStream(cursor, type);
    case 25:
      cursor.skip(8);
      return cursor.skipString();
    default:
      throw rdbDamaged(`value type ${type} is unknown`);
  }
}

function repeat(cursor: RdbCursor, skip: (cursor: RdbCursor) => void): void {
  for (let left = cursor.length(); left > 0; left -= 1) skip(cursor);
}

function skipLengths(cursor: RdbCursor, count: number): void {
  for (let left = count; left > 0; left -= 1) cursor.length();
}

function skipStream(cursor: RdbCursor, type: number): void {
  repeat(cursor, skipPair);
  // Entry count and last id; from type 19 on also first id, greatest deleted id and entries added.
  skipLengths(cursor, type >= 19 ? 8 : 3);
  repeat(cursor, (group) => {
    group.skipString();
    skipLengths(group, type >= 19 ? 3 : 2);
    repeat(group, (pending) => {
      pending.skip(24);
      pending.length();
    });
    repeat(group, (consumer) => {
      consumer.skipString();
      consumer.skip(type >= 21 ? 16 : 8);
      repeat(consumer, (pending) => pending.skip(16));
    });
  });
}

/** What a module wrote: numbers and strings, each behind an opcode, up to opcode 0. */
export function skipModuleData(cursor: RdbCursor): void {
  for (;;) {
    const opcode = cursor.length();
    if (opcode === 0) return;
    if (opcode === 1 || opcode === 2) cursor.length();
    else if (opcode === 3) cursor.skip(4);
    else if (opcode === 4) cursor.skip(8);
    else if (opcode === 5) cursor.skipString();
    else throw rdbDamaged(`module opcode ${opcode} is unknown`);
  }
}
