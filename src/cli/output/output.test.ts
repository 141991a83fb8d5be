import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../base/index.ts";
import { errorEvent, renderError, toHoldfastError } from "./error-report.ts";
import { formatAge, formatCount, formatTimestamp } from "./moment.ts";
import { printable, printableBytes } from "./printable.ts";
import { StreamLogger } from "./stream-logger.ts";
import { chooseColumns, type Column, displayWidth, renderTable } from "./table.ts";

interface Row {
  readonly name: string;
  readonly size: number;
}

const columns: readonly Column<Row>[] = [
  { name: "name", header: "Name", cell: ({ name }) => name },
  { name: "size", header: "Size", align: "right", cell: ({ size }) => String(size) },
  { name: "size_twice", header: "Twice", cell: ({ size }) => String(size * 2) },
];
const rows: readonly Row[] = [
  { name: "a", size: 5 },
  { name: 'long "one", x', size: 1200 },
];
const two = columns.slice(0, 2);

describe("tables", () => {
  test("are drawn with a frame, numbers to the right", () => {
    expect(renderTable(two, rows, { format: "table", header: true })).toBe(
      `+---------------+------+
| Name          | Size |
+---------------+------+
| a             |    5 |
| long "one", x | 1200 |
+---------------+------+
`,
    );
  });

  test("come as csv and tsv with quotes only where needed", () => {
    expect(renderTable(two, rows, { format: "csv", header: true })).toBe('Name,Size\na,5\n"long ""one"", x",1200\n');
    expect(renderTable(two, rows, { format: "tsv", header: false })).toBe('a\t5\n"long ""one"", x"\t1200\n');
  });

  test("come plain, in columns without a frame", () => {
    expect(renderTable(two, rows, { format: "plain", header: true })).toBe(
      'Name           Size\na                 5\nlong "one", x  1200\n',
    );
  });

  test("keep their columns with wide letters, and let no cell steer the terminal", () => {
    const odd: readonly Row[] = [
      { name: "写真", size: 1 },
      { name: "a\u001b[31m", size: 2 },
    ];
    const text = renderTable(two, odd, { format: "plain", header: false });
    expect(text).toBe("写真       1\na\\x1b[31m  2\n");
    expect(text).not.toContain("\u001b");
    expect(displayWidth("写真e\u0301")).toBe(5);
  });

  test("hold as many rows as a large directory has", () => {
    const many = Array.from({ length: 300_000 }, (_, size): Row => ({ name: "", size }));
    const text = renderTable(two, many, { format: "plain", header: false });
    expect(text.trimEnd().split("\n").at(-1)).toBe("  299999");
  });

  test("choose columns by name, with + and wildcards", () => {
    const names = (wanted: string | undefined): string[] =>
      chooseColumns(columns, ["name"], wanted).map(({ name }) => name);
    expect(names(undefined)).toEqual(["name"]);
    expect(names("size,name")).toEqual(["size", "name"]);
    expect(names("+size")).toEqual(["name", "size"]);
    expect(names("size*")).toEqual(["size", "size_twice"]);
    expect(names("%")).toEqual(["name", "size", "size_twice"]);
    expect(names("Twice")).toEqual(["size_twice"]);
    expect(() => names("colour")).toThrow('There is no column "colour".');
  });
});

describe("text for people", () => {
  test("shows control characters and bytes that are no text", () => {
    expect(printable("a\u0007b\u202ec")).toBe("a\\x07b\\u202ec");
    expect(printableBytes(Buffer.from("größe"))).toBe("größe");
    expect(printableBytes(Buffer.from([0x61, 0xff, 0x62]))).toBe("a\\xffb");
  });

  test("gives times with their zone", () => {
    const date = new Date("2026-11-21T04:12:30.500Z");
    const text = formatTimestamp(date);
    expect(text).toMatch(/^2026-11-2\dT\d\d:\d\d:30[+-]\d\d:\d\d$/);
    expect(new Date(text).getTime()).toBe(Math.floor(date.getTime() / 1000) * 1000);
  });

  test("counts and dates in words", () => {
    expect(formatCount(1, "mount")).toBe("1 mount");
    expect(formatCount(48213, "file")).toBe("48,213 files");
    const now = new Date("2026-11-21T07:12:00Z");
    expect(formatAge(new Date("2026-11-21T04:12:00Z"), now)).toBe("3 hours ago");
    expect(formatAge(new Date("2026-11-19T04:12:00Z"), now)).toBe("2 days ago");
    expect(formatAge(now, now)).toBe("just now");
  });
});

describe("errors", () => {
  const error = new HoldfastError("SERVICE_PERMISSION_MISSING", 'MariaDB "orders": no right.', {
    remedy: "Grant it:  GRANT RELOAD;\nNothing was stored.",
    facts: { user: "shop" },
  });

  test("are shown as message, indented remedy, code and exit code", () => {
    expect(renderError(error, { colour: false, verbose: false })).toBe(
      `holdfast: MariaDB "orders": no right.
  Grant it:  GRANT RELOAD;
  Nothing was stored.   [SERVICE_PERMISSION_MISSING, exit 1]
`,
    );
    expect(renderError(error, { colour: false, verbose: true })).toContain("  user: shop\n");
  });

  test("are one JSON object for programs", () => {
    expect(errorEvent(error)).toMatchObject({ type: "error", code: "SERVICE_PERMISSION_MISSING", exit: 1 });
  });

  test("become a named defect when they are none of ours", () => {
    const wrapped = toHoldfastError(new TypeError("x is undefined"));
    expect(wrapped.code).toBe("INTERNAL");
    expect(wrapped.message).toContain("x is undefined");
  });
});

describe("the log", () => {
  const written = (json: boolean): string => {
    const stream = new PassThrough();
    new StreamLogger(stream, "warn", { json }).warn("two\nlines", { reason: "a\u001bb" });
    return String(stream.read());
  };

  test("is one line an entry, and an object of JSON where the rest is", () => {
    expect(written(false)).toBe("warn: two\\x0alines (reason: a\\x1bb)\n");
    expect(JSON.parse(written(true))).toEqual({
      type: "log",
      level: "warn",
      message: "two\nlines",
      facts: { reason: "a\u001bb" },
    });
  });
});
