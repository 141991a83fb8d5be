import { describe, expect, it } from "vitest";
import { decodeSnapshot, encodeSnapshot } from "./snapshot-format.ts";

const id = "cc".repeat(32);
const tree = "aa".repeat(32);

describe("a snapshot file", () => {
  it("has restic's members in restic's order", () => {
    const time = new Date("2026-11-21T06:00:00.123Z");
    const json = encodeSnapshot({
      time,
      parent: "bb".repeat(32),
      tree,
      paths: ["/a&b"],
      hostname: "shop",
      username: "root",
      uid: 0,
      gid: 5,
      tags: ["holdfast", "x"],
      programVersion: "holdfast 0.1.0",
    });
    expect(json).toBe(
      `{"time":"2026-11-21T06:00:00.123Z","parent":"${"bb".repeat(32)}","tree":"${tree}","paths":["/a\\u0026b"],"hostname":"shop","username":"root","gid":5,"tags":["holdfast","x"],"program_version":"holdfast 0.1.0"}`,
    );
    expect(decodeSnapshot(Buffer.from(json), id)).toEqual({
      id,
      time,
      parent: "bb".repeat(32),
      tree,
      paths: ["/a&b"],
      hostname: "shop",
      tags: ["holdfast", "x"],
      programVersion: "holdfast 0.1.0",
    });
  });

  it("may lack what is optional, and have what this version does not know", () => {
    const json = `{"time":"2026-11-21T08:00:00.123456789+02:00","tree":"${tree}","paths":null,"summary":{"files_new":1}}`;
    expect(decodeSnapshot(Buffer.from(json), id)).toEqual({
      id,
      time: new Date("2026-11-21T06:00:00.123Z"),
      tree,
      paths: [],
      hostname: "",
      tags: [],
    });
  });

  it.each(["", "[]", "{}", '{"time":"x"}', `{"time":"2026-11-21T06:00:00Z","tree":"short"}`])(
    "is refused by name: %s",
    (json) => {
      expect(() => decodeSnapshot(Buffer.from(json), id)).toThrow(
        expect.objectContaining({ code: "REPOSITORY_DAMAGED", message: expect.stringContaining(id) }),
      );
    },
  );
});
